/** What `explain` says of jobs that do not run and of queues that are silent: each cause, who is named in it, and until when. */
import { expect, test } from "bun:test";
import { formatTime } from "../../src/base/time.ts";
import type { LimitValues } from "../../src/engine/limits/setting.ts";
import { bodyOf, type NewJobBody, NodeRig, neverAborted, settle } from "../support/node-rig.ts";

const call = { signal: neverAborted };
const hourMs = 3_600_000;

class ExplainRig extends NodeRig {
  async add(more: Partial<NewJobBody> = {}): Promise<string> {
    return (await this.enqueue({ queue: "q", ...more })).job_id;
  }

  async take(queue = "q") {
    const job = await this.fetch({ queues: [queue], lease_ms: hourMs, worker_id: "w" });
    if (job === undefined) throw new Error(`no job came from ${queue}`);
    return job;
  }

  async limit(values: LimitValues, key?: string): Promise<void> {
    const target =
      key === undefined
        ? ({ scope: "queue", queue: "q", name: "" } as const)
        : ({ scope: "key", queue: "q", name: key } as const);
    await this.replica.submit({ kind: "setLimit", target, values });
  }

  async explain(jobId: string) {
    const input = { params: { job_id: jobId }, query: {}, body: {} };
    return bodyOf(await this.service.handlers.explainJob(input, call));
  }

  async explainQueue(name = "q") {
    const input = { params: { name }, query: {}, body: {} };
    return bodyOf(await this.service.handlers.explainQueue(input, call));
  }

  /** A time from now, as it is written. */
  at(afterMs: number): string {
    return formatTime(this.time.nowMs() + afterMs);
  }
}

type Explained = Awaited<ReturnType<ExplainRig["explain"]>>;

const codes = ({ causes }: { causes: readonly { code: string }[] }) =>
  causes.map(({ code }) => code);

interface Case {
  readonly title: string;
  /** Brings the job about that is asked for; its id. */
  readonly story: (rig: ExplainRig) => Promise<string>;
  readonly codes: readonly string[];
  readonly check: (found: Explained, rig: ExplainRig) => void;
}

