/** The worker command against the server, both as processes, through crashes, stops and pauses of either. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { type CommandProcess, ServerProcess, startCommand } from "../support/corvo-process.ts";
import { processGone } from "../support/runner.ts";
import { tempDir } from "../support/temp-dir.ts";

let folder: ReturnType<typeof tempDir>;
let server: ServerProcess;
const workers: CommandProcess[] = [];

beforeEach(async () => {
  folder = tempDir();
  server = new ServerProcess(join(folder.path, "data"));
  await server.start();
});

afterEach(async () => {
  for (const worker of workers.splice(0)) {
    worker.kill("SIGCONT");
    worker.kill("SIGTERM");
    worker.kill("SIGINT");
    await worker.exited;
  }
  await server.end("SIGKILL");
  folder[Symbol.dispose]();
});

function startWorker(words: readonly string[]): CommandProcess {
  const env = { CORVO_SERVER: server.url, RAN: join(folder.path, "ran") };
  const worker = startCommand(["worker", ...words], env);
  workers.push(worker);
  return worker;
}

const ran = async () => (await Bun.file(join(folder.path, "ran")).text()).trim().split("\n");
const queue = (name: string) => server.get(`/api/v1/queues/${name}`);
/** Notes its payload when it has run to the end. */
const noting = ["--", "sh", "-c", 'p=$(cat); sleep 0.15; echo "$p" >> "$RAN"; echo "$p"'];

describe.each(["SIGKILL", "SIGTERM"] as const)(
  "a server that ends with %s and comes back",
  (signal) => {
    test("running handlers go on, and every job is run once and finished once", async () => {
      await server.addJobs("q", 24);
      const worker = startWorker(["q", "--concurrency", "4", "--drain", ...noting]);
      await worker.shows(/ 5\n/);

      await server.end(signal);
      await worker.shows(/no connection/);
      await server.start();

      expect(await worker.exited).toBe(0);
      const expected = Array.from({ length: 24 }, (_, n) => String(n + 1));
      expect((await ran()).sort((a, b) => Number(a) - Number(b))).toEqual(expected);
      expect(await queue("q")).toMatchObject({ completed: 24, active: 0, pending: 0, retrying: 0 });
      expect(worker.text()).toContain("worker ended: 24 done, 0 failed, 0 given back, 0 dropped");
    }, 20_000);
  },
);

test("a worker that was stopped past its lease does not finish what another one has taken over", async () => {
  const [id] = await server.addJobs("q", 1);
  const slow = ["q", "--lease", "500ms", "--", "sh", "-c", "echo pid $$; sleep 1.5; echo end"];
  const first = startWorker(slow);
  await first.shows(/pid \d+/);

  first.kill("SIGSTOP");
  const second = startWorker(slow);
  await second.shows(/#2\] pid/);
  first.kill("SIGCONT");
  await first.shows(/was lost/);
  await second.shows(/#2\] end/);
  second.kill("SIGTERM");

  expect(await second.exited).toBe(0);
  expect(second.text()).toContain("1 done");
  expect(await server.get(`/api/v1/jobs/${id}`)).toMatchObject({ state: "completed", attempt: 2 });
}, 15_000);

test("a job that is cancelled while it runs is stopped at once, with all its processes", async () => {
  const [id] = await server.addJobs("q", 1);
  const worker = startWorker(["q", "--", "sh", "-c", "sleep 1000 & echo pid $!; wait"]);
  const [, pid] = await worker.shows(/pid (\d+)/);

  await server.post(`/api/v1/jobs/${id}/cancel`, {});

  expect(await processGone(Number(pid))).toBe(true);
  await worker.shows(/was cancelled/);
  expect(await server.get(`/api/v1/jobs/${id}`)).toMatchObject({ state: "cancelled" });
}, 10_000);

test("SIGTERM gives a job back at once, and the next worker continues from its checkpoint", async () => {
  const [id] = await server.addJobs("q", 1);
  const script = 'echo 7 > "$CORVO_CHECKPOINT_FILE"; echo kept; sleep 1000';
  const worker = startWorker(["q", "--grace", "0s", "--", "sh", "-c", script]);
  await worker.shows(/kept/);

  worker.kill("SIGTERM");

  expect(await worker.exited).toBe(0);
  expect(await server.get(`/api/v1/jobs/${id}`)).toMatchObject({ state: "pending", attempt: 0 });
  const next = startWorker(["q", "--", "sh", "-c", 'cat "$CORVO_CHECKPOINT_FILE"']);
  await next.shows(/#1\] 7/);
}, 10_000);

test("progress, result and output are there to be seen", async () => {
  const [id] = await server.addJobs("q", 1);
  const script =
    'echo "::corvo progress 1/3 reading"; echo talk >&2; sleep 0.7; echo "{\\"sum\\": 1.0}"';
  const worker = startWorker(["q", "--", "sh", "-c", script]);
  await worker.shows(/sum/);
  const waited = await fetch(`${server.url}/api/v1/jobs/${id}/wait?timeout=5`);
  const text = await waited.text();

  expect(text).toContain('"result":{"sum": 1.0}');
  expect(JSON.parse(text)).toMatchObject({
    state: "completed",
    progress: { current: 1, total: 3, message: "reading" },
    attempts: [{ output: 'talk\n{"sum": 1.0}\n' }],
  });
}, 10_000);

test("workers that come and go while jobs are added leave none behind with a lease", async () => {
  const producer = (async () => {
    for (let round = 0; round < 12; round++) {
      await server.addJobs("q", 20);
      await Bun.sleep(40);
    }
  })();
  for (let round = 0; round < 4; round++) {
    const worker = startWorker(["q", "--concurrency", "8", "-q", "--", "true"]);
    await worker.shows(/connected/);
    await Bun.sleep(60);
    worker.kill("SIGTERM");
    expect(await worker.exited).toBe(0);
    expect(await queue("q")).toMatchObject({ active: 0 });
  }
  await producer;

  const last = startWorker(["q", "--concurrency", "8", "--drain", "-q", "--", "true"]);

  expect(await last.exited).toBe(0);
  expect(await queue("q")).toMatchObject({ completed: 240, pending: 0, active: 0, retrying: 0 });
}, 20_000);
