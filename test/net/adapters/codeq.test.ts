/** codeQ's documented calls, sent as its clients send them, against a whole server. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { CorvoError } from "../../../src/base/errors.ts";
import { parseAllowRule } from "../../../src/net/outbound/address.ts";
import { httpFixture } from "../../support/http-app.ts";
import { type Answer, type LiveServer, liveServer } from "../../support/live-server.ts";
import { Receiver } from "../../support/receiver.ts";

let server: LiveServer;
beforeAll(async () => {
  const loopback = parseAllowRule("127.0.0.1");
  server = await liveServer({ webhookAllow: loopback === undefined ? [] : [loopback] });
});
afterAll(() => server.stop());

const as = (token: string) => ({ headers: { Authorization: `Bearer ${token}` } });
const call = (method: string, path: string, body?: unknown, token = "worker") =>
  server.call(method, `/v1/codeq${path}`, body, as(token));
const bodyOf = (answer: Answer) => answer.body as Record<string, unknown>;

async function create(command: string, more: object = {}): Promise<string> {
  const answer = await call("POST", "/tasks", { command, payload: { n: 1 }, ...more });
  expect(answer.status).toBe(202);
  return String(bodyOf(answer)["id"]);
}

const claim = (command: string, more: object = {}, token = "worker") =>
  call("POST", "/tasks/claim", { commands: [command], waitSeconds: 5, ...more }, token);

/** A token of the kind that codeQ's identity providers give. */
function jwt(sub: string, issuedAt: number): string {
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");
  return `${part({ alg: "RS256" })}.${part({ sub, iat: issuedAt })}.signature`;
}

test("a task is created, claimed, kept alive, completed, and its result read", async () => {
  const id = await create("GENERATE", { priority: 5, maxAttempts: 3 });
  expect(bodyOf(await call("GET", `/tasks/${id}`))).toMatchObject({
    id,
    command: "GENERATE",
    payload: '{"n":1}',
    priority: 5,
    status: "PENDING",
    attempts: 0,
    maxAttempts: 3,
  });
  expect((await call("GET", `/tasks/${id}/result`)).status).toBe(404);

  expect(bodyOf(await claim("GENERATE", { leaseSeconds: 60 }))).toMatchObject({
    id,
    status: "IN_PROGRESS",
    attempts: 1,
    workerId: expect.any(String),
    leaseUntil: expect.any(String),
  });
  const beat = await call("POST", `/tasks/${id}/heartbeat`, { extendSeconds: 120 });
  expect(beat).toMatchObject({ status: 200, body: { ok: true } });

  const waiting = call("GET", `/tasks/${id}/result?waitSeconds=10`);
  const artifacts = [{ name: "a.txt", contentBase64: "aGk=", contentType: "text/plain" }];
  const done = await call("POST", `/tasks/${id}/result`, {
    status: "COMPLETED",
    result: { big: 7 },
    artifacts,
  });
  expect(done).toMatchObject({ status: 200, body: { taskId: id, status: "COMPLETED", artifacts } });
  expect(bodyOf(await waiting)).toMatchObject({
    task: { id, status: "COMPLETED" },
    result: { taskId: id, status: "COMPLETED", result: { big: 7 }, artifacts },
  });
});

test("only who claimed a task may end or extend it; a token that was renewed is the same worker", async () => {
  const id = await create("OWNED");
  await claim("OWNED", {}, jwt("w1", 1));
  for (const path of ["heartbeat", "abandon", "nack"]) {
    expect((await call("POST", `/tasks/${id}/${path}`, {}, jwt("w2", 1))).status).toBe(403);
  }
  const result = { status: "COMPLETED", result: {} };
  expect((await call("POST", `/tasks/${id}/result`, result, "stranger")).status).toBe(403);
  expect((await call("POST", `/tasks/${id}/result`, result, jwt("w1", 2))).status).toBe(200);
  expect((await call("POST", `/tasks/${id}/result`, result, jwt("w1", 2))).status).toBe(409);
  expect((await call("POST", "/tasks/unknown/heartbeat", {})).status).toBe(404);
});