const cases: Case[] = [
  {
    title: "a job that is next, and nobody asks for it",
    story: (rig) => rig.add(),
    codes: ["no_worker"],
    check: ({ summary, starts }) => {
      expect(summary).toBe(
        'No worker is waiting for jobs of queue "q"; none of its jobs is active.',
      );
      expect(starts).toEqual({ basis: "worker" });
    },
  },
  {
    title: "a completed job",
    async story(rig) {
      const id = await rig.add();
      await rig.ack(await rig.take());
      return id;
    },
    codes: ["finished"],
    check: ({ summary, starts }, rig) => {
      expect(summary).toBe(`It is completed since ${rig.at(0)}.`);
      expect(starts).toEqual({ basis: "never" });
    },
  },
  {
    title: "a dead job",
    async story(rig) {
      const id = await rig.add({ max_retries: 1 });
      await rig.fail(await rig.take());
      return id;
    },
    codes: ["finished"],
    check: ({ causes }) =>
      expect(causes[0]).toMatchObject({ state: "dead", reason: "all 1 attempts failed" }),
  },
  {
    title: "an active job",
    async story(rig) {
      const id = await rig.add();
      await rig.take();
      return id;
    },
    codes: ["active"],
    check: ({ causes, starts }, rig) => {
      expect(causes[0]).toMatchObject({ worker_id: "w", until: rig.at(hourMs) });
      expect(starts).toEqual({ basis: "now" });
    },
  },
  {
    title: "a job of a paused queue",
    async story(rig) {
      await rig.setPaused("q", true);
      return rig.add();
    },
    codes: ["queue_paused"],
    check: ({ starts }) => expect(starts).toEqual({ basis: "unknown" }),
  },
  {
    title: "a scheduled job",
    story: (rig) => rig.add({ delay: "1m" }),
    codes: ["due"],
    check: ({ causes, starts }, rig) => {
      expect(causes[0]).toMatchObject({ state: "scheduled", until: rig.at(60_000) });
      expect(starts).toEqual({ basis: "time", at: rig.at(60_000) });
    },
  },
  {
    title: "a job that waits for its retry",
    async story(rig) {
      const id = await rig.add({ retry_backoff: "fixed", retry_base_delay: "10s" });
      await rig.fail(await rig.take());
      return id;
    },
    codes: ["due"],
    check: ({ summary }, rig) =>
      expect(summary).toBe(`Attempt 1 of 3 failed; the next one is due at ${rig.at(10_000)}.`),
  },
  {
    title: "a held job",
    async story(rig) {
      const id = await rig.add();
      await rig.act("holdJob", id);
      return id;
    },
    codes: ["held"],
    check: ({ causes }) => expect(causes[0]).toMatchObject({ reason: "held by an operator" }),
  },
  {
    title: "a job that follows the one that holds its unique key",
    async story(rig) {
      const unique = { unique_key: "u", on_conflict: "keep_last" } as const;
      await rig.add(unique);
      await rig.take();
      return rig.add(unique);
    },
    codes: ["unique_key"],
    check: ({ causes, starts }) => {
      expect(causes[0]).toMatchObject({ unique_key: "u", state: "active" });
      expect(starts).toEqual({ basis: "unknown" });
    },
  },
  {
    title: "a job that waits for another",
    story: async (rig) => rig.add({ depends_on: [await rig.add({ queue: "other" })] }),
    codes: ["dependency"],
    check: ({ causes, summary }) => {
      expect(causes[0]).toMatchObject({ state: "pending" });
      expect(summary).toBe(`It waits for job ${causes[0]?.job_id}, which is pending.`);
    },
  },
  {
    title: "a job whose time to live is over",
    async story(rig) {
      const id = await rig.add({ expire_after: "1s" });
      // The log is slow: what time causes has not been written yet.
      rig.log.isHeld = true;
      await rig.time.pass(1500);
      return id;
    },
    codes: ["expired"],
    check: ({ starts }) => expect(starts).toEqual({ basis: "unknown" }),
  },
  {
    title: "a job whose queue is full",
    async story(rig) {
      await rig.limit({ concurrency: 1 });
      await rig.add();
      const id = await rig.add();
      await rig.take();
      return id;
    },
    codes: ["limit_full"],
    check: ({ causes, summary }) => {
      const [holder] = causes[0]?.held_by ?? [];
      expect(summary).toBe(`Queue "q" is full: 1 of 1 unit held by active jobs (${holder}).`);
      expect(causes[0]?.limit).toMatchObject({
        queue: "q",
        concurrency: 1,
        in_use: 1,
        open: false,
      });
    },
  },
  {
    title: "a job that needs more of a resource than is left",
    async story(rig) {
      const target = { scope: "resource", queue: "", name: "gpu" } as const;
      await rig.replica.submit({ kind: "setLimit", target, values: { concurrency: 3 } });
      await rig.add({ resources: { gpu: 2 } });
      const id = await rig.add({ resources: { gpu: 2 } });
      await rig.take();
      return id;
    },
    codes: ["limit_full"],
    check: ({ causes, summary }) => {
      expect(summary).toContain('Resource "gpu" is full: 2 of 3 units held by active jobs (job_');
      expect(summary).toEndWith(", and the job needs 2.");
      expect(causes[0]).toMatchObject({ needs: 2, limit: { resource: "gpu", in_use: 2 } });
    },
  },
  {
    title: "a job of a key that is full and paused",
    async story(rig) {
      await rig.limit({ concurrency: 1 }, "k");
      await rig.add({ limit_key: "k" });
      const id = await rig.add({ limit_key: "k" });
      await rig.take();
      const target = { scope: "key", queue: "q", name: "k" } as const;
      await rig.replica.submit({ kind: "pauseLimit", target, pauseMs: 5000 });
      return id;
    },
    codes: ["limit_full", "limit_paused"],
    check: ({ causes, starts }, rig) => {
      expect(causes[1]).toMatchObject({ until: rig.at(5000), limit: { queue: "q", key: "k" } });
      expect(starts).toEqual({ basis: "unknown" });
    },
  },
  {
    title: "a job for which the rate has nothing left",
    async story(rig) {
      await rig.limit({ rate: { kind: "sliding", count: 1, windowMs: 60_000 } });
      await rig.add();
      const id = await rig.add();
      await rig.take();
      return id;
    },
    codes: ["limit_rate"],
    check: ({ causes, starts, summary }, rig) => {
      expect(summary).toBe(
        `The rate of queue "q" (1 per 1m, sliding) is used up until ${rig.at(60_000)}.`,
      );
      expect(causes[0]?.until).toBe(rig.at(60_000));
      expect(starts).toEqual({ basis: "time", at: rig.at(60_000) });
    },
  },
  {
    title: "a job of a key whose older one retries",
    async story(rig) {
      await rig.add({ fifo_key: "f" });
      const id = await rig.add({ fifo_key: "f" });
      await rig.fail(await rig.take());
      return id;
    },
    codes: ["fifo_key"],
    check: ({ causes }) => expect(causes[0]).toMatchObject({ fifo_key: "f", state: "retrying" }),
  },
  {
    title: "a job behind others",
    async story(rig) {
      await rig.add();
      await rig.add({ priority: "low" });
      await rig.add({ priority: "critical" });
      return rig.add();
    },
    codes: ["in_line", "no_worker"],
    check: ({ causes, summary, starts }) => {
      expect(causes[0]).toMatchObject({ ahead: 2 });
      expect(summary).toBe('2 jobs of queue "q" go first.');
      expect(starts).toEqual({ basis: "unknown" });
    },
  },
  {
    title: "a job whose group's turn comes later",
    async story(rig) {
      for (let i = 0; i < 5; i++) await rig.add({ group: "big" });
      await rig.add({ group: "big" });
      await rig.add({ group: "small" });
      return rig.add({ group: "small" });
    },
    codes: ["in_line", "no_worker"],
    check: ({ causes, summary }) => {
      expect(causes[0]).toMatchObject({ ahead: 3, group: "small" });
      expect(summary).toContain("2 groups take turns, and by place alone 7 jobs stand before it");
    },
  },
  {
    title: "a job while the server cannot write",
    async story(rig) {
      const id = await rig.add();
      rig.replica.logFailed({ kind: "disk_full", message: "no space" });
      return id;
    },
    codes: ["read_only"],
    check: ({ causes }) => expect(causes[0]?.reason).toContain("no space"),
  },
  {
    title: "a job while the only node drains",
    async story(rig) {
      const id = await rig.add();
      rig.node.deps.drain.begin();
      return id;
    },
    codes: ["draining"],
    check: ({ starts }) => expect(starts).toEqual({ basis: "unknown" }),
  },
  {
    title: "a job on a node without a leader, whatever else stops it",
    async story(rig) {
      await rig.setPaused("q", true);
      const id = await rig.add();
      rig.log.isReady = false;
      rig.log.confirmRead = () => Promise.reject(new Error("no majority"));
      return id;
    },
    codes: ["no_leader"],
    check: ({ stale, state }) => expect([stale, state]).toEqual([true, "pending"]),
  },
  {
    title: "a job that two things stop at once",
    async story(rig) {
      await rig.setPaused("q", true);
      const first = await rig.add({ queue: "other" });
      return rig.add({ depends_on: [first], delay: "1m" });
    },
    codes: ["due", "dependency", "queue_paused"],
    check: ({ starts }) => expect(starts).toEqual({ basis: "unknown" }),
  },
];

