/** The handlers in docs/guides/workers.md do what the guide says. */
import { afterEach, beforeEach, expect, test } from "bun:test";
import { chmodSync } from "node:fs";
import { join } from "node:path";
import { RawJson } from "../../../src/base/json.ts";
import { type Runner, startRunner } from "../../support/runner.ts";
import { type ServedJob, StreamServer } from "../../support/stream-server.ts";
import { tempDir } from "../../support/temp-dir.ts";

const guide = await Bun.file(new URL("../../../docs/guides/workers.md", import.meta.url)).text();
let folder: ReturnType<typeof tempDir>;
let server: StreamServer;
let runner: Runner | undefined;

beforeEach(() => {
  folder = tempDir();
  server = new StreamServer().start();
});

afterEach(async () => {
  runner?.signal();
  await runner?.exit;
  runner?.dispose();
  await server.stop();
  folder[Symbol.dispose]();
});

/** Runs a handler of the guide, found by the name in its second line. */
async function start(name: string, isPersistent = false): Promise<void> {
  const code = guide.split("```").find((block) => block.split("\n")[2]?.startsWith(`# ${name}:`));
  const path = join(folder.path, name);
  await Bun.write(path, code?.slice(code.indexOf("\n") + 1) ?? "");
  chmodSync(path, 0o755);
  runner = startRunner(server, { command: [path], isPersistent });
}

async function ended(job: ServedJob): Promise<ServedJob> {
  await server.until(() => job.acks.length + job.fails.length > 0);
  return job;
}

const resultOf = (job: ServedJob) => (job.acks[0]?.["result"] as RawJson | undefined)?.parse();

test("the handler in sh makes its result and goes on from its checkpoint", async () => {
  await start("thumbnail.sh");

  const fresh = await ended(server.add("q", new RawJson('{"file":"a.png"}')));
  const again = await ended(
    server.add("q", new RawJson('{"file":"a.png"}'), { checkpoint: new RawJson("2") }),
  );
  const wrong = await ended(server.add("q", new RawJson("{}")));

  expect([resultOf(fresh), resultOf(again)]).toEqual([{ sizes: 3 }, { sizes: 3 }]);
  expect(fresh.acks[0]?.["output"]).toBe("resizing to 64\nresizing to 256\nresizing to 1024\n");
  expect(again.acks[0]?.["output"]).toBe("resizing to 1024\n");
  expect(wrong.fails[0]).toMatchObject({ retryable: false, error: "exit code 65: no file in {}" });
});

test("the handler in Python adds, and refuses what will never be right", async () => {
  await start("add.py");

  const good = await ended(server.add("q", new RawJson('{"numbers":[1,2]}')));
  const wrong = await ended(server.add("q", new RawJson("{}")));

  expect(resultOf(good)).toEqual({ total: 3, attempt: 1 });
  expect(wrong.fails[0]).toMatchObject({ retryable: false });
});

test("the persistent handler keeps its state from job to job", async () => {
  await start("count.py", true);

  const first = await ended(server.add("q", null));
  const second = await ended(server.add("q", null));

  expect([resultOf(first), resultOf(second)]).toEqual([{ seen: 1 }, { seen: 2 }]);
});
