/** RivetQ's documented calls, sent as its users and clients send them, against a whole server. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { requestLimits } from "../../../src/api/limits.ts";
import { type LiveServer, liveServer } from "../../support/live-server.ts";

let server: LiveServer;
beforeAll(async () => {
  server = await liveServer();
});
afterAll(() => server.stop());

interface Leased {
  readonly id: string;
  readonly lease_id: string;
  readonly tries: number;
  readonly payload: unknown;
}

const json = { headers: { "Content-Type": "application/json" } };
const post = (path: string, body: unknown) => server.call("POST", path, body, json);

async function lease(queue: string, max_jobs = 1): Promise<Leased[]> {
  const { status, body } = await post(`/v1/queues/${queue}/lease`, {
    max_jobs,
    visibility_ms: 30_000,
  });
  expect(status).toBe(200);
  return (body as { jobs: Leased[] }).jobs;
}

async function leaseSoon(queue: string): Promise<Leased> {
  for (;;) {
    const [job] = await lease(queue);
    if (job !== undefined) return job;
  }
}

test("the quick start: enqueue, lease, ack, stats", async () => {
  const payload = { to: "user@example.com", subject: "Hello" };
  const added = await post("/v1/queues/emails/enqueue", {
    payload,
    priority: 7,
    delay_ms: 0,
    max_retries: 3,
    headers: { trace: "t1" },
  });
  expect(added.status).toBe(200);

  const [job] = await lease("emails");
  expect(job).toMatchObject({
    id: (added.body as { job_id: string }).job_id,
    queue: "emails",
    payload,
    headers: { trace: "t1" },
    priority: 7,
    tries: 0,
  } as object);
  const stats = await server.call("GET", "/v1/queues/emails/stats");
  expect(stats.body).toEqual({ ready: 0, inflight: 1, dlq: 0 });
  const ack = { job_id: job?.id, lease_id: job?.lease_id };
  expect(await post("/v1/ack", ack)).toMatchObject({ status: 200, body: { success: true } });
  const names = await server.call("GET", "/v1/queues/");
  expect((names.body as { queues: string[] }).queues).toContain("emails");
});

test("nine goes first, and a delayed job hides nobody", async () => {
  for (const [priority, delay_ms] of [
    [9, 60_000],
    [1, 0],
    [8, 0],
  ]) {
    await post("/v1/queues/order/enqueue", { payload: priority, priority, delay_ms });
  }
  const jobs = await lease("order", 10);
  expect(jobs.map(({ payload }) => payload)).toEqual([8, 1]);
});

test("a nack retries with growing waits until the job is in the dead letters", async () => {
  await post("/v1/queues/flaky/enqueue", { payload: 1, max_retries: 2 });
  for (const tries of [0, 1]) {
    const job = await leaseSoon("flaky");
    expect(job.tries).toBe(tries);
    const nack = { job_id: job.id, lease_id: job.lease_id, reason: "temporary error" };
    expect(await post("/v1/nack", nack)).toMatchObject({ body: { success: true } });
  }
  const stats = await server.call("GET", "/v1/queues/flaky/stats");
  expect(stats.body).toEqual({ ready: 0, inflight: 0, dlq: 1 });
});

test("a lease id that is over is refused, and so is one of nobody", async () => {
  await post("/v1/queues/stale/enqueue", { payload: 1 });
  const old = await leaseSoon("stale");
  await post("/v1/nack", { job_id: old.id, lease_id: old.lease_id });
  await leaseSoon("stale");
  const ack = await post("/v1/ack", { job_id: old.id, lease_id: old.lease_id });
  expect(ack).toMatchObject({ status: 409, body: { code: "LEASE_LOST" } });
  const unknown = await post("/v1/ack", { job_id: "550e8400", lease_id: "lease-123" });
  expect(unknown.status).toBeGreaterThanOrEqual(400);
  expect(unknown.status).toBeLessThan(500);
});

test("an idempotency key gives the first job again", async () => {
  const body = { payload: { n: 1 }, idempotency_key: "once" };
  const [first, second] = [
    await post("/v1/queues/once/enqueue", body),
    await post("/v1/queues/once/enqueue", body),
  ];
  expect(second.body).toEqual(first.body);
});

test("a rate limit is kept as it was set, also below one a second", async () => {
  const path = "/v1/queues/paced/rate_limit";
  expect((await server.call("GET", path)).body).toMatchObject({ exists: false });
  for (const rate of [
    { capacity: 100, refill_rate: 10 },
    { capacity: 9, refill_rate: 0.02 },
    { capacity: 9, refill_rate: 0.001 },
    { capacity: 9, refill_rate: 20_000.5 },
    { capacity: 2, refill_rate: 0.5 },
  ]) {
    expect(await post(path, rate)).toMatchObject({ body: { success: true } });
    const set = (await server.call("GET", path)).body as typeof rate;
    expect(set).toMatchObject({ capacity: rate.capacity, exists: true } as object);
    expect(set.refill_rate / rate.refill_rate).toBeCloseTo(1, 4);
  }
  for (let i = 0; i < 4; i++) await post("/v1/queues/paced/enqueue", { payload: i });
  expect(await lease("paced", 10)).toHaveLength(2);
});

test("a rate limit leaves alone how many jobs of the queue may run at once", async () => {
  await server.post("/queues/shared/concurrency", { max: 3 });
  await post("/v1/queues/shared/rate_limit", { capacity: 5, refill_rate: 5 });
  expect(await server.get("/queues/shared")).toMatchObject({ max_concurrency: 3 });
  expect((await server.call("GET", "/v1/queues/shared/rate_limit")).body).toMatchObject({
    refill_rate: 5,
  });
});

test("what a client sends as null is left out", async () => {
  const none = { priority: null, delay_ms: null, max_retries: null, idempotency_key: null };
  await post("/v1/queues/blank/enqueue", { payload: 1, headers: null, ...none });
  const leased = await post("/v1/queues/blank/lease", { max_jobs: null, visibility_ms: null });
  const [job] = (leased.body as { jobs: Leased[] }).jobs;
  const nack = { job_id: job?.id, lease_id: job?.lease_id, reason: null };
  expect(await post("/v1/nack", nack)).toMatchObject({ status: 200, body: { success: true } });
  expect((await post("/v1/queues/blank/lease", "null")).status).toBe(200);
});

test("what is wrong is answered with an error and a code of the 400s", async () => {
  expect(await post("/v1/queues/q/enqueue", "{")).toMatchObject({ status: 400 });
  const headers = { note: "x".repeat(requestLimits.tagLengthMax + 1) };
  expect(await post("/v1/queues/q/enqueue", { headers })).toMatchObject({ status: 400 });
  expect(await post("/v1/queues/q/lease", { max_jobs: 0 })).toMatchObject({ status: 400 });
  expect(await server.call("GET", "/v1/queues/unknown/stats")).toMatchObject({ status: 404 });
  expect(await post("/v1/queues/unknown/lease", {})).toMatchObject({ body: { jobs: [] } });
});
