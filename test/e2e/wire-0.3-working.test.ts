/**
 * What workers of 0.3 send and read, as raw HTTP against a whole server: claims, acks, failures, heartbeats, without
 * lease tokens, since 0.3 has none. The bodies are those of the 0.3 client libraries.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { type Claimed, type JobBody, type LiveServer, liveServer } from "../support/live-server.ts";

let server: LiveServer;
beforeAll(async () => {
  server = await liveServer();
});
afterAll(() => server.stop());

/** As the worker libraries fetch, with a shorter wait. */
const fetchBody = (queues: string | string[], timeout = 30) => ({
  queues: [queues].flat(),
  worker_id: "w1",
  hostname: "box",
  timeout,
});
const claim = (queues: string | string[]) => server.post<Claimed>("/fetch", fetchBody(queues));
const job = (id: string) => server.get<JobBody>(`/jobs/${id}`);
async function enqueue(queue: string, options: object = {}): Promise<string> {
  const body = { queue, payload: {}, ...options };
  return (await server.post<{ job_id: string }>("/enqueue", body)).job_id;
}

test("a claimed job has what workers read, and is active on its second reading", async () => {
  const id = await enqueue("shape", { payload: { n: 1 }, tags: { a: "b" }, checkpoint: { at: 3 } });
  const answer = await server.call("POST", "/api/v1/fetch", fetchBody("shape"));

  expect(answer.status).toBe(200);
  expect(answer.body).toMatchObject({
    job_id: id,
    queue: "shape",
    payload: { n: 1 },
    attempt: 1,
    max_retries: 3,
    lease_duration: 30,
    checkpoint: { at: 3 },
    tags: { a: "b" },
  });
  expect(await job(id)).toMatchObject({
    state: "active",
    attempt: 1,
    worker_id: "w1",
    hostname: "box",
    lease_expires_at: expect.any(String),
    started_at: expect.any(String),
  } as object);
});

test("an empty fetch ends with 204 and no body at the time it asked for", async () => {
  const startedMs = performance.now();
  const answer = await server.call("POST", "/api/v1/fetch", fetchBody("empty", 0.2));
  expect(answer).toMatchObject({ status: 204, body: undefined });
  expect(performance.now() - startedMs).toBeGreaterThan(150);
  expect(await server.call("POST", "/api/v1/fetch/batch", fetchBody("empty", 0.05))).toMatchObject({
    status: 200,
    body: { jobs: [] },
  });
});

test("an ack answers ok and completes the job, whatever its body holds", async () => {
  const bodies: readonly (undefined | Readonly<Record<string, unknown>>)[] = [
    undefined,
    {},
    { result: null },
    { result: { x: 1 }, checkpoint: { c: 1 } },
    { usage: { input_tokens: 3, model: "m" }, step_status: "continue", trace: "t" },
  ];
  for (const body of bodies) {
    const id = await enqueue("ack");
    await claim("ack");
    expect(await server.call("POST", `/api/v1/ack/${id}`, body)).toMatchObject({
      status: 200,
      body: { status: "ok" },
    });
    expect(await job(id)).toMatchObject({
      state: "completed",
      completed_at: expect.any(String),
      ...(body?.["result"] == null ? {} : { result: { x: 1 }, checkpoint: { c: 1 } }),
    } as object);
  }
});

test("an ack frees the unique key", async () => {
  const id = await enqueue("key", { unique_key: "k" });
  await claim("key");
  await server.post(`/ack/${id}`, {});
  expect(await enqueue("key", { unique_key: "k" })).not.toBe(id);
});

test("critical work comes before an older normal job", async () => {
  const normal = await enqueue("order");
  const high = await enqueue("order", { priority: "high" });
  const critical = await enqueue("order", { priority: "critical" });
  const order: string[] = [];
  for (let i = 0; i < 3; i++) order.push((await claim("order")).job_id);
  expect(order).toEqual([critical, high, normal]);
});

test("fetch/batch gives up to count jobs, and ack/batch counts those that it finished", async () => {
  const ids = [await enqueue("batch"), await enqueue("batch"), await enqueue("batch")];
  const body = { ...fetchBody("batch"), count: 2 };
  const { jobs } = await server.post<{ jobs: Claimed[] }>("/fetch/batch", body);
  expect(jobs.map((one) => one.job_id)).toEqual(ids.slice(0, 2));

  const acks = [...ids, "job_unknown"].map((job_id) => ({ job_id, result: { ok: true } }));
  expect(await server.post("/ack/batch", { acks })).toMatchObject({
    acked: 2,
    results: [
      { job_id: ids[0], status: "ok" },
      { job_id: ids[1], status: "ok" },
      { job_id: ids[2], status: "error", code: "ACK_ERROR" },
      { job_id: "job_unknown", status: "error", code: "NOT_FOUND" },
    ],
  });
  const states = await Promise.all(ids.map(async (id) => (await job(id)).state));
  expect(states).toEqual(["completed", "completed", "pending"]);
});

