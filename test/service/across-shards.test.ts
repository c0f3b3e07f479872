/** Jobs that belong together though they are in different shards of a node, over HTTP. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { formatGroupId, formatJobId } from "../../src/base/ids.ts";
import type { NewJob } from "../../src/engine/change.ts";
import { mailLevel, needOf } from "../../src/engine/feature-levels.ts";
import type { JobOptions } from "../../src/engine/options.ts";
import { isAcross } from "../../src/service/relations.ts";
import { type Claimed, type LiveServer, liveServer } from "../support/live-server.ts";
import { spreadOverThree as spread } from "../support/spread.ts";

const shards = 3;

let server: LiveServer;
beforeAll(async () => {
  server = await liveServer({ shards });
});
afterAll(() => server.stop());

interface Added {
  readonly job_id: string;
  readonly chain_id: string;
}
interface AddedBatch {
  readonly job_ids: string[];
  readonly results: { readonly status: string; readonly code?: string }[];
  readonly batch_id: string;
}
type Shown = Record<string, unknown> & { readonly state: string };

const add = (queue: string, extra: object = {}) =>
  server.post<Added>("/enqueue", { queue, payload: {}, ...extra });
const job = (id: string) => server.get<Shown>(`/jobs/${id}`);
const take = (queue: string) =>
  server.post<Claimed & { payload: unknown }>("/fetch", { queues: [queue], wait_ms: 5000 });
const ack = ({ job_id, lease_token }: Claimed, extra: object = {}) =>
  server.post(`/ack/${job_id}`, { lease_token, ...extra });
const fail = ({ job_id, lease_token }: Claimed) =>
  server.post(`/fail/${job_id}`, { lease_token, error: "broken", retryable: false });
const ended = (id: string) => server.get<Shown>(`/jobs/${id}/wait?timeout=5`);
const enqueueAll = (body: object) => server.post<AddedBatch>("/enqueue/batch", body);

/** Asks until it is as wanted: what goes from shard to shard takes a moment. */
async function until<T>(ask: () => Promise<T>, isWanted: (answer: T) => boolean): Promise<T> {
  const endMs = Date.now() + 5000;
  for (;;) {
    const answer = await ask();
    if (isWanted(answer)) return answer;
    if (Date.now() > endMs) throw new Error(`still ${JSON.stringify(answer)}`);
  }
}

describe("dependencies", () => {
  test("[F50] a job of one shard waits for those of others, and says for which", async () => {
    const [a, b, c] = spread("depend");
    const [first, second] = [await add(a), await add(b)];
    const { job_id } = await add(c, { depends_on: [first.job_id, second.job_id] });

    expect(await job(job_id)).toMatchObject({
      blocked: true,
      waits_for: [first.job_id, second.job_id],
    });
    const why = await server.get<{ summary: string; causes: object[] }>(`/jobs/${job_id}/explain`);
    expect(why.causes.slice(0, 2)).toMatchObject([
      { code: "dependency", job_id: first.job_id, state: "pending", shard: 0 },
      { code: "dependency", job_id: second.job_id, state: "pending", shard: 1 },
    ]);
    expect(why.summary).toMatch(/in shard 0 .* There it is pending\.$/);
    await ack(await take(a));
    await until(
      () => job(job_id),
      ({ waits_for }) => (waits_for as string[]).length === 1,
    );
    await ack(await take(b));
    await ack(await take(c));
    expect(await job(job_id)).toMatchObject({ state: "completed" });
  });

  test("[F50] what is missing in another shard refuses the call, unless it may be ignored", async () => {
    const [a, b] = spread("missing");
    const { job_id } = await add(a);
    const wrong = `${job_id.slice(0, -1)}${job_id.endsWith("f") ? "e" : "f"}`;
    const asks = [
      { queue: b, depends_on: [wrong] },
      { queue: b, parent_id: wrong },
      { queue: b, batch_id: wrong.replace("job", "batch") },
    ];

    for (const body of asks) {
      expect(await server.call("POST", "/api/v1/enqueue", body)).toMatchObject({ status: 404 });
      const call = { jobs: [{ queue: a }, body] };
      const whole = await server.call("POST", "/api/v1/enqueue/batch", call);
      expect(whole).toMatchObject({ status: 404 });
    }
    await add(b, { depends_on: [wrong], on_dependency_failure: "ignore" });
    expect((await take(b)).queue).toBe(b);
    expect(await server.get<Shown>(`/queues/${a}`)).toMatchObject({ pending: 1 });
  });

  test("[F50] jobs of one call name each other by their place, whatever their shards", async () => {
    const [a, b, c] = spread("places");
    const jobs = [
      { queue: a },
      { queue: b, depends_on: ["$0"] },
      { queue: a, depends_on: ["$1"], parent_id: "$0" },
      { queue: c, depends_on: ["$2", "$0"] },
      { queue: b },
    ];
    const body = { jobs, idempotency_key: "places" };

    const { job_ids, results } = await enqueueAll(body);
    expect(await enqueueAll(body)).toMatchObject({ job_ids });

    expect(results.map(({ status }) => status)).toEqual(Array(5).fill("pending"));
    expect(await job(job_ids[2] ?? "")).toMatchObject({
      depends_on: [job_ids[1]],
      parent_id: job_ids[0],
    });
    const order: string[] = [];
    for (const queue of [a, b, b, a, c]) {
      const taken = await take(queue);
      order.push(taken.job_id);
      await ack(taken);
    }
    expect(order.toSorted()).toEqual(job_ids.toSorted());
    expect(order.at(-1)).toBe(job_ids[3] ?? "");
  });

  test("[F50] a job that names one which was not added is not added either", async () => {
    const [a, b] = spread("refused");
    await add(a, { unique_key: "k" });
    const first = { queue: a, unique_key: "k", on_conflict: "reject" };

    const { results } = await enqueueAll({ jobs: [first, { queue: b, depends_on: ["$0"] }] });

    expect(results).toMatchObject([{ code: "CONFLICT" }, { code: "CONFLICT" }]);
  });
});