test.each(cases)("[EX1] $title is explained", async ({ story, codes: expected, check }) => {
  const rig = new ExplainRig();
  const id = await story(rig);
  await settle();

  const found = await rig.explain(id);

  expect(codes(found)).toEqual([...expected]);
  expect(found.summary).toBe(found.causes[0]?.message ?? "");
  check(found, rig);
});

test("[EX3] a place in line becomes a time by how fast the queue was claimed", async () => {
  const rig = new ExplainRig();
  for (let i = 0; i < 40; i++) await rig.add();
  for (let i = 0; i < 20; i++) {
    await rig.take();
    await rig.time.pass(1000);
  }
  const id = await rig.add();

  const { starts, causes } = await rig.explain(id);

  expect(causes[0]).toMatchObject({ code: "in_line", ahead: 20 });
  expect(starts).toEqual({ basis: "rate", claims_per_second: 1, at: rig.at(21_000) });
});

test("[EX3] who waits for a rate behind others starts when they have had their turns", async () => {
  const rig = new ExplainRig();
  await rig.limit({ rate: { kind: "leaky", count: 1, windowMs: 1000 } });
  const ids: string[] = [];
  for (let i = 0; i < 4; i++) ids.push(await rig.add());
  await rig.take();

  const starts = await Promise.all(ids.map(async (id) => (await rig.explain(id)).starts));

  expect(starts).toEqual([
    { basis: "now" },
    { basis: "time", at: rig.at(1000) },
    { basis: "rate", at: rig.at(2000) },
    { basis: "rate", at: rig.at(3000) },
  ]);
});

