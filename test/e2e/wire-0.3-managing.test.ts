/**
 * What operators' tools of 0.3 send and read, as raw HTTP against a whole server: jobs by id, bulk actions, search and
 * queues. Job states come about by the calls that cause them, never by hand.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { type Claimed, type JobBody, type LiveServer, liveServer } from "../support/live-server.ts";

let server: LiveServer;
beforeAll(async () => {
  server = await liveServer();
});
afterAll(() => server.stop());

const job = (id: string) => server.get<JobBody>(`/jobs/${id}`);
const claim = (queue: string, timeout = 30) =>
  server.call("POST", "/api/v1/fetch", { queues: [queue], worker_id: "w", hostname: "h", timeout });

type State =
  | "pending"
  | "scheduled"
  | "active"
  | "retrying"
  | "completed"
  | "dead"
  | "cancelled"
  | "held";
let queues = 0;

/** A job in the state, alone in a queue of its own. */
async function jobIn(state: State, options: object = {}): Promise<{ id: string; queue: string }> {
  const queue = `in-${state}-${queues++}`;
  const { job_id: id } = await server.post<{ job_id: string }>("/enqueue", {
    queue,
    payload: {},
    max_retries: state === "dead" ? 1 : 3,
    ...(state === "scheduled" ? { scheduled_at: "2099-01-01T00:00:00Z" } : {}),
    ...options,
  });
  if (state === "cancelled") await server.post(`/jobs/${id}/cancel`);
  if (state === "held") await server.post(`/jobs/${id}/hold`);
  if (["active", "retrying", "completed", "dead"].includes(state)) await claim(queue);
  if (state === "retrying" || state === "dead") await server.post(`/fail/${id}`, { error: "e" });
  if (state === "completed") await server.post(`/ack/${id}`, {});
  expect((await job(id)).state).toBe(state);
  return { id, queue };
}

const actions: readonly [action: string, from: State, status: string, to: State][] = [
  ["retry", "dead", "retried", "pending"],
  ["retry", "cancelled", "retried", "pending"],
  ["retry", "completed", "retried", "pending"],
  ["retry", "scheduled", "retried", "pending"],
  ["cancel", "pending", "cancelled", "cancelled"],
  ["cancel", "scheduled", "cancelled", "cancelled"],
  ["cancel", "retrying", "cancelled", "cancelled"],
  ["cancel", "active", "cancelling", "cancelled"],
  ["hold", "pending", "held", "held"],
  ["hold", "active", "held", "held"],
  ["hold", "scheduled", "held", "held"],
  ["hold", "retrying", "held", "held"],
  ["approve", "held", "pending", "pending"],
  ["reject", "held", "dead", "dead"],
];
for (const [action, from, status, to] of actions) {
  test(`${action} takes a ${from} job to ${to} and answers ${status}`, async () => {
    const { id } = await jobIn(from);
    expect(await server.call("POST", `/api/v1/jobs/${id}/${action}`)).toMatchObject({
      status: 200,
      body: { status },
    });
    expect((await job(id)).state).toBe(to);
  });
}

const wrongStates: readonly [action: string, from: State][] = [
  ["retry", "pending"],
  ["retry", "active"],
  ["cancel", "completed"],
  ["cancel", "dead"],
  ["hold", "held"],
  ["hold", "completed"],
  ["approve", "pending"],
  ["reject", "pending"],
];
for (const [action, from] of wrongStates) {
  const code = `${action.toUpperCase()}_ERROR`;
  test(`${action} of a ${from} job is refused with 400 ${code}`, async () => {
    const { id } = await jobIn(from);
    expect(await server.call("POST", `/api/v1/jobs/${id}/${action}`)).toMatchObject({
      status: 400,
      body: { code },
    });
    expect((await job(id)).state).toBe(from);
  });
}

test("an unknown job answers 404 to everything", async () => {
  const calls: [string, string, unknown?][] = [
    ["GET", "jobs/job_nope"],
    ["DELETE", "jobs/job_nope"],
    ["POST", "jobs/job_nope/move", { queue: "q" }],
    ...["retry", "cancel", "hold", "approve", "reject"].map(
      (action) => ["POST", `jobs/job_nope/${action}`] as [string, string],
    ),
  ];
  for (const [method, path, body] of calls) {
    expect(await server.call(method, `/api/v1/${path}`, body)).toMatchObject({
      status: 404,
      body: { code: "NOT_FOUND" },
    });
  }
});