test("[F51] the steps of a chain are in any shard, and are shown with their states", async () => {
  const [a, b, c] = spread("chain");
  const steps = [{ queue: a }, { queue: b }, { queue: c, payload: { own: 1 } }];
  const { chain_id } = await add(a, { chain: { steps, on_exit: { queue: b } } });
  const first = await take(a);
  await ack(first, { result: { pages: 3 } });
  const second = await take(b);
  expect(second.payload).toEqual({ previous_job_id: first.job_id, previous_result: { pages: 3 } });

  const chain = () => server.get<Shown>(`/chains/${chain_id}`);
  expect(
    await until(chain, ({ steps: shown }) => (shown as Shown[])[1]?.["job_id"] !== undefined),
  ).toMatchObject({
    state: "running",
    current_step: 1,
    steps: [
      { state: "completed" },
      { job_id: second.job_id, state: "active", queue: b },
      { queue: c, state: "waiting" },
    ],
  });
  await ack(second, { result: 4 });
  const third = await take(c);
  expect(third.payload).toEqual({ own: 1, previous_job_id: second.job_id, previous_result: 4 });
  await ack(third);
  const last = await take(b);
  await ack(last);
  const over = await until(chain, ({ exit_job }) => exit_job !== undefined);
  expect(over).toMatchObject({
    state: "completed",
    exit_job: { job_id: last.job_id, state: "completed" },
  });
});

describe("batches", () => {
  test("[F52] the jobs of a call are one batch, and what follows runs once in whatever shard", async () => {
    const [a, b, c] = spread("batch");
    const body = {
      jobs: [{ queue: a }, { queue: b }, { queue: b }, { queue: c, depends_on: ["$0"] }],
      batch: { name: "album", on_failure: { queue: c }, on_complete: { queue: b } },
      idempotency_key: "batch",
    };
    const { batch_id, job_ids } = await enqueueAll(body);
    expect(await enqueueAll(body)).toMatchObject({ batch_id, job_ids });
    const batch = () => server.get<Shown>(`/batches/${batch_id}`);

    await until(batch, ({ state }) => state === "running");
    expect(await batch()).toMatchObject({ total: 4, pending: 4, name: "album" });
    await ack(await take(a));
    await ack(await take(b));
    await server.call("DELETE", `/api/v1/jobs/${job_ids[2]}`);
    await ack(await take(c));

    const counts = { total: 4, completed: 3, dead: 0, cancelled: 1 };
    const follower = await take(c);
    expect(follower.payload).toEqual({ batch_id, ...counts });
    expect((await take(b)).payload).toEqual({ batch_id, ...counts });
    const over = await until(batch, ({ complete_job }) => complete_job !== undefined);
    expect(over).toMatchObject({ state: "failed", pending: 0, ...counts });
    expect(over["failure_job"]).toEqual({ job_id: follower.job_id, queue: c, state: "active" });
    const { batches } = await server.get<{ batches: Shown[] }>("/batches");
    expect(batches.find(({ id }) => id === batch_id)).toEqual(over);
    await until(
      () => server.get<{ messages_waiting: number }>("/status"),
      ({ messages_waiting }) => messages_waiting === 0,
    );
    const none = await server.call("POST", "/api/v1/fetch", { queues: [b, c], wait_ms: 0 });
    expect(none.status).toBe(204);
  });

  test("[F52] a job of a call that makes a batch is in no other one, whatever its shard", async () => {
    const [a, b] = spread("other");
    const { batch_id } = await server.post<{ batch_id: string }>("/batches", { queue: b });
    const jobs = [{ queue: a }, { queue: b, batch_id }];

    for (const more of [{ batch: {} }, { part_of: batch_id }]) {
      const refused = await server.call("POST", "/api/v1/enqueue/batch", { jobs, ...more });
      expect(refused.body).toMatchObject({ code: "VALIDATION_ERROR" });
    }
    const both = { jobs: [{ queue: a }], batch: {}, part_of: batch_id };
    const refused = await server.call("POST", "/api/v1/enqueue/batch", both);
    expect(refused.body).toMatchObject({ code: "VALIDATION_ERROR" });
    expect((await server.call("GET", `/api/v1/queues/${a}`)).status).toBe(404);
  });

  test("[F52] jobs of other shards join an open batch, are cancelled with it, and are refused by a sealed one", async () => {
    const [a, b, c] = spread("open");
    const { batch_id } = await server.post<{ batch_id: string }>("/batches", { queue: a });
    const jobs = [await add(b, { batch_id }), await add(c, { batch_id })];
    await until(
      () => server.get<Shown>(`/batches/${batch_id}`),
      ({ total }) => total === 2,
    );

    await server.post(`/batches/${batch_id}/cancel`, {});
    for (const { job_id } of jobs) expect((await ended(job_id)).state).toBe("cancelled");

    const late = await server.call("POST", "/api/v1/enqueue", { queue: b, batch_id });
    expect(late.body).toMatchObject({ code: "BATCH_ERROR" });
  });
});

