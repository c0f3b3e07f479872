/** A node with three shards answers every call as one with a single shard does. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { type Claimed, type JobBody, type LiveServer, liveServer } from "../support/live-server.ts";
import { spreadOverThree as spread } from "../support/spread.ts";
import { tempDir } from "../support/temp-dir.ts";

const shards = 3;

const shardIn = (id: string) => Number.parseInt(id.slice(15, 18), 16);

interface Batch {
  readonly job_ids: string[];
  readonly results: { readonly job_id: string; readonly status: string }[];
}
interface Page {
  readonly jobs: JobBody[];
  readonly total: number;
  readonly total_exact: boolean;
  readonly cursor?: string;
  readonly has_more: boolean;
}

let server: LiveServer;
beforeAll(async () => {
  server = await liveServer({ shards });
});
afterAll(() => server.stop());

const add = (queue: string, extra: object = {}) =>
  server.post<{ job_id: string }>("/enqueue", { queue, payload: 1, ...extra });

/** From a cursor on when the body has one. */
async function pages(
  body: Readonly<Record<string, unknown>> & { readonly cursor?: string | undefined },
): Promise<{ jobs: JobBody[]; totals: number[] }> {
  const jobs: JobBody[] = [];
  const totals: number[] = [];
  let { cursor } = body;
  do {
    const page: Page = await server.post("/jobs/search", { ...body, cursor: cursor ?? null });
    jobs.push(...page.jobs);
    totals.push(page.total);
    expect(page.has_more).toBe(page.cursor !== undefined);
    cursor = page.cursor;
  } while (cursor !== undefined);
  return { jobs, totals };
}

describe("one call, one shard", () => {
  test("a job is in the shard of its queue, and is found by its id", async () => {
    const queues = spread("single");

    for (const [shard, queue] of queues.entries()) {
      const { job_id } = await add(queue);
      expect(shardIn(job_id)).toBe(shard);
      expect(await server.get<JobBody>(`/jobs/${job_id}`)).toMatchObject({ id: job_id, queue });
      const job = await server.post<Claimed>("/fetch", { queues: [queue], wait_ms: 0 });
      expect(job.job_id).toBe(job_id);
      await server.post(`/ack/${job_id}`, { lease_token: job.lease_token });
      expect(await server.get<JobBody>(`/jobs/${job_id}`)).toMatchObject({ state: "completed" });
    }
  });

  test("statuses are those of the table: 200 for a job that exists already, 204 for none, 404 for an unknown one", async () => {
    const [, queue] = spread("statuses");
    await add(queue, { unique_key: "k" });

    const again = await server.call("POST", "/api/v1/enqueue", { queue, unique_key: "k" });
    const none = await server.call("POST", "/api/v1/fetch", {
      queues: spread("nothing"),
      wait_ms: 0,
    });
    const unknown = await server.call("GET", "/api/v1/jobs/job_0000000000000200000000000f");

    expect([again.status, none.status, unknown.status]).toEqual([200, 204, 404]);
  });

  test("a job moves within its shard, and a queue elsewhere is refused with its shard", async () => {
    const [here, there] = spread("move");
    const { job_id } = await add(`{${here}}:a`);

    await server.post(`/jobs/${job_id}/move`, { queue: `{${here}}:b` });
    const refused = await server.call("POST", `/api/v1/jobs/${job_id}/move`, { queue: there });
    const bulk = await server.call("POST", "/api/v1/jobs/bulk", {
      job_ids: [job_id],
      action: "move",
      move_to_queue: there,
    });

    expect(await server.get<JobBody>(`/jobs/${job_id}`)).toMatchObject({ queue: `{${here}}:b` });
    expect(refused.body).toMatchObject({ code: "MOVE_ERROR" });
    expect(bulk.body).toMatchObject({ code: "BULK_ERROR" });
  });
});

test("a node that is asked for the wrong shard of a queue refuses", async () => {
  const [here, there] = spread("wrong");
  const ask = (queue: string, shard: string) =>
    server.call("POST", "/api/v1/enqueue", { queue }, { headers: { "x-corvo-group": shard } });

  expect(await ask(here, "0")).toMatchObject({ status: 201 });
  expect(await ask(there, "0")).toMatchObject({ body: { code: "VALIDATION_ERROR" } });
  expect(await ask(there, "3")).toMatchObject({ body: { code: "VALIDATION_ERROR" } });
});