test("retry counts attempts from zero", async () => {
  const { id, queue } = await jobIn("dead");
  await server.post(`/jobs/${id}/retry`);
  expect(await job(id)).toMatchObject({ attempt: 0 });
  expect((await claim(queue)).body).toMatchObject({ job_id: id, attempt: 1 });
});

test("move keeps the state and delete removes a job in any", async () => {
  for (const state of ["pending", "scheduled", "retrying", "completed", "dead", "held"] as const) {
    const { id, queue: from } = await jobIn(state);
    const queue = `{${from}}.moved`;
    expect(await server.post(`/jobs/${id}/move`, { queue })).toEqual({ status: "moved" });
    expect(await job(id)).toMatchObject({ state, queue });
    expect(await server.call("DELETE", `/api/v1/jobs/${id}`)).toMatchObject({
      status: 200,
      body: { status: "deleted" },
    });
    expect((await server.call("GET", `/api/v1/jobs/${id}`)).status).toBe(404);
  }
});

test("a held job is not claimed before it is approved", async () => {
  const { id, queue } = await jobIn("held");
  expect((await claim(queue, 0.05)).status).toBe(204);
  await server.post(`/jobs/${id}/approve`);
  expect((await claim(queue)).body).toMatchObject({ job_id: id });
});

test("a rejected job is dead with the reason among its errors", async () => {
  const { id } = await jobIn("held");
  await server.post(`/jobs/${id}/reject`);
  const rejected = await job(id);
  expect(rejected.failed_at).toBeString();
  expect(rejected.errors).toHaveLength(1);
});

test("a job whose time to live ends is dead, with the error of 0.3", async () => {
  const { id } = await jobIn("pending", { expire_after: "60ms" });
  expect(await server.get(`/jobs/${id}/wait`)).toMatchObject({
    state: "dead",
    errors: [{ error: "job expired" }],
  });
});

test("bulk-get skips what does not exist, and takes at most 1000 ids", async () => {
  const { id } = await jobIn("dead");
  const get = (job_ids: string[]) => server.call("POST", "/api/v1/jobs/bulk-get", { job_ids });
  expect((await get([id, "job_nope"])).body).toMatchObject({ jobs: [{ id, errors: [{}] }] });
  expect((await get(["job_nope"])).body).toEqual({ jobs: [] });
  expect((await get([])).body).toEqual({ jobs: [] });
  expect((await get(Array.from({ length: 1001 }, () => id))).status).toBe(400);
});

const bulkActions: readonly [action: string, extra: object, from: State, to: State | undefined][] =
  [
    ["retry", {}, "dead", "pending"],
    ["requeue", {}, "dead", "pending"],
    ["delete", {}, "pending", undefined],
    ["cancel", {}, "pending", "cancelled"],
    ["move", { move_to_queue: "elsewhere" }, "pending", "pending"],
    ["change_priority", { priority: "critical" }, "pending", "pending"],
    ["hold", {}, "pending", "held"],
    ["approve", {}, "held", "pending"],
    ["reject", {}, "held", "dead"],
  ];
for (const [action, extra, from, to] of bulkActions) {
  test(`bulk ${action} acts on the ids it can and skips the others`, async () => {
    const place = action === "move" ? { queue: "{elsewhere}.from" } : {};
    const jobs = [await jobIn(from, place), await jobIn(from, place), await jobIn("completed")];
    const last = action === "delete" || action === "retry" || action === "move";
    const job_ids = jobs.slice(0, last ? 2 : 3).map((one) => one.id);
    const done = await server.call("POST", "/api/v1/jobs/bulk", { job_ids, action, ...extra });
    expect(done).toMatchObject({ status: 200, body: { affected: 2, errors: 0 } });
    expect(done.body).toHaveProperty("duration_ms");
    expect(Number.isInteger((done.body as { duration_ms: unknown }).duration_ms)).toBe(true);
    for (const { id } of jobs.slice(0, 2)) {
      if (to === undefined) {
        expect((await server.call("GET", `/api/v1/jobs/${id}`)).status).toBe(404);
        continue;
      }
      const changed = await job(id);
      expect(changed.state).toBe(to);
      if (action === "move") expect(changed.queue).toBe("elsewhere");
      if (action === "change_priority") expect(changed.priority).toBe(0);
      if (action === "requeue") expect(changed.attempt).toBe(1);
    }
  });
}

test("bulk by filter touches what matches, and nothing matching is no error", async () => {
  const { queue } = await jobIn("dead");
  const retry = { action: "retry", filter: { queue, state: ["dead"] }, async: false };
  expect(await server.post("/jobs/bulk", retry)).toMatchObject({ affected: 1, errors: 0 });
  expect(await server.post("/jobs/bulk", retry)).toMatchObject({ affected: 0, errors: 0 });
  expect(await server.post("/jobs/bulk", { action: "cancel", job_ids: [] })).toMatchObject({
    affected: 0,
  });
});