test("failures count runs in all: three, then dead", async () => {
  const id = await enqueue("fail", { max_retries: 3, retry_backoff: "none" });
  const answers: unknown[] = [];
  for (let attempt = 1; attempt <= 3; attempt++) {
    expect((await claim("fail")).attempt).toBe(attempt);
    answers.push(await server.post(`/fail/${id}`, { error: `e${attempt}`, backtrace: "" }));
  }
  expect(answers).toEqual([
    expect.objectContaining({ status: "retrying", attempt: 1, attempts_remaining: 2 }),
    expect.objectContaining({ status: "retrying", attempt: 2, attempts_remaining: 1 }),
    { status: "dead", attempt: 3, attempts_remaining: 0 },
  ]);
  expect(await job(id)).toMatchObject({
    state: "dead",
    failed_at: expect.any(String),
    errors: [1, 2, 3].map((attempt) => ({
      job_id: id,
      attempt,
      error: `e${attempt}`,
      created_at: expect.any(String),
    })),
  } as object);
});

test("max_retries 0 and 1 die of the first failure", async () => {
  for (const max_retries of [0, 1]) {
    const id = await enqueue("once", { max_retries });
    await claim("once");
    expect(await server.post(`/fail/${id}`, { error: "e" })).toMatchObject({
      status: "dead",
      attempts_remaining: 0,
    });
  }
});

test.concurrent("a long poll ends 1.5 s before a client that waits just as long hangs up", async () => {
  const startedMs = performance.now();
  const signal = AbortSignal.timeout(5000);
  const answer = await server.call("POST", "/api/v1/fetch", fetchBody("patient", 5), { signal });
  expect(answer.status).toBe(204);
  expect(performance.now() - startedMs).toBeWithin(3400, 4500);
});

test.concurrent("the default backoff brings a job back within six seconds, as attempt 2", async () => {
  const id = await enqueue("default", { max_retries: 2 });
  await claim("default");
  const failed = await server.post<{ next_attempt_at: string }>(`/fail/${id}`, {
    error: "test error",
    backtrace: "",
  });
  const dueMs = Date.parse(failed.next_attempt_at);
  expect(dueMs - Date.now()).toBeWithin(4500, 5001);
  expect((await job(id)).state).toBe("retrying");

  expect(await claim("default")).toMatchObject({ job_id: id, attempt: 2 });
  expect(Date.now() - dueMs).toBeWithin(0, 500);
}, 8000);

const backoffs: readonly [name: string, base: string, max: string, delaysMs: number[]][] = [
  ["none", "5s", "10m", [0, 0, 0]],
  ["fixed", "40ms", "10m", [40, 40, 40]],
  ["linear", "40ms", "10m", [40, 80, 120]],
  ["exponential", "40ms", "10m", [40, 80, 160]],
  ["exponential", "40ms", "50ms", [40, 50, 50]],
];
for (const [retry_backoff, retry_base_delay, retry_max_delay, delaysMs] of backoffs) {
  test(`${retry_backoff} from ${retry_base_delay} to ${retry_max_delay} waits ${delaysMs} ms`, async () => {
    const queue = `backoff-${retry_backoff}-${retry_max_delay}`;
    const id = await enqueue(queue, {
      max_retries: 9,
      retry_backoff,
      retry_base_delay,
      retry_max_delay,
    });
    for (const delayMs of delaysMs) {
      await claim(queue);
      const beforeMs = Date.now();
      const { next_attempt_at } = await server.post<{ next_attempt_at: string }>(`/fail/${id}`, {
        error: "e",
      });
      const waitMs = Date.parse(next_attempt_at) - beforeMs;
      expect([delayMs, waitMs >= delayMs && waitMs <= delayMs + 30]).toEqual([delayMs, true]);
    }
  });
}

test("a heartbeat extends the lease and answers what each of the libraries reads", async () => {
  const id = await enqueue("beat");
  await claim("beat");
  const before = Date.parse((await job(id)).lease_expires_at ?? "");
  await Bun.sleep(2);

  expect(await server.post("/heartbeat", { jobs: { [id]: {}, job_x: {} } })).toEqual({
    jobs: {
      [id]: { status: "ok", lease_expires_at: expect.any(String) },
      job_x: { status: "cancel" },
    },
    acked: [id],
    unknown: ["job_x"],
    canceled: [],
  });
  expect(Date.parse((await job(id)).lease_expires_at ?? "")).toBeGreaterThan(before);
  expect(await server.post("/heartbeat", { jobs: {} })).toMatchObject({ jobs: {} });
});