test("a nack waits as long as it says and ends in the dead letters; an abandoned task costs no attempt", async () => {
  const id = await create("FLAKY", { maxAttempts: 2 });
  await claim("FLAKY");
  expect(await call("POST", `/tasks/${id}/abandon`)).toMatchObject({
    body: { status: "requeued" },
  });
  expect(bodyOf(await claim("FLAKY"))["attempts"]).toBe(1);
  const nack = { delaySeconds: 1, reason: "not now" };
  const first = await call("POST", `/tasks/${id}/nack`, nack);
  expect(first.body).toEqual({ status: "requeued", delaySeconds: 1 });
  expect((await call("POST", "/tasks/claim", { commands: ["FLAKY"] })).status).toBe(204);
  expect(bodyOf(await claim("FLAKY"))["attempts"]).toBe(2);
  // Its Python client reads both members of the answer, whatever became of the task.
  const last = await call("POST", `/tasks/${id}/nack`, nack);
  expect(last.body).toEqual({ status: "dlq", delaySeconds: 0 });
  const counts = await call("GET", "/admin/queues/FLAKY");
  expect(counts.body).toEqual({ command: "FLAKY", ready: 0, delayed: 0, inProgress: 0, dlq: 1 });
  expect(bodyOf(await call("GET", `/tasks/${id}/result`))).toMatchObject({
    result: { status: "FAILED", error: "not now" },
  });
});

test("a nack without a delay of its own waits as retries do, also when its client says 0", async () => {
  const held = { id: "job_1", state: "active", worker_id: "codeq-anonymous" };
  const next_attempt_at = new Date(Date.now() + 3500).toISOString();
  await using fixture = httpFixture({
    handlers: {
      getJob: async () => held as never,
      failJob: async () => ({
        ...{ status: "retrying", attempt: 1, next_attempt_at, attempts_remaining: 4 },
      }),
    },
  });
  const url = `${fixture.listen()}/v1/codeq/tasks/job_1/nack`;

  for (const delaySeconds of [0, null, 7]) {
    const body = JSON.stringify({ delaySeconds, reason: "r" });
    const answer = await fetch(url, { method: "POST", body });
    const told = (await answer.json()) as { status: string; delaySeconds: number };
    expect(told.status).toBe("requeued");
    expect(told.delaySeconds).toBeGreaterThan(1);
  }
  const fails = fixture.calls.filter(({ name }) => name === "failJob");
  expect(fails.map(({ input }) => (input as { body: object }).body)).toEqual([
    { error: "r" },
    { error: "r" },
    { error: "r", delay: "7s" },
  ]);
});

test("a heartbeat that came a moment after the lease ended is refused", async () => {
  const id = "job_1";
  const held = { id, state: "active", worker_id: "codeq-anonymous" };
  const lists = { acked: [], unknown: [], canceled: [id] };
  await using fixture = httpFixture({
    handlers: {
      getJob: async () => held as never,
      heartbeat: async () => ({ jobs: { [id]: { status: "cancel" } }, ...lists }),
    },
  });

  const url = `${fixture.listen()}/v1/codeq/tasks/${id}/heartbeat`;
  const answer = await fetch(url, { method: "POST" });

  expect([answer.status, await answer.json()]).toEqual([
    409,
    { error: `task ${id} is not in progress`, code: "LEASE_LOST" },
  ]);
});

test("a task that was written and cannot be read back is not said to be refused", async () => {
  const held = { id: "job_1", state: "active", worker_id: "codeq-anonymous" };
  let reads = 0;
  await using fixture = httpFixture({
    handlers: {
      enqueueJob: async () => ({ job_id: "job_1", status: "pending", unique_existing: false }),
      getQueueDefaults: async ({ params }) => ({ queue: params.name, defaults: {} }),
      ackJob: async () => ({ status: "ok" }),
      getJob: async () => {
        if (reads++ === 1) return held as never;
        throw new CorvoError("UNAVAILABLE", "this node does not lead any more");
      },
    },
  });
  const url = `${fixture.listen()}/v1/codeq/tasks`;
  const post = async (path: string, body: object) => {
    const answer = await fetch(url + path, { method: "POST", body: JSON.stringify(body) });
    return [answer.status, ((await answer.json()) as { code: string }).code];
  };

  expect(await post("", { command: "C", payload: 1 })).toEqual([503, "OUTCOME_UNKNOWN"]);
  expect(await post("/job_1/result", { status: "COMPLETED" })).toEqual([503, "OUTCOME_UNKNOWN"]);
  expect(await post("/job_1/result", { status: "COMPLETED" })).toEqual([503, "UNAVAILABLE"]);
});

test("options that were not given may be a body of null", async () => {
  const made = await call("POST", "/workers/subscriptions", { callbackUrl: "http://example.org/" });
  const { subscriptionId } = bodyOf(made);
  const paths = [`/workers/subscriptions/${subscriptionId}/heartbeat`, "/admin/tasks/cleanup"];
  for (const path of paths) expect((await call("POST", path, "null")).status).toBe(200);
  expect((await call("POST", "/tasks/claim", "null")).status).toBe(400);
});