test("the number of shards outlives a restart, and another one is refused with both", async () => {
  const dir = tempDir();
  const [, queue] = spread("again");
  const start = (asked?: number) => liveServer({ dataDir: dir.path, shards: asked });
  const first = await start(shards);
  const { job_id } = await first.post<{ job_id: string }>("/enqueue", { queue });
  await first.stop();

  expect(start(2)).rejects.toThrow("founded with 3 shards, and --shards 2 was given");
  const second = await start();

  expect(await second.get<JobBody>(`/jobs/${job_id}`)).toMatchObject({ queue, state: "pending" });
  await second.stop();
  dir[Symbol.dispose]();
});

describe("batches", () => {
  test("results come in the order sent, whatever the shards", async () => {
    const queues = spread("batch");
    const order = [2, 0, 1, 1, 0, 2, 0].map((i) => queues[i] ?? "");

    const batch = await server.post<Batch>("/enqueue/batch", {
      jobs: order.map((queue, i) => ({ queue, payload: { i } })),
    });

    expect(batch.job_ids.map(shardIn)).toEqual([2, 0, 1, 1, 0, 2, 0]);
    const { jobs } = await server.post<{ jobs: { id: string; payload: unknown }[] }>(
      "/jobs/bulk-get",
      { job_ids: batch.job_ids },
    );
    expect(jobs.map(({ payload }) => payload)).toEqual(order.map((_, i) => ({ i })));
  });

  test("one bad job refuses the whole batch before any shard has its part", async () => {
    const queues = spread("bad");

    const answer = await server.call("POST", "/api/v1/enqueue/batch", {
      jobs: [...queues.map((queue) => ({ queue })), { queue: queues[0], delay: "soon" }],
    });

    expect(answer).toMatchObject({ status: 400, body: { code: "VALIDATION_ERROR" } });
    for (const queue of queues) {
      expect((await server.call("GET", `/api/v1/queues/${queue}`)).status).toBe(404);
    }
  });

  test("a batch with an idempotency key is added once in every shard", async () => {
    const queues = spread("idem");
    const body = { jobs: queues.map((queue) => ({ queue })), idempotency_key: "once" };

    const first = await server.post<Batch>("/enqueue/batch", body);
    const second = await server.post<Batch>("/enqueue/batch", body);

    expect(second.job_ids).toEqual(first.job_ids);
  });

  test("acks and fails are answered item by item in the order sent", async () => {
    const queues = spread("finish");
    for (const queue of queues) await add(queue);
    const { jobs } = await server.post<{ jobs: Claimed[] }>("/fetch/batch", { queues, count: 3 });
    expect(jobs.map(({ queue }) => queue).toSorted()).toEqual([...queues].toSorted());
    const [one, two, three] = jobs as [Claimed, Claimed, Claimed];

    const beat = await server.post<{ jobs: object; acked: string[]; unknown: string[] }>(
      "/heartbeat",
      {
        jobs: {
          [one.job_id]: { lease_token: one.lease_token },
          [three.job_id]: { lease_token: three.lease_token },
          nonsense: { lease_token: "1" },
        },
      },
    );
    const acked = await server.post<{ acked: number; results: object[] }>("/ack/batch", {
      acks: [
        { job_id: two.job_id, lease_token: two.lease_token },
        { job_id: "nonsense", lease_token: "1" },
        { job_id: one.job_id, lease_token: one.lease_token },
      ],
    });
    const failed = await server.post<{ failed: number }>("/fail/batch", {
      fails: [{ job_id: three.job_id, lease_token: three.lease_token, error: "e" }],
    });

    expect(beat.acked.toSorted()).toEqual([one.job_id, three.job_id].toSorted());
    expect(beat.unknown).toEqual(["nonsense"]);
    expect(acked).toMatchObject({
      acked: 2,
      results: [
        { job_id: two.job_id, status: "ok" },
        { job_id: "nonsense", code: "NOT_FOUND" },
        { job_id: one.job_id, status: "ok" },
      ],
    });
    expect(failed.failed).toBe(1);
  });

  test("the token of one shard is worth nothing in another", async () => {
    const [first, second] = spread("tokens");
    await add(first);
    await add(second);
    const one = await server.post<Claimed>("/fetch", { queues: [first], wait_ms: 0 });
    const other = await server.post<Claimed>("/fetch", { queues: [second], wait_ms: 0 });

    const body = { acks: [{ job_id: other.job_id, lease_token: `${one.lease_token}1` }] };
    const answer = await server.post("/ack/batch", body);

    expect(answer).toMatchObject({ acked: 0, results: [{ code: "LEASE_LOST" }] });
  });
});