test("job_ids win over a filter", async () => {
  const [named, matching] = [await jobIn("pending"), await jobIn("pending")];
  const body = { action: "cancel", job_ids: [named.id], filter: { queue: matching.queue } };
  expect(await server.post("/jobs/bulk", body)).toMatchObject({ affected: 1 });
  expect((await job(matching.id)).state).toBe("pending");
});

test("bulk in the background answers 202 and can be followed to its end", async () => {
  const jobs = [await jobIn("pending"), await jobIn("pending"), await jobIn("pending")];
  const job_ids = jobs.map((one) => one.id);
  const started = await server.call("POST", "/api/v1/jobs/bulk", {
    job_ids,
    action: "cancel",
    async: true,
  });
  expect(started).toMatchObject({ status: 202, body: { status: "queued" } });

  const { bulk_operation_id: id } = started.body as { bulk_operation_id: string };
  for (const job_id of job_ids) await server.get(`/jobs/${job_id}/wait`);
  expect(await server.get(`/bulk/${id}`)).toMatchObject({
    id,
    status: "completed",
    action: "cancel",
    total: 3,
    processed: 3,
    affected: 3,
    errors: 0,
    created_at: expect.any(String),
    updated_at: expect.any(String),
    finished_at: expect.any(String),
  });
  expect((await server.call("GET", "/api/v1/bulk/bulk_nope")).status).toBe(404);
});

const badBulks: readonly [what: string, body: object, status: number][] = [
  ["an unknown action", { action: "explode", job_ids: [] }, 400],
  ["neither ids nor filter", { action: "cancel" }, 400],
  ["an empty filter", { action: "cancel", filter: {} }, 400],
  ["a misspelt filter", { action: "cancel", filter: { queue: "q", states: ["dead"] } }, 400],
  [
    "a filter by unknown jq",
    { action: "delete", filter: { queue: "q", payload_jq: ".a[0]" } },
    400,
  ],
  ["a limit", { action: "cancel", filter: { queue: "q", limit: 10 } }, 400],
  ["a cursor", { action: "cancel", filter: { queue: "q", cursor: "x" } }, 400],
  ["a move to nowhere", { action: "move", job_ids: [] }, 400],
  ["a priority that is missing", { action: "change_priority", job_ids: [] }, 400],
];
for (const [what, body, status] of badBulks) {
  test(`bulk with ${what} is refused with ${status}`, async () => {
    expect((await server.call("POST", "/api/v1/jobs/bulk", body)).status).toBe(status);
  });
}

interface Found {
  readonly jobs: readonly unknown[];
  readonly total: number;
  readonly has_more: boolean;
  readonly duration_ms: number;
}

test("a search finds by queue, state, text, tags and more, and an empty one is an empty list", async () => {
  const queue = `search-${queues++}`;
  const jobs = [
    { queue, payload: { n: "needle" }, tags: { a: "1" }, unique_key: "u" },
    { queue, payload: { n: 2 }, priority: "high", parent_id: "$0" },
  ];
  const { job_ids } = await server.post<{ job_ids: string[] }>("/enqueue/batch", { jobs });
  const [parent] = job_ids;
  await claim(queue);
  const filters: [object, number][] = [
    [{}, 2],
    [{ state: ["pending"] }, 1],
    [{ state: ["pending", "active"] }, 2],
    [{ payload_contains: "needle" }, 1],
    [{ tags: { a: "1" } }, 1],
    [{ tags: { a: "2" } }, 0],
    [{ priority: "high" }, 1],
    [{ unique_key: "u" }, 1],
    [{ parent_id: parent }, 1],
    [{ worker_id: "w" }, 1],
    [{ job_id_prefix: job_ids[0] }, 1],
    [{ attempt_min: 1 }, 1],
    [{ attempt_max: 0 }, 1],
    [{ created_after: "2000-01-01T00:00:00Z" }, 2],
    [{ created_before: "2000-01-01T00:00:00Z" }, 0],
    [{ has_errors: false, sort: "priority", order: "asc", limit: 0, cursor: null }, 2],
  ];
  for (const [filter, total] of filters) {
    const found = await server.post<Found>("/jobs/search", { queue, ...filter });
    expect([filter, found.total, found.jobs.length]).toEqual([filter, total, total]);
    // The Go client reads the time into an integer, and with any other number refuses the answer.
    expect([found.has_more, Number.isInteger(found.duration_ms)]).toEqual([false, true]);
  }
  for (const [expression, total] of [
    [".n == 2", 1],
    [".n != 2", 1],
    [".n > 1", 1],
    [".missing == null", 2],
    ['.n | startswith("x")', 0],
  ]) {
    const jq = { queue, payload_jq: expression };
    const found = await server.post<{ total: number }>("/jobs/search", jq);
    expect([expression, found.total]).toEqual([expression, total]);
  }
  const refused = await server.call("POST", "/api/v1/jobs/search", { payload_jq: ".n + 2" });
  expect(refused).toMatchObject({ status: 400, body: { code: "SEARCH_ERROR" } });
});