test("[F53] children in other shards are listed with their parent, and cancelled with it", async () => {
  const [a, b, c] = spread("parent");
  const { job_id } = await add(a);
  const own = { parent_id: job_id, cascade_cancel: true };
  const children = [await add(b, own), await add(c, own), await add(a, own)];

  const listed = await server.get<{ jobs: { id: string }[] }>(`/jobs/${job_id}/children`);
  await server.post(`/jobs/${job_id}/cancel`, {});

  expect(listed.jobs.map(({ id }) => id).toSorted()).toEqual(
    children.map((child) => child.job_id).toSorted(),
  );
  for (const child of children) expect((await ended(child.job_id)).state).toBe("cancelled");
  const late = await server.call("POST", "/api/v1/enqueue", { queue: b, ...own });
  expect(late.body).toMatchObject({ code: "PARENT_ERROR" });
});

test("[F54] a dead job is copied to a queue of another shard, where it names the one it was", async () => {
  const [a, b] = spread("dead");
  const { job_id } = await add(a, { dead_queue: b, payload: { n: 1 } });
  await fail(await take(a));

  expect(await take(b)).toMatchObject({ payload: { n: 1 }, dead_of: job_id });
  await server.call("PUT", `/api/v1/queues/${b}/defaults`, { dead_queue: a });
});

test("[F56] the resources of a job stay where its queue is, and the refusal says how to place them", async () => {
  const [a, b] = spread("resource");

  const refused = await server.call("POST", "/api/v1/enqueue", {
    queue: a,
    resources: { [b]: 1 },
  });

  expect(refused.body).toMatchObject({ code: "VALIDATION_ERROR" });
  expect(JSON.stringify(refused.body)).toContain("{tag}");
});

test("[F2] [F50] a job that has to do with another shard is one that older nodes do not know; any other is not", () => {
  const [a, b] = spread("level");
  const place = { shard: 0, shards };
  const job = (options: Partial<JobOptions>) => ({ queue: a, payload: "{}", options });
  const [mine, other] = [formatJobId(1, 1000, 0), formatJobId(1, 1000, 1)];
  const batch = (shard: number) => formatGroupId("batch", { seq: 1, createdAtMs: 1000, shard });
  const step = (queue: string, options = {}) => ({ queue, payload: "{}", options });
  const chain = (...steps: NewJob[]) => ({ chain: { steps, shard: 0 } });
  const own = [
    job({}),
    job({ dependsOn: [mine, "$0"], parentId: mine, batchId: batch(0) }),
    job({ deadQueue: a, ...chain(step(a)) }),
  ];
  const across = [
    job({ dependsOn: [mine, other] }),
    job({ parentId: other }),
    job({ batchId: batch(2) }),
    job({ deadQueue: b }),
    job(chain(step(a), step(b))),
    job(chain(step(a, { deadQueue: b }))),
    job({ chain: { steps: [], onExit: step(b), shard: 0 } }),
  ];

  expect(own.map((one) => isAcross(place, one))).toEqual(own.map(() => false));
  expect(across.map((one) => isAcross(place, one))).toEqual(across.map(() => true));
  const change = { kind: "enqueue", jobs: across, across: true } as const;
  expect(needOf(change).level).toBe(mailLevel);
  expect(across.some((one) => isAcross({ shard: 0, shards: 1 }, one))).toBe(false);
});