describe("claims over shards", () => {
  test("never more jobs than asked for, and every one in the end", async () => {
    const queues = spread("claims");
    await server.post("/enqueue/batch", {
      jobs: Array.from({ length: 30 }, (_, i) => ({ queue: queues[i % 3] })),
    });

    const seen = new Set<string>();
    for (let i = 0; i < 8; i++) {
      const { jobs } = await server.post<{ jobs: Claimed[] }>("/fetch/batch", {
        queues,
        count: 4,
        wait_ms: 0,
      });
      expect(jobs.length).toBeLessThanOrEqual(4);
      for (const { job_id } of jobs) seen.add(job_id);
    }

    expect(seen.size).toBe(30);
  });

  test("a call that waits gets the first job of any shard, and jobs in excess keep their attempt", async () => {
    const queues = spread("waits");
    for (let round = 0; round < 5; round++) {
      const waiting = server.post<Claimed>("/fetch", { queues, wait_ms: 10_000 });
      await server.until((status) => status.waiting_workers >= 3);

      const batch = await server.post<Batch>("/enqueue/batch", {
        jobs: queues.map((queue) => ({ queue })),
      });
      const first = await waiting;
      const rest: Claimed[] = [];
      while (rest.length < 2) {
        rest.push(await server.post<Claimed>("/fetch", { queues, wait_ms: 5000 }));
      }

      const all = [first, ...rest];
      expect(all.map(({ job_id }) => job_id).toSorted()).toEqual(batch.job_ids.toSorted());
      expect(all.map(({ attempt }) => attempt)).toEqual([1, 1, 1]);
      await server.post("/ack/batch", {
        acks: all.map(({ job_id, lease_token }) => ({ job_id, lease_token })),
      });
    }
  });

  test("a call that is given up leaves no worker waiting in any shard", async () => {
    const queues = spread("gone");
    const gone = new AbortController();
    const waiting = server
      .call("POST", "/api/v1/fetch", { queues, wait_ms: 30_000 }, { signal: gone.signal })
      .catch(() => undefined);
    await server.until((status) => status.waiting_workers >= 3);

    gone.abort();
    await waiting;

    await server.until((status) => status.waiting_workers === 0);
  });
});