test("[EX3] of the jobs before one only those of its key take of the key's rate", async () => {
  const rig = new ExplainRig();
  const rate = { kind: "sliding", count: 1, windowMs: 60_000 } as const;
  for (const key of ["a", "b"]) await rig.limit({ rate }, key);
  const ids: string[] = [];
  for (const key of ["a", "b", "a", "b"]) ids.push(await rig.add({ limit_key: key }));
  const late = await rig.add({ limit_key: "a" });
  await rig.take();
  await rig.take();

  expect((await rig.explain(ids[3] ?? "")).starts).toEqual({ basis: "time", at: rig.at(60_000) });
  expect((await rig.explain(late)).starts).toEqual({ basis: "rate", at: rig.at(120_000) });
});

test("[EX3] a job whose life ends before it can start is told to be dead by then", async () => {
  const rig = new ExplainRig();
  const id = await rig.add({ delay: "1h", expire_after: "10m" });

  const found = await rig.explain(id);

  expect(codes(found)).toEqual(["expired", "due"]);
  expect(found.causes[0]?.until).toBe(rig.at(600_000));
  expect(found.starts).toEqual({ basis: "never" });
});

test("[EX5] a node without a leader explains a queue by that alone", async () => {
  const rig = new ExplainRig();
  await rig.setPaused("q", true);
  await rig.add();
  rig.log.isReady = false;
  rig.log.confirmRead = () => Promise.reject(new Error("no majority"));

  const found = await rig.explainQueue();

  expect([codes(found), found.stale]).toEqual([["no_leader"], true]);
  expect(found).toMatchObject({ ready: 1 });
  expect(found.waiting_workers).toBeUndefined();
});

test("[EX2] a rate that opened while nothing was written is open for who asks", async () => {
  const rig = new ExplainRig();
  await rig.limit({ rate: { kind: "leaky", count: 1, windowMs: 1000 } });
  await rig.add();
  const id = await rig.add();
  await rig.take();

  expect(codes(await rig.explain(id))).toEqual(["limit_rate"]);
  await rig.time.pass(1000);
  expect(codes(await rig.explain(id))).toEqual(["no_worker"]);
});

test("[EX4] a queue says what its waiting jobs wait for, as a whole and by limit", async () => {
  const rig = new ExplainRig();
  await rig.limit({ concurrency: 1 }, "k");
  const busy = await rig.add({ limit_key: "k", fifo_key: "f" });
  await rig.add({ limit_key: "k" });
  await rig.add({ limit_key: "k" });
  await rig.add({ fifo_key: "f" });
  await rig.add({ depends_on: [await rig.add({ queue: "other" })] });
  await rig.act("holdJob", await rig.add());
  await rig.take();

  const found = await rig.explainQueue();

  expect(found).toMatchObject({ ready: 3, open: 0, active: 1, waiting_workers: 0 });
  expect(found.causes).toMatchObject([
    { code: "limit_full", jobs: 2, held_by: [busy], limit: { key: "k" } },
    { code: "jobs_waiting", jobs: 1, state: "pending" },
    { code: "jobs_waiting", jobs: 1, state: "pending" },
    { code: "jobs_waiting", jobs: 1, state: "held" },
  ]);
  expect(found.causes[1]?.message).toContain("fifo_key");
  expect(found.causes[2]?.message).toContain("to be completed");
});

test("[EX4] a queue that is empty, paused, lonely or served says so", async () => {
  const rig = new ExplainRig();
  const first = await rig.add();
  const lonely = await rig.explainQueue();
  const open = await rig.explainQueue();
  await rig.setPaused("q", true);
  const paused = await rig.explainQueue();
  await rig.setPaused("q", false);
  await rig.take();
  const empty = await rig.explainQueue();

  expect([codes(lonely), lonely.next_job_id]).toEqual([["no_worker"], first]);
  expect(open).toMatchObject({ ready: 1, open: 1 });
  expect([codes(paused), paused.open, paused.next_job_id]).toEqual([
    ["queue_paused"],
    0,
    undefined,
  ]);
  expect(empty.summary).toBe('No job waits in queue "q". 1 job runs.');
  await rig.replica.submit({ kind: "drainQueue", queue: "q", draining: true });
  expect(codes(await rig.explainQueue())).toEqual(["empty", "queue_draining"]);
  await expect(rig.explainQueue("nowhere")).rejects.toThrow('no queue "nowhere"');
});

test("[EX1] a job that is being claimed has nothing that stops it", async () => {
  const rig = new ExplainRig();
  const claim = rig.fetch({ queues: ["q"], wait_ms: hourMs });
  await settle();
  rig.log.isHeld = true;
  const adding = rig.add();
  await rig.log.release();
  const id = await adding;
  rig.log.isHeld = false;

  const found = await rig.explain(id);

  expect(["active"]).toEqual(codes(found));
  expect((await claim)?.job_id).toBe(id);
});