test("what a client leaves empty or null is left out", async () => {
  const none = { priority: null, webhook: "", maxAttempts: 0, idempotencyKey: "", runAt: "" };
  const id = await create("BLANK", { ...none, delaySeconds: null });
  const taken = await claim("BLANK", { leaseSeconds: null, waitSeconds: null });
  expect(taken).toMatchObject({ status: 200, body: { id, maxAttempts: 5 } });
  const beat = await call("POST", `/tasks/${id}/heartbeat`, { extendSeconds: null });
  expect(beat.status).toBe(200);
  const artifacts = [{ name: "a.txt", url: "https://x/a", contentType: null }];
  const done = await call("POST", `/tasks/${id}/result`, { status: "COMPLETED", artifacts });
  expect(bodyOf(done)["artifacts"]).toEqual([{ name: "a.txt", url: "https://x/a" }]);
});

test("a task whose payload is bytes is claimed and read, wherever its shard is", async () => {
  const lease = { attempt: 1, max_retries: 3, lease_duration: 60, lease_token: "1" };
  const times = { lease_expires_at: "2030-01-01T00:01:00Z", created_at: "2030-01-01T00:00:00Z" };
  const bytes = { queue: "B", payload: null, content_type: "a/b", payload_base64: "AAE=" };
  await using fixture = httpFixture({
    handlers: {
      // As it comes from another node.
      fetchJobs: async () =>
        ({ jobs: [{ job_id: "job_1", priority: 2, ...bytes, ...lease, ...times }] }) as never,
      getJob: async () =>
        ({ id: "job_1", state: "active", priority: 2, ...bytes, ...lease, ...times }) as never,
    },
  });
  const url = `${fixture.listen()}/v1/codeq/tasks`;
  const claimed = await fetch(`${url}/claim`, { method: "POST", body: '{"commands":["B"]}' });
  expect([claimed.status, await claimed.json()]).toMatchObject([200, { payload: "null" }]);
  const read = await fetch(`${url}/job_1`);
  expect([read.status, await read.json()]).toMatchObject([200, { payload: "null" }]);
});

test("artifacts count among the bytes of a result", async () => {
  const id = await create("LARGE");
  await claim("LARGE");
  const artifacts = [{ name: "a", contentBase64: "A".repeat(300_000) }];
  const body = { status: "COMPLETED", result: { n: 1 }, artifacts };
  expect(await call("POST", `/tasks/${id}/result`, body)).toMatchObject({
    ...{ status: 413, body: { code: "PAYLOAD_TOO_LARGE", details: { path: "result" } } },
  });
  const many = await call("POST", "/tasks/batch/results", { results: [{ taskId: id, ...body }] });
  expect(bodyOf(many)["results"]).toMatchObject([
    { error: expect.stringContaining("payloadBytesMax") },
  ]);
  expect(bodyOf(await call("GET", `/tasks/${id}`))["status"]).toBe("IN_PROGRESS");
});

test("a failed result is final", async () => {
  const id = await create("FATAL");
  await claim("FATAL");
  const failed = await call("POST", `/tasks/${id}/result`, { status: "FAILED", error: "no" });
  expect(failed.body).toMatchObject({ taskId: id, status: "FAILED", error: "no" });
  expect(bodyOf(await call("GET", `/tasks/${id}`))["status"]).toBe("FAILED");
});

test("tasks are created, claimed and ended by the batch, each with its own answer", async () => {
  const tasks = [1, 2, 3].map((payload) => ({ command: "MANY", payload }));
  const made = await call("POST", "/tasks/batch", {
    tasks: [...tasks, { command: "MANY", payload: 4, delaySeconds: 600 }],
  });
  expect(bodyOf(made)["results"]).toHaveLength(4);
  const claimed = await call("POST", "/tasks/claim/batch", { commands: ["MANY"], count: 10 });
  const ids = (bodyOf(claimed)["tasks"] as { id: string }[]).map(({ id }) => id);
  expect(ids).toHaveLength(3);
  const ended = await call("POST", "/tasks/batch/results", {
    results: [
      ...ids.map((taskId) => ({ taskId, status: "COMPLETED", result: {} })),
      { taskId: "unknown", status: "COMPLETED", result: {} },
    ],
  });
  const results = bodyOf(ended)["results"] as Record<string, unknown>[];
  expect(results.map((row) => "error" in row)).toEqual([false, false, false, true]);
  const none = await call("POST", "/tasks/claim/batch", { commands: ["MANY"], count: 10 });
  expect(none.status).toBe(204);
});

test("an idempotency key gives the first task again; a time to run at beats a delay", async () => {
  const more = { idempotencyKey: "k", runAt: "2099-01-01T00:00:00Z", delaySeconds: 1 };
  expect(await create("ONCE", more)).toBe(await create("ONCE", more));
  const counts = await call("GET", "/admin/queues/ONCE");
  expect(counts.body).toMatchObject({ ready: 0, delayed: 1 });
});