test("pages are joined by their cursors, newest first unless asked otherwise", async () => {
  const queue = `pages-${queues++}`;
  const jobs = Array.from({ length: 5 }, (_, n) => ({ queue, payload: { n } }));
  const { job_ids } = await server.post<{ job_ids: string[] }>("/enqueue/batch", { jobs });
  type Page = { jobs: JobBody[]; cursor?: string; has_more: boolean };
  for (const order of ["desc", "asc"]) {
    const seen: string[] = [];
    let cursor: string | undefined;
    do {
      const body = { queue, order, limit: 2, ...(cursor === undefined ? {} : { cursor }) };
      const page: Page = await server.post<Page>("/jobs/search", body);
      seen.push(...page.jobs.map((one) => one.id));
      expect(page.has_more).toBe(page.cursor !== undefined);
      cursor = page.cursor;
    } while (cursor !== undefined);
    expect(seen).toEqual(order === "asc" ? job_ids : job_ids.toReversed());
  }
});

test("full-text search finds a word of a payload", async () => {
  const { id } = await jobIn("pending", { payload: { text: "unmistakable" } });
  expect(await server.get("/search/fulltext?q=unmistakable&limit=10")).toMatchObject({
    q: "unmistakable",
    results: [{ id, state: "pending", payload: expect.any(String), tags: expect.any(String) }],
  });
  expect((await server.call("GET", "/api/v1/search/fulltext")).status).toBe(400);
});

test("a paused queue gives nothing, and its jobs again when it is resumed", async () => {
  const { id, queue } = await jobIn("pending");
  const post = (action: string) => server.call("POST", `/api/v1/queues/${queue}/${action}`);
  expect(await post("pause")).toMatchObject({ status: 200, body: { status: "paused" } });
  expect((await claim(queue, 0.05)).status).toBe(204);
  expect(await post("resume")).toMatchObject({ status: 200, body: { status: "resumed" } });
  expect((await claim(queue)).body).toMatchObject({ job_id: id });
  expect(await post("drain")).toMatchObject({ status: 200, body: { status: "draining" } });
});

test("pausing an unknown queue makes it", async () => {
  await server.post("/queues/not-yet/pause");
  const listed = await server.get<{ name: string; paused: boolean }[]>("/queues");
  expect(listed).toContainEqual(expect.objectContaining({ name: "not-yet", paused: true }));
});

test("clear removes what waits and delete removes the queue", async () => {
  const { queue } = await jobIn("pending");
  const later = { queue, payload: {}, scheduled_at: "2099-01-01T00:00:00Z" };
  await server.post("/enqueue", later);
  expect(await server.post(`/queues/${queue}/clear`)).toMatchObject({ status: "cleared" });
  expect(await server.get(`/queues/${queue}`)).toMatchObject({ pending: 0, scheduled: 0 });
  expect(await server.call("DELETE", `/api/v1/queues/${queue}`)).toMatchObject({
    status: 200,
    body: { status: "deleted" },
  });
  const names = (await server.get<{ name: string }[]>("/queues")).map((one) => one.name);
  expect(names).not.toContain(queue);
});

test("queues are counted by state", async () => {
  const { queue } = await jobIn("pending");
  const jobs = [
    { queue, payload: {} },
    { queue, payload: {} },
  ];
  await server.post("/enqueue/batch", { jobs });
  const first = (await claim(queue)).body as Claimed;
  await server.post(`/ack/${first.job_id}`, {});
  await claim(queue);
  const listed = await server.get<{ name: string }[]>("/queues");
  expect(listed.find((one) => one.name === queue)).toEqual({
    name: queue,
    paused: false,
    created_at: expect.any(String),
    pending: 1,
    active: 1,
    held: 0,
    completed: 1,
    dead: 0,
    scheduled: 0,
    retrying: 0,
    cancelled: 0,
    enqueued: 3,
    bytes: expect.any(Number),
    failed: 0,
    oldest_pending_at: expect.any(String),
  } as { name: string });
});
