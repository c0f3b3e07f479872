/** Snoozes, error classes, deadlines and unique keys, over real sockets and with real commands as handlers. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { join } from "node:path";
import { ServerProcess, startCommand } from "../support/corvo-process.ts";
import { type Claimed, type JobBody, type LiveServer, liveServer } from "../support/live-server.ts";
import { tempDir } from "../support/temp-dir.ts";

let server: LiveServer;
beforeAll(async () => {
  server = await liveServer();
});
afterAll(() => server.stop());

interface Seen extends JobBody {
  readonly snoozes?: number;
  readonly dead_reason?: string;
  readonly attempts?: readonly { readonly outcome: string; readonly error_class?: string }[];
}
const enqueue = (body: unknown) =>
  server.post<{ job_id: string; status: string }>("/enqueue", body);
const job = (id: string) => server.get<Seen>(`/jobs/${id}`);
const claim = (queue: string) => server.post<Claimed>("/fetch", { queues: [queue], wait_ms: 5000 });

test("a snooze over HTTP puts the job off and counts, one by one and in a batch", async () => {
  const { job_id } = await enqueue({ queue: "snooze", max_snoozes: 2 });
  const first = await claim("snooze");
  expect(
    await server.post<unknown>(`/snooze/${job_id}`, {
      lease_token: first.lease_token,
      delay: "1ms",
      checkpoint: { page: 2 },
    }),
  ).toEqual({ status: "retrying", next_attempt_at: expect.stringMatching(/Z$/) });

  const second = await claim("snooze");
  expect(second).toMatchObject({ attempt: 1, checkpoint: { page: 2 } });
  const item = (token: string) => ({ job_id, lease_token: token, delay: "1ms" });
  expect(
    await server.post<unknown>("/snooze/batch", {
      snoozes: [item(second.lease_token), item("zz")],
    }),
  ).toEqual({
    snoozed: 1,
    results: [
      { job_id, status: "retrying" },
      { job_id, status: "error", code: "LEASE_LOST", error: expect.any(String) },
    ],
  });

  const third = await claim("snooze");
  const refused = await server.call("POST", `/api/v1/snooze/${job_id}`, {
    lease_token: third.lease_token,
    delay: "1s",
  });
  expect(refused.status).toBe(400);
  expect(refused.body).toMatchObject({ code: "SNOOZE_ERROR" });
  expect(await job(job_id)).toMatchObject({ state: "active", attempt: 1, snoozes: 2 });
});

test("a deadline ends a job that runs, and the view says why", async () => {
  const { job_id } = await enqueue({ queue: "deadline", deadline: "300ms" });
  await claim("deadline");
  const seen = await server.get<Seen>(`/jobs/${job_id}/wait?timeout=10`);
  expect(seen).toMatchObject({
    state: "dead",
    dead_reason: expect.stringMatching(/^deadline: /),
    attempts: [{ outcome: "timed_out" }],
  });
});

test("an error class that is not retried sends the job to dead and shows in its attempt", async () => {
  const { job_id } = await enqueue({ queue: "class", no_retry_on: ["BadInput"] });
  const { lease_token } = await claim("class");
  await server.post(`/fail/${job_id}`, { lease_token, error: "no", error_class: "BadInput" });
  expect(await job(job_id)).toMatchObject({
    state: "dead",
    attempts: [{ outcome: "failed", error_class: "BadInput" }],
  });
});

test("senseless limits are refused with the name of the field", async () => {
  for (const body of [
    { deadline: "1s", delay: "2s" },
    { retry_jitter_mode: "full", retry_jitter: 0.5 },
    { retry_for: "0s" },
  ]) {
    const answer = await server.call("POST", "/api/v1/enqueue", { queue: "no", ...body });
    expect([answer.status, answer.body]).toMatchObject([400, { code: "VALIDATION_ERROR" }]);
  }
});

test("commands snooze by a line and exit code 75, until there were enough snoozes", async () => {
  using folder = tempDir();
  const own = new ServerProcess(join(folder.path, "data"));
  await own.start();
  const env = { CORVO_SERVER: own.url };
  const corvo = (words: readonly string[]) => startCommand(words, env);
  try {
    const added = corvo(["enqueue", "q", "{}", "--max-snoozes", "2", "--max-retries", "1", "-q"]);
    expect(await added.exited).toBe(0);
    const id = added.text().trim();
    const script = "echo '::corvo snooze 20ms'; echo '::corvo error-class Early'; exit 75";
    expect(await corvo(["worker", "q", "--drain", "--", "sh", "-c", script]).exited).toBe(0);
    expect(await own.get(`/api/v1/jobs/${id}`)).toMatchObject({
      state: "dead",
      snoozes: 2,
      attempts: [{ attempt: 1, error: expect.stringContaining("SNOOZE_ERROR") }],
    });

    const persistent = corvo(["enqueue", "p", "{}", "--no-retry-on", "Early", "-q"]);
    expect(await persistent.exited).toBe(0);
    const answers =
      'read a; echo "{\\"ok\\":false,\\"snooze\\":\\"20ms\\"}"; read b; echo "{\\"ok\\":false,\\"error\\":\\"x\\",\\"error_class\\":\\"Early\\"}"; read c';
    const words = ["worker", "p", "--drain", "--persistent", "--", "sh", "-c", answers];
    expect(await corvo(words).exited).toBe(0);
    expect(await own.get(`/api/v1/jobs/${persistent.text().trim()}`)).toMatchObject({
      state: "dead",
      snoozes: 1,
      attempts: [{ attempt: 1, error: "x", error_class: "Early" }],
    });
  } finally {
    await own.end("SIGKILL");
  }
}, 30_000);

test("the command line says what a unique key did to a job", async () => {
  const env = { CORVO_SERVER: server.url };
  const add = async (...words: readonly string[]) => {
    const added = startCommand(["enqueue", "keyed", "[1]", "--unique-key", "k", ...words], env);
    const code = await added.exited;
    return [code, added.text()] as const;
  };
  expect(await add()).toMatchObject([0, expect.stringContaining("added to keyed, pending")]);
  expect(await add()).toMatchObject([0, expect.stringContaining("nothing was added")]);
  expect(await add("--on-conflict", "reject")).toMatchObject([5, expect.anything()]);
  expect(await add("--on-conflict", "replace", "--merge", "append")).toMatchObject([
    0,
    expect.stringContaining("became this one"),
  ]);
  expect(await claim("keyed")).toMatchObject({ payload: [1, 1] });
  expect(await add("--on-conflict", "keep_last")).toMatchObject([
    0,
    expect.stringContaining("waits until the running job"),
  ]);
}, 30_000);
