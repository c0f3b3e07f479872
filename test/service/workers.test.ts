/** Labels, requirements, the registry of workers, what operators ask of them, and who stands idle beside ready jobs. */
import { expect, test } from "bun:test";
import { bodyOf, type FetchBody, NodeRig, neverAborted, settle } from "../support/node-rig.ts";

const call = { signal: neverAborted };

class WorkersRig extends NodeRig {
  readonly pushed: Record<string, unknown>[] = [];

  claim(worker_id: string, more: Partial<FetchBody> = {}) {
    return this.fetch({ queues: ["q"], worker_id, wait_ms: 0, lease_ms: 60_000, ...more });
  }

  async workers() {
    return bodyOf(
      await this.service.handlers.listWorkers({ params: {}, query: {}, body: {} }, call),
    );
  }

  async order(name: "quietWorker" | "stopWorker" | "resumeWorker", worker_id: string) {
    const input = { params: { worker_id }, query: {}, body: {} };
    return bodyOf(await this.service.handlers[name](input, call));
  }

  async explain(jobId: string) {
    const input = { params: { job_id: jobId }, query: {}, body: {} };
    return bodyOf(await this.service.handlers.explainJob(input, call));
  }

  /** A worker on a stream; what it is sent is in `pushed`. */
  async connect(worker_id: string, more: object = {}) {
    const session = this.service.stream.open((text) => {
      this.pushed.push(JSON.parse(text));
      return true;
    });
    const claim = { queues: ["q"], worker_id, lease_ms: 60_000, credits: 5, ...more };
    await session.frame({ id: 1, claim });
    return session;
  }
}

test("a job goes to the first worker that has all the labels it requires, and waits in nobody's way", async () => {
  const rig = new WorkersRig();
  const picky = await rig.enqueue({ queue: "q", requires: { gpu: "a100", zone: "eu" } });
  const plain = await rig.enqueue({ queue: "q" });

  expect((await rig.claim("w1", { labels: { gpu: "a100" } }))?.job_id).toBe(plain.job_id);
  const none = rig.claim("w1", { labels: { gpu: "a100", zone: "us" } });
  await rig.time.pass(1);
  expect(await none).toBeUndefined();
  const labels = { zone: "eu", gpu: "a100", disk: "big" };
  expect((await rig.claim("w2", { labels }))?.job_id).toBe(picky.job_id);
});

test("of the jobs that a worker may have, the best priority and the oldest goes first, labelled or not", async () => {
  const rig = new WorkersRig();
  const ids: string[] = [];
  for (const [priority, requires] of [
    [2, { gpu: "x" }],
    [2, undefined],
    [1, { gpu: "x" }],
    [2, { zone: "eu" }],
  ] as const) {
    const job = { queue: "q", priority, ...(requires === undefined ? {} : { requires }) };
    ids.push((await rig.enqueue(job)).job_id);
  }
  const taken: (string | undefined)[] = [];
  for (let i = 0; i < 4; i++) {
    taken.push((await rig.claim("w", { labels: { gpu: "x", zone: "eu" } }))?.job_id);
  }
  expect(taken).toEqual([ids[2], ids[0], ids[1], ids[3]]);
});

test("a worker that waits is given a job that it alone may have, and others that wait cost the log nothing", async () => {
  const rig = new WorkersRig();
  const [one, other] = [
    rig.claim("w1", { wait_ms: 5000 }),
    rig.claim("w2", { wait_ms: 5000, labels: { gpu: "x" } }),
  ];
  await settle();
  const entries = rig.log.entries.length;
  const { job_id } = await rig.enqueue({ queue: "q", requires: { gpu: "x" } });

  expect((await other)?.job_id).toBe(job_id);
  expect(rig.log.entries.length).toBe(entries + 2);
  await rig.time.pass(5000);
  expect(await one).toBeUndefined();
});

test("why a job with requirements waits says which, until a worker that has them asks", async () => {
  const rig = new WorkersRig();
  const { job_id } = await rig.enqueue({ queue: "q", requires: { gpu: "x" } });
  const before = await rig.explain(job_id);
  expect(before.causes[0]).toMatchObject({ code: "requires", requires: { gpu: "x" } });

  rig.node.workers.introduce({
    workerId: "w",
    hostname: undefined,
    client: undefined,
    queues: ["q"],
    labels: ["gpu=x"],
    startedAtMs: 0,
  });
  expect((await rig.explain(job_id)).causes.map(({ code }) => code)).toEqual(["no_worker"]);
  await rig.time.pass(91_000);
  expect((await rig.explain(job_id)).causes[0]?.code).toBe("requires");
});

