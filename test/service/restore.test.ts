/** Jobs and queues as a document: out of one server and into another, and as 0.3 wrote it. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { shardOfQueue } from "../../src/base/placement.ts";
import { type Claimed, type LiveServer, liveServer } from "../support/live-server.ts";

interface Document {
  readonly namespace: string;
  readonly created_at: string;
  readonly jobs: ({ id: string; state: string; queue: string } & Record<string, unknown>)[];
  readonly queues: ({ name: string } & Record<string, unknown>)[];
  readonly meta: { format: number };
}
interface Restored {
  readonly status: string;
  readonly restored_jobs: number;
  readonly refused: { job_id: string; code: string; error: string }[];
  readonly kept: string[];
}

const number = '{"n":12345678901234567890,"b":1.0,"a":2}';

async function rawJob(server: LiveServer, id: string): Promise<string> {
  return (await fetch(`${server.url}/api/v1/jobs/${id}`)).text();
}

async function backup(server: LiveServer, queues = ""): Promise<Document> {
  return server.get<Document>(`/admin/backup?namespace=default&queues=${queues}`);
}

const claim = (server: LiveServer, queue: string) =>
  server.post<Claimed>("/fetch", { queues: [queue], wait_ms: 0 });

/** Jobs in every state, with what can be set of a queue. */
async function fill(server: LiveServer): Promise<void> {
  const add = (queue: string, more: object = {}) =>
    server.call(
      "POST",
      "/api/v1/enqueue",
      JSON.stringify({ queue, ...more }).replace('"NUMBER"', number),
    );
  await add("mail", { payload: "NUMBER", tags: { customer: "7" }, max_retries: 5, priority: 1 });
  const done = await claim(server, "mail");
  await server.call(
    "POST",
    `/api/v1/ack/${done.job_id}`,
    `{"lease_token":"${done.lease_token}","result":${number}}`,
  );
  await add("mail", { max_retries: 1 });
  const dead = await claim(server, "mail");
  const failure = { lease_token: dead.lease_token, error: "no", backtrace: "at line 1" };
  await server.post(`/fail/${dead.job_id}`, failure);
  await add("mail", { max_retries: 3, retry_base_delay: "1h" });
  const retrying = await claim(server, "mail");
  await server.post(`/fail/${retrying.job_id}`, { lease_token: retrying.lease_token, error: "e" });
  await add("mail");
  await claim(server, "mail");
  await add("mail", { scheduled_at: "2090-01-01T00:00:00Z", unique_key: "once" });
  await add("mail", { expire_after: "10h" });
  await add("other", { payload: { other: true } });
  await server.call("PUT", "/api/v1/queues/mail/defaults", { max_retries: 9 });
  await server.post("/queues/mail/concurrency", { max: 3 });
  await server.post("/queues/mail/pause");
}