describe("finding jobs", () => {
  const queues = spread("find");
  let ids: string[];
  beforeAll(async () => {
    ids = [];
    for (let i = 0; i < 31; i++) {
      const { job_id } = await add(queues[(i * 7) % 3] ?? "", {
        priority: i % 10,
        tags: { t: "find" },
        payload: `needle ${i}`,
      });
      ids.push(job_id);
    }
  });

  test.each(["asc", "desc"])("pages by creation, %s, have every job once", async (order) => {
    const { jobs, totals } = await pages({ tags: { t: "find" }, order, limit: 4 });

    const sorted = order === "asc" ? ids.toSorted() : ids.toSorted().reverse();
    expect(jobs.map(({ id }) => id)).toEqual(sorted);
    expect(Math.max(...totals)).toBe(31);
  });

  test.each(["asc", "desc"])("pages by priority, %s, have every job once", async (order) => {
    const { jobs } = await pages({ tags: { t: "find" }, sort: "priority", order, limit: 5 });

    const keys = jobs.map(({ priority }) => priority);
    const sorted = keys.toSorted((one, other) => one - other);
    expect(keys).toEqual(order === "asc" ? sorted : sorted.reverse());
    expect(jobs.map(({ id }) => id).toSorted()).toEqual(ids.toSorted());
  });

  test("a job that goes away between two pages hides no other", async () => {
    const stem = "vanish";
    const own = spread(stem);
    const made: string[] = [];
    for (let i = 0; i < 12; i++) {
      made.push((await add(own[i % 3] ?? "", { tags: { t: stem } })).job_id);
    }
    const body = { tags: { t: stem }, order: "asc", limit: 5 };
    const first = await server.post<Page>("/jobs/search", body);
    for (const { id } of first.jobs) await server.call("DELETE", `/api/v1/jobs/${id}`);

    const rest = await pages({ ...body, cursor: first.cursor });
    const second = await server.post<Page>("/jobs/search", { ...body, cursor: first.cursor });

    const inOrder = made.toSorted();
    expect([...first.jobs, ...second.jobs].map(({ id }) => id)).toEqual(inOrder.slice(0, 10));
    expect(rest.jobs.map(({ id }) => id)).toEqual(inOrder.slice(5));
  });

  test("durations count from the first page in every shard, also in one that it showed nothing of", async () => {
    const stem = "young";
    const jobs = spread(stem).flatMap((queue) => [{ queue }, { queue }]);
    await server.post("/enqueue/batch", { jobs });
    const body = { q: `${stem} created<1s`, limit: 1 };
    const first = await server.post<Page>("/jobs/search", body);
    // They grow too old for a search that begins now.
    while ((await server.post<Page>("/jobs/search", body)).total > 0);

    const rest = await pages({ ...body, cursor: first.cursor });

    expect([...first.jobs, ...rest.jobs]).toHaveLength(jobs.length);
  });

  test.each([
    ["completed_at", "asc"],
    ["completed_at", "desc"],
    ["started_at", "asc"],
    ["attempt", "desc"],
  ])("pages by %s, %s, have every job once, whatever became of it", async (sort, order) => {
    const stem = `end-${sort}-${order}`;
    const own = spread(stem);
    const made: string[] = [];
    for (let i = 0; i < 15; i++) {
      const queue = own[i % 3] ?? "";
      const max_retries = i % 5 === 0 ? 1 : 3;
      const { job_id } = await add(queue, { tags: { t: stem }, max_retries });
      made.push(job_id);
      if (i % 5 === 3) await server.post(`/jobs/${job_id}/cancel`);
      if (i % 5 > 2) continue;
      const claimed = await server.post<Claimed>("/fetch", { queues: [queue], wait_ms: 0 });
      const done = { lease_token: claimed.lease_token };
      // Dead, retrying, completed.
      if (i % 5 === 2) await server.post(`/ack/${claimed.job_id}`, done);
      else await server.post(`/fail/${claimed.job_id}`, { ...done, error: "e" });
    }

    const { jobs } = await pages({ tags: { t: stem }, sort, order, limit: 4 });

    expect(jobs.map(({ id }) => id).toSorted()).toEqual(made.toSorted());
  });

  test("a cursor that no search returned is refused", async () => {
    for (const cursor of ["x", "W10", "WyJzaGFyZHMtMSJd"]) {
      const answer = await server.call("POST", "/api/v1/jobs/search", { cursor });
      expect(answer).toMatchObject({ status: 400, body: { code: "SEARCH_ERROR" } });
    }
  });

  test("text search, queue list and counts are of all shards", async () => {
    const found = await server.get<{ results: { id: string }[] }>(
      "/search/fulltext?q=needle&limit=20",
    );
    const list = await server.get<{ name: string }[]>("/queues");
    const names = list.map(({ name }) => name);
    const status = await server.get<{ shards: number; queues: number }>("/status");

    expect(found.results.map(({ id }) => id)).toEqual(ids.toSorted().reverse().slice(0, 20));
    expect(names).toEqual(names.toSorted());
    for (const queue of queues) expect(names).toContain(queue);
    expect(status).toMatchObject({ shards, queues: names.length });
  });
});

describe("bulk actions", () => {
  test("by ids and by filter they touch every shard, and the counts add up", async () => {
    const queues = spread("bulk");
    const ids: string[] = [];
    for (const queue of queues) {
      ids.push((await add(queue, { tags: { t: "bulk" } })).job_id);
      await add(queue, { tags: { t: "bulk" } });
    }

    const held = await server.post("/jobs/bulk", { job_ids: ids, action: "hold" });
    const cancelled = await server.post("/jobs/bulk", {
      filter: { tags: { t: "bulk" } },
      action: "cancel",
    });

    expect(held).toMatchObject({ matched: 3, affected: 3 });
    expect(cancelled).toMatchObject({ matched: 6, affected: 6 });
  });

  test("one in the background tells its progress as a whole", async () => {
    const queues = spread("later");
    for (const queue of queues) await add(queue, { tags: { t: "later" } });

    const begun = await server.call("POST", "/api/v1/jobs/bulk", {
      filter: { tags: { t: "later" } },
      action: "delete",
      async: true,
    });
    const { bulk_operation_id: id } = begun.body as { bulk_operation_id: string };
    const view = () =>
      server.get<{ status: string; affected: number; total: number }>(`/bulk/${id}`);
    let seen = await view();
    while (seen.status === "running") seen = await view();

    expect(begun.status).toBe(202);
    expect(seen).toMatchObject({ id, status: "completed", total: 3, affected: 3 });
    expect((await server.call("GET", "/api/v1/bulk/7-x.1")).status).toBe(404);
  });
});