test("a name or a value that would be mistaken for another is refused", async () => {
  const rig = new WorkersRig();
  for (const requires of [{ "a=b": "c" }, { "": "x" }, { a: "x\ny" }, { "a\u001f": "x" }]) {
    await expect(rig.enqueue({ queue: "q", requires })).rejects.toThrow("requires:");
  }
});

test("the sets of requirements of a queue are bounded, and make room when their jobs end", async () => {
  const rig = new WorkersRig();
  for (let i = 0; i < 64; i++) await rig.enqueue({ queue: "q", requires: { n: `${i}` } });
  const more = { queue: "q", requires: { n: "64" } };
  await expect(rig.enqueue(more)).rejects.toThrow("requirementSetsMax");
  await rig.enqueue({ queue: "q", requires: { n: "5" } });
  await rig.enqueue({ ...more, queue: "other" });

  const job = await rig.claim("w", { labels: { n: "7" } });
  if (job !== undefined) await rig.ack(job);
  await rig.enqueue(more);
});

test("workers are listed with what they said, what they have in hand and what was asked of them", async () => {
  const rig = new WorkersRig();
  await rig.enqueue({ queue: "q" });
  await rig.claim("w1", { hostname: "h1", labels: { zone: "eu" }, client: "test 1" });
  await rig.time.pass(1000);
  const session = await rig.connect("w2");
  await rig.order("quietWorker", "w2");

  expect(await rig.workers()).toMatchObject([
    { id: "w2", state: "quiet", in_hand: 0, streams: 1, queues: ["q"] },
    { id: "w1", state: "working", in_hand: 1, streams: 0, hostname: "h1", labels: { zone: "eu" } },
  ]);
  session.close();
  await rig.time.pass(91_000);
  const [one, other] = await rig.workers();
  expect([one?.id, one?.state, other?.id, other?.state]).toEqual(["w2", "gone", "w1", "gone"]);
  await rig.time.pass(3_600_000);
  expect(await rig.workers()).toEqual([]);
});

test("a quiet worker is given nothing, however it asks, until it may go on", async () => {
  const rig = new WorkersRig();
  const session = await rig.connect("s");
  await rig.order("quietWorker", "s");
  expect(await rig.order("quietWorker", "h")).toMatchObject({ status: "quiet", known: false });
  const { job_id } = await rig.enqueue({ queue: "q" });
  const waiting = rig.claim("h", { wait_ms: 5000 });
  await rig.time.pass(1000);
  expect(rig.pushed).toEqual([{ order: "quiet" }]);

  await rig.order("resumeWorker", "h");
  expect((await waiting)?.job_id).toBe(job_id);
  await rig.order("resumeWorker", "s");
  const next = await rig.enqueue({ queue: "q" });
  await settle();
  expect(rig.pushed).toMatchObject([
    { order: "quiet" },
    { order: "work" },
    { jobs: [{ job_id: next.job_id }] },
  ]);
  session.close();
});

test("an order to stop is not meant for who began after it under the same id", async () => {
  const rig = new WorkersRig();
  await rig.order("stopWorker", "w");
  await rig.enqueue({ queue: "q" });
  const input = { queues: ["q"], worker_id: "w", wait_ms: 0, lease_ms: 60_000 };
  const answer = rig.service.handlers.fetchJobs({ params: {}, query: {}, body: input }, call);
  await rig.time.pass(1);
  expect(bodyOf(await answer)).toEqual({ jobs: [], order: "stop" });

  const started_at = new Date(rig.time.nowMs()).toISOString();
  expect(await rig.claim("w", { started_at })).toBeDefined();
});

test("workers that wait beside ready jobs are told of once, with the reason", async () => {
  const rig = new WorkersRig();
  rig.node.lead();
  await rig.enqueue({ queue: "q", requires: { gpu: "x" } });
  await rig.enqueue({ queue: "paused" });
  await rig.setPaused("paused", true);
  const session = await rig.connect("w", { queues: ["q", "paused"] });

  await rig.time.pass(60_000);
  expect(rig.node.idleWatch.idle).toEqual([{ queue: "q", workers: 1, ready: 1 }]);
  expect(rig.lines).toEqual([
    '1 worker waits at queue "q", which has 1 ready job: 1 ready job needs a worker with the label gpu=x, and none asked for jobs lately (corvo workers list).',
  ]);

  await rig.claim("w2", { labels: { gpu: "x" } });
  await rig.time.pass(5000);
  expect(rig.node.idleWatch.idle).toEqual([]);
  session.close();
});
