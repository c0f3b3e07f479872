/** The first minutes with the program, typed as a person types them, in a folder that holds nothing but the executable. */
import { expect, test } from "bun:test";
import { chmodSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Place } from "../support/binary.ts";

test("a job goes from enqueue through a worker to completed", async () => {
  await using place = await Place.create();
  const server = await place.serve();

  const added = await place.shell(`corvo enqueue emails.send '{"to":"user@example.com"}'`);
  const worker = place.start(["worker", "emails.send"]);
  const id = added.stdout.trim();
  const finished = await place.run(["jobs", "wait", id, "--timeout", "20s"]);
  const list = await place.shell("corvo jobs list");
  worker.kill("SIGTERM");
  const printed = await new Response(worker.stdout).text();

  expect(added).toMatchObject({ code: 0, stderr: "added to emails.send, pending\n" });
  expect(id).toMatch(/^job_[0-9a-f]{26}$/);
  expect(finished.code).toBe(0);
  expect(printed).toContain('{"to":"user@example.com"}');
  expect(list.stdout).toMatch(new RegExp(`${id}.*completed`));
  expect(await worker.exited).toBe(0);
  expect(await server.stop()).toBe(0);
});

test("a job that fails for good is found dead, retried by hand, and completes", async () => {
  await using place = await Place.create();
  await using server = await place.serve();
  const handler = join(place.path, "send.sh");
  writeFileSync(
    handler,
    "#!/bin/sh\ngrep -q ok flag 2>/dev/null || { echo no route >&2; exit 65; }\n",
  );
  chmodSync(handler, 0o755);
  const id = (await place.shell("corvo enqueue mail '{}'")).stdout.trim();

  const first = await place.shell("corvo worker mail --drain -- ./send.sh");
  const dead = await place.shell("corvo jobs list --state dead");
  writeFileSync(join(place.path, "flag"), "ok");
  const refused = await place.shell("corvo jobs retry --state dead");
  const typed = await typedOnTerminal(place, ["jobs", "retry", "--state", "dead"], "y\r");
  const second = await place.shell("corvo worker mail --drain -- ./send.sh");
  const job = await server.json<{ state: string }>("GET", `/api/v1/jobs/${id}`);

  expect([first.code, second.code]).toEqual([0, 0]);
  expect(dead.stdout).toContain(id);
  expect(refused).toMatchObject({ code: 2, stdout: "" });
  expect(refused.stderr).toContain("corvo jobs retry --state dead --yes");
  expect(typed).toMatchObject({ code: 0 });
  expect(job.state).toBe("completed");
});

test("a paused queue hands out nothing until it is resumed", async () => {
  await using place = await Place.create();
  await using server = await place.serve();
  await place.shell("corvo enqueue emails.send '{}'");

  const paused = await place.shell("corvo queue pause emails.send");
  const none = await server.call(
    "POST",
    "/api/v1/fetch",
    '{"queues":["emails.send"],"wait_ms":50}',
  );
  await place.shell("corvo queue resume emails.send");
  const one = await server.call("POST", "/api/v1/fetch", '{"queues":["emails.send"],"wait_ms":50}');

  expect(paused.code).toBe(0);
  expect([none.status, one.status]).toEqual([204, 200]);
});

test("SIGTERM ends long polls, finishes what runs, and the next start finds everything", async () => {
  await using place = await Place.create();
  const server = await place.serve();
  const health = await server.call("GET", "/healthz");
  const poll = server.call("POST", "/api/v1/fetch", '{"queues":["empty"],"wait_ms":30000}');
  const writes = Array.from({ length: 20 }, () =>
    server.call("POST", "/api/v1/enqueue", '{"queue":"a"}'),
  );
  const accepted = (await Promise.all(writes)).filter(({ status }) => status === 201).length;

  const code = await server.stop("SIGTERM");
  const answer = await poll;
  await using again = await place.serve();
  const queue = await again.json<{ pending: number }>("GET", "/api/v1/queues/a");

  expect(health).toMatchObject({ status: 200, text: '{"status":"ok"}' });
  expect(code).toBe(0);
  expect([204, 503]).toContain(answer.status);
  expect(queue.pending).toBe(accepted);
  expect(accepted).toBe(20);
});

/** Runs a line with a terminal on all three streams, and types once something was asked. */
async function typedOnTerminal(
  place: Place,
  words: readonly string[],
  keys: string,
): Promise<{ code: number; screen: string }> {
  let screen = "";
  let isTyped = false;
  const child = Bun.spawn([place.binary, ...words], {
    cwd: place.path,
    env: { ...place.env, TERM: "xterm" },
    terminal: {
      cols: 100,
      rows: 30,
      data: (terminal, data) => {
        screen += new TextDecoder().decode(data);
        if (isTyped || !screen.includes("?")) return;
        isTyped = true;
        terminal.write(keys);
      },
    },
  });
  const code = await child.exited;
  return { code, screen };
}