test("progress is kept as an object, a number or text, and null leaves it as it is", async () => {
  const id = await enqueue("progress");
  await claim("progress");
  for (const progress of [{ current: 1, total: 2, message: "m" }, 50, "half", null]) {
    const body = { jobs: { [id]: { progress, checkpoint: null } } };
    expect(await server.post("/heartbeat", body)).toMatchObject({ acked: [id] });
    expect(await job(id)).toMatchObject({ progress: progress ?? "half" } as object);
  }
});

test("a checkpoint survives a failure and comes with the next claim", async () => {
  const id = await enqueue("checkpoint", { retry_backoff: "none" });
  await claim("checkpoint");
  await server.post("/heartbeat", { jobs: { [id]: { checkpoint: { page: 7 } } } });
  await server.post(`/fail/${id}`, { error: "e", backtrace: "" });
  expect(await claim("checkpoint")).toMatchObject({ attempt: 2, checkpoint: { page: 7 } });
});

test("a worker learns of a cancellation by its heartbeat, and its ack is refused", async () => {
  const id = await enqueue("cancel");
  await claim("cancel");
  expect(await server.post(`/jobs/${id}/cancel`)).toEqual({ status: "cancelling" });

  expect(await server.post("/heartbeat", { jobs: { [id]: {} } })).toEqual({
    jobs: { [id]: { status: "cancel" } },
    acked: [],
    unknown: [],
    canceled: [id],
  });
  expect(await server.call("POST", `/api/v1/ack/${id}`, {})).toMatchObject({
    status: 400,
    body: { code: "ACK_ERROR" },
  });
  expect(await server.call("POST", `/api/v1/fail/${id}`, { error: "e" })).toMatchObject({
    status: 400,
    body: { code: "FAIL_ERROR" },
  });
});

test("timeout is the lease as well, and a lease that ends counts as an attempt", async () => {
  const id = await enqueue("lease");
  await server.post("/fetch", fetchBody("lease", 0.1));
  expect(await claim("lease")).toMatchObject({ job_id: id, attempt: 2 });
  expect((await job(id)).errors).toMatchObject([{ attempt: 1 }]);
});

const refusals: readonly [
  what: string,
  path: string,
  body: unknown,
  status: number,
  code: string,
][] = [
  ["a fetch without queues", "/fetch", { worker_id: "w" }, 400, "VALIDATION_ERROR"],
  ["a fetch of no queue", "/fetch", { queues: [] }, 400, "VALIDATION_ERROR"],
  ["an ack of an unknown job", "/ack/job_nope", {}, 404, "NOT_FOUND"],
  ["a failure of an unknown job", "/fail/job_nope", { error: "e" }, 404, "NOT_FOUND"],
  ["a failure without a body", "/fail/job_nope", undefined, 400, "PARSE_ERROR"],
  ["an empty list of acks", "/ack/batch", { acks: [] }, 400, "VALIDATION_ERROR"],
  ["an agent's verdict", "/ack/job_nope", { agent_status: "done" }, 400, "ACK_ERROR"],
  ["a heartbeat without jobs", "/heartbeat", {}, 400, "VALIDATION_ERROR"],
];
for (const [what, path, body, status, code] of refusals) {
  test(`${what} is refused with ${status} ${code}`, async () => {
    const answer = await server.call("POST", `/api/v1${path}`, body);
    expect(answer).toMatchObject({ status, body: { error: expect.any(String), code } });
  });
}

test("more than 512 acks in one call are refused by name", async () => {
  const acks = Array.from({ length: 513 }, (_, i) => ({ job_id: `job_${i}` }));
  expect(await server.call("POST", "/api/v1/ack/batch", { acks })).toMatchObject({
    status: 400,
    body: { code: "LIMIT_EXCEEDED" },
  });
});

test("a count over 512 means 512", async () => {
  const jobs = Array.from({ length: 600 }, () => ({ queue: "plenty", payload: {} }));
  await server.post("/enqueue/batch", { jobs });
  const body = { ...fetchBody("plenty"), count: 5000 };
  const claimed = await server.post<{ jobs: Claimed[] }>("/fetch/batch", body);
  expect(claimed.jobs).toHaveLength(512);
});
