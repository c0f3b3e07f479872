/**
 * What producers of 0.3 send and read, as raw HTTP against a whole server. The bodies are those of the 0.3 client
 * libraries, member for member, nulls included; docs/decisions/0003-wire-compatibility.md lists where answers differ.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { type JobBody, type LiveServer, liveServer } from "../support/live-server.ts";

let server: LiveServer;
beforeAll(async () => {
  server = await liveServer();
});
afterAll(() => server.stop());

type Enqueued = { job_id: string; status: string; unique_existing: boolean };
const enqueue = (body: unknown) => server.post<Enqueued>("/enqueue", body);
const job = (id: string) => server.get<JobBody>(`/jobs/${id}`);
const inMs = (ms: number) => new Date(Date.now() + ms).toISOString();

test("an enqueued job answers 201 with id, status and whether it existed, and can be read", async () => {
  const answer = await server.call("POST", "/api/v1/enqueue", {
    queue: "basic",
    payload: { hello: "world" },
  });
  expect(answer.status).toBe(201);
  expect(answer.body).toEqual({
    job_id: expect.stringMatching(/^job_/),
    status: "pending",
    unique_existing: false,
  });

  const { job_id } = answer.body as Enqueued;
  expect(await job(job_id)).toEqual({
    id: job_id,
    queue: "basic",
    state: "pending",
    payload: { hello: "world" },
    priority: 2,
    attempt: 0,
    max_retries: 3,
    retry_backoff: "exponential",
    retry_base_delay_ms: 5000,
    retry_max_delay_ms: 600_000,
    created_at: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
  } as unknown as JobBody);
  expect(await server.get<{ name: string }[]>("/queues")).toContainEqual(
    expect.objectContaining({ name: "basic", pending: 1, enqueued: 1, paused: false }),
  );
});

test("every option that the client libraries know is taken, and nulls mean absent", async () => {
  const { job_id } = await enqueue({
    queue: "options",
    payload: null,
    priority: "high",
    unique_key: "order-1",
    unique_period: 60,
    max_retries: 5,
    scheduled_at: null,
    tags: { tenant: "acme" },
    expire_after: "1h30m",
    retry_backoff: "linear",
    retry_base_delay: "1s",
    retry_max_delay: "2m",
    chain: null,
    depends_on: [],
    agent: null,
    checkpoint: null,
    parent_id: null,
  });
  expect(await job(job_id)).toMatchObject({
    payload: {},
    priority: 1,
    unique_key: "order-1",
    max_retries: 5,
    tags: { tenant: "acme" },
    retry_backoff: "linear",
    retry_base_delay_ms: 1000,
    retry_max_delay_ms: 120_000,
    expire_at: expect.any(String),
  });
});

test("a backoff without delays, as the Go client sends it, has those that there are by default", async () => {
  const none = { retry_backoff: "none", retry_base_delay: "", retry_max_delay: "" };
  const { job_id } = await server.post<{ job_id: string }>("/enqueue", { queue: "q", ...none });
  expect(await job(job_id)).toMatchObject({ retry_backoff: "none", retry_base_delay_ms: 5000 });
});

test("names of priorities read back as numbers", async () => {
  for (const [name, number] of [
    ["critical", 0],
    ["high", 1],
    ["normal", 2],
  ] as const) {
    const { job_id } = await enqueue({ queue: "names", payload: {}, priority: name });
    expect((await job(job_id)).priority).toBe(number);
  }
});

test("any scheduled_at, a past one too, makes a scheduled job", async () => {
  for (const at of [inMs(3_600_000), "2030-01-31T09:00:00+02:00", inMs(-1000)]) {
    expect((await enqueue({ queue: "later", payload: {}, scheduled_at: at })).status).toBe(
      "scheduled",
    );
  }
});

test("a repeated unique key answers 200 with the id of the job that holds it", async () => {
  const body = { queue: "unique", payload: {}, unique_key: "k" };
  const first = await enqueue(body);
  const again = await server.call("POST", "/api/v1/enqueue", body);

  expect(again).toMatchObject({
    status: 200,
    body: { job_id: first.job_id, status: "duplicate", unique_existing: true },
  });
  expect((await enqueue({ ...body, queue: "unique-2" })).unique_existing).toBe(false);
});

test("a batch answers 201 with its ids in the order of the request", async () => {
  const answer = await server.call("POST", "/api/v1/enqueue/batch", {
    jobs: [0, 1, 2].map((n) => ({ queue: "many", payload: { n } })),
  });
  expect(answer.status).toBe(201);
  const { job_ids } = answer.body as { job_ids: string[] };
  expect(job_ids).toHaveLength(3);
  const { jobs } = await server.post<{ jobs: { payload: unknown }[] }>("/jobs/bulk-get", {
    job_ids,
  });
  expect(jobs.map((one) => one.payload)).toEqual([{ n: 0 }, { n: 1 }, { n: 2 }]);
});

test("a callback runs once all jobs of a batch have ended, with its payload", async () => {
  const { batch_id, job_ids } = await server.post<{ batch_id: string; job_ids: string[] }>(
    "/enqueue/batch",
    {
      jobs: [{ queue: "called" }, { queue: "called" }],
      batch: { callback_queue: "caller", callback_payload: "any" },
    },
  );
  expect(batch_id).toStartWith("batch_");
  const found = await server.post<{ jobs: unknown[] }>("/jobs/search", { batch_id });
  expect(found.jobs).toMatchObject(job_ids.toReversed().map((id) => ({ id, batch_id })));
  for (const id of job_ids) await server.post(`/jobs/${id}/cancel`, {});
  const called = { queues: ["caller"], timeout: 5 };
  expect(await server.post("/fetch", called)).toMatchObject({ payload: "any", max_retries: 0 });
});

test("every job of a batch keeps its own unique key, schedule and time to live", async () => {
  const { results } = await server.post<{ results: Enqueued[] }>("/enqueue/batch", {
    jobs: [
      { queue: "own", payload: {}, unique_key: "k" },
      { queue: "own", payload: {}, unique_key: "k" },
      { queue: "own", payload: {}, scheduled_at: inMs(3_600_000), expire_after: "2h" },
    ],
  });
  expect(results.map((one) => one.status)).toEqual(["pending", "duplicate", "scheduled"]);
});

const refusals: readonly [
  what: string,
  path: string,
  body: unknown,
  status: number,
  code: string,
][] = [
  ["no queue", "/enqueue", { payload: {} }, 400, "VALIDATION_ERROR"],
  ["an empty queue", "/enqueue", { queue: "", payload: {} }, 400, "VALIDATION_ERROR"],
  ["no body", "/enqueue", undefined, 400, "PARSE_ERROR"],
  ["a body that is not JSON", "/enqueue", "{", 400, "PARSE_ERROR"],
  ["no jobs", "/enqueue/batch", { jobs: [] }, 400, "VALIDATION_ERROR"],
  ["an unknown backoff", "/enqueue", { queue: "q", retry_backoff: "x" }, 400, "VALIDATION_ERROR"],
  ["a bad duration", "/enqueue", { queue: "q", expire_after: "soon" }, 400, "VALIDATION_ERROR"],
  ["a bad time", "/enqueue", { queue: "q", scheduled_at: "noon" }, 400, "VALIDATION_ERROR"],
  [
    "a large payload",
    "/enqueue",
    { queue: "q", payload: "x".repeat(262_145) },
    413,
    "PAYLOAD_TOO_LARGE",
  ],
  [
    "a chain of one step",
    "/enqueue",
    { queue: "q", chain: { steps: [{ queue: "q" }] } },
    400,
    "VALIDATION_ERROR",
  ],
  [
    "a chain that begins in another queue",
    "/enqueue",
    { queue: "q", chain: { steps: [{ queue: "p" }, { queue: "q" }] } },
    400,
    "VALIDATION_ERROR",
  ],
  ["an unknown dependency", "/enqueue", { queue: "q", depends_on: ["job_1"] }, 404, "NOT_FOUND"],
  ["an agent", "/enqueue", { queue: "q", agent: { max_iterations: 3 } }, 422, "UNSUPPORTED"],
  [
    "a step of a chain as raw fields",
    "/enqueue/batch",
    { jobs: [{ queue: "q", chain_id: "c" }] },
    422,
    "UNSUPPORTED",
  ],
  ["an unknown parent", "/enqueue", { queue: "q", parent_id: "job_1" }, 404, "NOT_FOUND"],
  [
    "a callback without a queue",
    "/enqueue/batch",
    { jobs: [{ queue: "q" }], batch: { callback_payload: {} } },
    400,
    "VALIDATION_ERROR",
  ],
];
for (const [what, path, body, status, code] of refusals) {
  test(`${what} is refused with ${status} ${code}, and adds nothing`, async () => {
    const before = await server.get<{ jobs: Record<string, number> }>("/status");
    const answer = await server.call("POST", `/api/v1${path}`, body);
    expect(answer).toMatchObject({ status, body: { error: expect.any(String), code } });
    expect((await server.get<typeof before>("/status")).jobs).toEqual(before.jobs);
  });
}

test("every reply has the headers that clients and browsers of 0.3 look for", async () => {
  for (const [method, path] of [
    ["GET", "/api/v1/info"],
    ["POST", "/api/v1/enqueue"],
    ["OPTIONS", "/api/v1/jobs/search"],
  ] as const) {
    const { headers } = await server.call(method, path);
    expect(headers.get("access-control-allow-origin")).toBe("*");
    expect(headers.get("access-control-allow-methods")).toBe("GET, POST, PUT, DELETE, OPTIONS");
    for (const name of ["Content-Type", "Authorization", "X-API-Key", "X-Corvo-Namespace"]) {
      expect(headers.get("access-control-allow-headers")).toContain(name);
    }
    expect(headers.get("server-timing")).toMatch(/^proc;dur=[\d.]+$/);
  }
  expect((await server.call("OPTIONS", "/anything")).status).toBe(200);
});

test("health and versions are where 0.3 has them", async () => {
  expect(await server.call("GET", "/healthz")).toMatchObject({
    status: 200,
    body: { status: "ok" },
  });
  expect(await server.get("/info")).toMatchObject({
    server_version: expect.stringMatching(/^\d+\.\d+\.\d+/),
    api_version: expect.any(String),
  });
});