describe.each([1, 3])("with %d shards", (shards) => {
  let from: LiveServer;
  let to: LiveServer;
  beforeAll(async () => {
    from = await liveServer({ shards });
    to = await liveServer({ shards });
    await fill(from);
  });
  afterAll(async () => {
    await from.stop();
    await to.stop();
  });

  test("[BU6] a queue comes back into another server with all of its jobs, under their ids", async () => {
    const document = await backup(from, "mail");
    expect(document).toMatchObject({ namespace: "default", meta: { format: 1 } });
    expect(document.queues.map(({ name }) => name)).toEqual(["mail"]);
    expect(document.jobs.map(({ state }) => state).sort()).toEqual(
      ["active", "completed", "dead", "pending", "retrying", "scheduled"].sort(),
    );

    const raw = await (
      await fetch(`${from.url}/api/v1/admin/backup?namespace=default&queues=mail`)
    ).text();
    const restored = (await to.call("POST", "/api/v1/admin/restore", raw)).body as Restored;

    expect(restored).toMatchObject({ status: "ok", restored_jobs: 6, refused: [], kept: [] });
    for (const { id, state } of document.jobs) {
      const [one, other] = [await rawJob(from, id), await rawJob(to, id)];
      if (state !== "active") expect(other).toBe(one);
      else expect(JSON.parse(other)).toMatchObject({ state: "pending", attempt: 1 });
    }
    expect(await to.get("/queues/mail")).toMatchObject({ paused: true, max_concurrency: 3 });
    expect(await to.get("/queues/mail/defaults")).toMatchObject({ defaults: { max_retries: 9 } });
    const found = await to.post<{ total: number }>("/jobs/search", {
      queue: "mail",
      created_before: new Date().toISOString(),
    });
    expect(found.total).toBe(6);

    const again = (await to.call("POST", "/api/v1/admin/restore", raw)).body as Restored;
    expect(again).toMatchObject({ restored_jobs: 0, kept: expect.arrayContaining(["queue mail"]) });
    expect(again.refused.map(({ code }) => code)).toEqual(Array(6).fill("CONFLICT"));
    const anew = (
      await to.call("POST", "/api/v1/admin/restore", { ...JSON.parse(raw), new_ids: true })
    ).body as Restored;
    // One of them had a unique key, which its first copy holds.
    expect(anew).toMatchObject({ restored_jobs: 5 });
    expect(
      await to.post<Claimed | undefined>("/fetch", { queues: ["mail"], wait_ms: 0 }),
    ).toBeUndefined();
    await to.post("/queues/mail/resume");
    expect((await claim(to, "mail")).job_id).toStartWith("job_");
  });

  test("[BU6] everything is one document, and single queues are part of it", async () => {
    const all = await backup(from);

    expect(all.queues.map(({ name }) => name).sort()).toEqual(["mail", "other"]);
    expect(all.jobs).toHaveLength(7);
    expect((await from.call("GET", "/api/v1/admin/backup?queues=nope")).status).toBe(404);
    expect((await from.call("GET", "/api/v1/admin/backup?namespace=x")).status).toBe(422);
    expect((await from.call("GET", "/api/v1/backup?queues=nope")).status).toBe(404);
  });

  test("[BU5] one backup at a time", async () => {
    const first = await fetch(`${from.url}/api/v1/backup`);
    const reader = first.body?.getReader();
    await reader?.read();
    const second = await from.call("GET", "/api/v1/admin/backup");
    if (second.status === 429) expect(second.body).toMatchObject({ code: "OVERLOADED" });
    await reader?.cancel();
    for (;;) {
      const answer = await fetch(`${from.url}/api/v1/backup`);
      await answer.arrayBuffer();
      if (answer.ok) break;
    }
  });

  test("[BU6] a document of 0.3 is read as far as it goes", async () => {
    const at = "2026-01-02T03:04:05.678901Z";
    // Nanoseconds and a counter: as long as an id of ours, and one of 4096 seems to be of the first shard.
    const idOf = (count: number) => `job_1886d5c4b12000dd${count.toString(16).padStart(10, "0")}`;
    const document = {
      namespace: "default",
      created_at: at,
      jobs: [
        {
          ...{ id: idOf(1), queue: "legacy", state: "dead", payload: { a: 1 }, priority: 1 },
          ...{ attempt: 2, max_retries: 2, retry_backoff: "fixed", created_at: at, failed_at: at },
          errors: [
            { id: 1, job_id: "x", attempt: 1, error: "bad", backtrace: null, created_at: at },
          ],
          ...{ checkpoint: null, result: null, tags: { k: "v" }, started_at: at },
        },
        {
          id: idOf(2),
          queue: "legacy",
          state: "active",
          payload: [1],
          priority: 2,
          created_at: at,
        },
        {
          id: idOf(3),
          queue: "legacy",
          state: "completed",
          payload: 1,
          priority: 0,
          completed_at: at,
        },
      ],
      queues: [{ name: "legacy", paused: false, max_concurrency: 4, pending: 1 }],
      meta: { format: 1 },
    };

    const restored = await to.post<Restored>("/admin/restore", document);

    expect(restored).toMatchObject({ restored_jobs: 3, refused: [] });
    const { job_id: next } = await to.post<{ job_id: string }>("/enqueue", { queue: "next" });
    expect(Number.parseInt(next.slice(-12), 16)).toBeLessThan(1000);
    const page = await to.post<{ jobs: { id: string; state: string }[] }>("/jobs/search", {
      queue: "legacy",
      state: ["dead"],
    });
    const job = await to.get<object>(`/jobs/${page.jobs[0]?.id}`);
    expect(job).toMatchObject({
      ...{ state: "dead", payload: { a: 1 }, attempt: 2, max_retries: 2, tags: { k: "v" } },
      failed_at: "2026-01-02T03:04:05.678Z",
      errors: [{ attempt: 1, error: "bad" }],
    });
    expect(await to.get("/queues/legacy")).toMatchObject({
      ...{ dead: 1, pending: 1, completed: 1, max_concurrency: 4 },
    });
  });

  test("[BU6] jobs of 0.3 get new ids, though theirs are as long as ours, and what was tied to others is held", async () => {
    const at = "2026-02-20T10:00:00.123456789Z";
    const job = { queue: "old", state: "pending", payload: 1, priority: 2, created_at: at };
    // Sixteen digits of nanoseconds and ten of a counter.
    const document = {
      jobs: [
        { ...job, id: "job_1895ec143dfa0d150000000001", batch_id: "", chain_id: "" },
        { ...job, id: "job_1895ec143df000150000000002", state: "dead", chain_id: "chn_1" },
        { ...job, id: "job_1895ec143df001150000000003", batch_id: "batch_1" },
        { ...job, id: "job_1895ec143dfa0dff0000000004", chain_id: "chn_1", chain_step: 1 },
        {
          ...{ ...job, id: "s01_job_1895ec143dfa0dff0000000005" },
          chain_config: { depends_on: ["job_1895ec143dfa0d150000000001"] },
        },
        { ...job, id: "job_1895ec143dfa0dff0000000006", chain_config: { depends_on: [] } },
      ],
    };

    const restored = await to.post<Restored>("/admin/restore", document);

    expect(restored).toMatchObject({ restored_jobs: 6, refused: [] });
    const { jobs } = await to.post<{ jobs: { id: string; created_at: string }[] }>("/jobs/search", {
      ...{ queue: "old", order: "asc" },
    });
    const shown = await Promise.all(jobs.map(({ id }) => to.get<object>(`/jobs/${id}`)));
    expect(shown).toMatchObject([
      { state: "pending" },
      { state: "dead" },
      { state: "held", hold_reason: "restored without a batch" },
      { state: "held", hold_reason: "restored without a chain" },
      { state: "held", hold_reason: "restored without other jobs that it depends on" },
      { state: "pending" },
    ]);
    for (const { id } of document.jobs) {
      expect((await to.call("GET", `/api/v1/jobs/${id}`)).status).toBe(404);
    }
  });

  test("[BU6] an unfinished job of 0.3 that was tied to others is held", async () => {
    const job = { queue: "tied", payload: 1 };
    const jobs = [
      { ...job, state: "pending", chain_id: "chn_1", chain_step: 1, chain_config: {} },
      { ...job, state: "scheduled", scheduled_at: "2030-01-01T00:00:00Z", batch_id: "batch_1" },
      { ...job, state: "pending", chain_config: { depends_on: ["job_1"] } },
      { ...job, state: "active", chain_config: { depends_on: ["job_1"] } },
      { ...job, state: "completed", chain_id: "chn_1" },
      { ...job, state: "held", hold_reason: "why" },
    ];

    const restored = await to.post<Restored>("/admin/restore", { jobs, meta: { format: 1 } });

    expect(restored).toMatchObject({ restored_jobs: 6, refused: [] });
    const all = await to.post<{ jobs: { id: string }[] }>("/jobs/search", { queue: "tied" });
    const shown = await Promise.all(
      all.jobs.map(({ id }) => to.get<Record<string, unknown>>(`/jobs/${id}`)),
    );
    const reasons = shown.map((one) => one["hold_reason"]).filter((reason) => reason !== undefined);
    expect(reasons.sort()).toEqual([
      ...["restored without a batch", "restored without a chain"],
      ...["restored without other jobs that it depends on", "why"],
    ]);
    expect(await to.get("/queues/tied")).toMatchObject({ held: 4, pending: 1, completed: 1 });
  });

  test("[BU6] what is wrong with a document is said, and nothing of it is done", async () => {
    const job = { id: "job_1", queue: "w", corvo: "{}" };
    for (const corvo of ["no", "[]", '{"seq":1}', '{"queue":"w","state":"active"}']) {
      const answer = await to.call("POST", "/api/v1/admin/restore", { jobs: [{ ...job, corvo }] });
      const refused = (answer.body as Partial<Restored>).refused?.length ?? 0;
      expect(answer.status === 200 ? refused : 1).toBe(1);
      expect(answer.status).toBeLessThan(500);
    }
    for (const corvo of [
      '{"limits":[1],"schedules":[]}',
      '{"limits":[{"target":{}}],"schedules":[]}',
    ]) {
      const answer = await to.call("POST", "/api/v1/admin/restore", {
        queues: [{ name: "w", corvo }],
      });
      expect([400, 500].includes(answer.status) && answer.status).toBe(400);
    }
  });

  if (shards > 1) {
    test("[BU6] ids of a cluster with another number of shards are refused, and new ones given if wanted", async () => {
      const single = await liveServer({ shards: 1 });
      try {
        const queue =
          ["a", "b", "c", "d", "e"].find((name) => shardOfQueue(name, shards) > 0) ?? "";
        await single.post("/enqueue", { queue });
        const document = await backup(single, queue);
        const refused = await to.post<Restored>("/admin/restore", document);
        const restored = await to.post<Restored>("/admin/restore", { ...document, new_ids: true });

        expect(refused.refused).toMatchObject([{ code: "CONFLICT" }]);
        expect(restored).toMatchObject({ restored_jobs: 1, refused: [] });
      } finally {
        await single.stop();
      }
    });
  }
});