test("operators see counts, clean up, set topics, and see who leads", async () => {
  await create("OLD");
  const { id } = bodyOf(await claim("OLD")) as { id: string };
  await call("POST", `/tasks/${id}/result`, { status: "COMPLETED", result: {} });
  const before = "2098-01-01T00:00:00Z";
  const cleaned = await call("POST", "/admin/tasks/cleanup", { before });
  expect(cleaned.body).toMatchObject({ before, limit: 1000 });
  expect((await call("GET", `/tasks/${id}`)).status).toBe(404);
  expect(await call("GET", "/admin/queues")).toMatchObject({
    body: expect.arrayContaining([expect.objectContaining({ command: "OLD" })]),
  });

  const topic = { maxAttempts: 7, maxConsumers: 3 };
  expect(await call("PUT", "/admin/topics/T", topic)).toMatchObject({ status: 201, body: topic });
  expect((await call("PUT", "/admin/topics/T", topic)).status).toBe(200);
  expect((await call("PUT", "/admin/topics/T", { retentionSeconds: 1 })).status).toBe(422);
  const taken = await create("T");
  expect(bodyOf(await call("GET", `/tasks/${taken}`))["maxAttempts"]).toBe(7);
  expect((await call("DELETE", "/admin/topics/T")).status).toBe(409);
  expect((await call("DELETE", "/admin/topics/T?deletionPolicy=Delete")).status).toBe(204);
  expect((await call("GET", "/admin/topics/T")).status).toBe(404);
  expect(bodyOf(await call("GET", "/raft/status"))["groups"]).toMatchObject([{ hasLeader: true }]);
});

test("who cleans up what expires by now, or by an empty time, leaves what has just ended", async () => {
  const id = await create("KEPT");
  await claim("KEPT");
  await call("POST", `/tasks/${id}/result`, { status: "COMPLETED", result: {} });
  for (const before of ["", new Date(Date.now() + 60_000).toISOString()]) {
    const cleaned = await call("POST", "/admin/tasks/cleanup", { before });
    expect(bodyOf(cleaned)["deleted"]).toBe(0);
  }
  expect((await call("GET", `/tasks/${id}`)).status).toBe(200);
});

test("a topic has its own members of the queue's defaults, and leaves the others", async () => {
  const others = { timeout: "5m", retry_backoff: "fixed" };
  const path = "/api/v1/queues/TOPIC/defaults";
  await server.call("PUT", path, { ...others, max_retries: 9, dead_queue: "x" });
  await call("PUT", "/admin/topics/TOPIC", { maxAttempts: 3 });
  expect((await server.call("GET", path)).body).toMatchObject({
    defaults: { ...others, max_retries: 3 },
  });
  expect((await call("GET", "/admin/topics/TOPIC")).body).toEqual({
    ...{ name: "TOPIC", maxAttempts: 3 },
  });
  await call("DELETE", "/admin/topics/TOPIC?deletionPolicy=Delete");
  expect((await server.call("GET", path)).body).toEqual({ queue: "TOPIC", defaults: others });
});

test("a worker that subscribes is called when its command has tasks, until it stops renewing", async () => {
  using receiver = new Receiver();
  const made = await call("POST", "/workers/subscriptions", {
    ...{ callbackUrl: receiver.url, eventTypes: ["WAKE"], ttlSeconds: 60 },
    ...{ deliveryMode: "group", groupId: "g", minIntervalSeconds: 1 },
  });
  expect(made.status).toBe(200);
  const { subscriptionId } = bodyOf(made);
  await create("WAKE");

  const [woken] = await receiver.until("a call", (calls) => calls.length > 0);
  expect(JSON.parse(woken?.text ?? "")).toMatchObject({
    ...{ subscription_id: subscriptionId, queue: "WAKE", ready: 1 },
  });
  const path = `/workers/subscriptions/${subscriptionId}/heartbeat`;
  expect(bodyOf(await call("POST", path, { ttlSeconds: 600 }))).toMatchObject({ subscriptionId });
  expect((await call("POST", "/workers/subscriptions/unknown/heartbeat")).status).toBe(404);
  expect((await call("POST", "/workers/subscriptions", { callbackUrl: "x" })).status).toBe(400);
});

test("what is wrong is answered with an error and a code of the 400s", async () => {
  expect((await call("POST", "/tasks", { payload: {} })).status).toBe(400);
  expect((await call("POST", "/tasks/claim", { commands: [] })).status).toBe(400);
  expect((await call("POST", "/tasks/claim/batch", { commands: ["A"], count: 11 })).status).toBe(
    400,
  );
  expect((await call("POST", "/tasks/batch", { tasks: [] })).status).toBe(400);
  expect((await call("GET", "/admin/queues/unknown")).status).toBe(404);
});
