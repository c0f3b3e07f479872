import { expect, test } from "bun:test";
import fc from "fast-check";
import type { Attempt, Job } from "../../src/engine/job.ts";
import { engineLimits } from "../../src/engine/limits.ts";
import type { EnqueueResult } from "../../src/engine/outcome.ts";
import type { RestoredJob } from "../../src/engine/restored-job.ts";
import { EngineRig } from "../support/engine-rig.ts";

const old = 1_700_000_000_000;
const plain: RestoredJob = {
  createdAtMs: old,
  queue: "q",
  payload: '{"n":1}',
  state: "pending",
  priority: 2,
};

function restore(rig: EngineRig, ...jobs: Partial<RestoredJob>[]): readonly EnqueueResult[] {
  const outcome = rig.apply({
    kind: "restoreJobs",
    jobs: jobs.map((job) => ({ ...plain, ...job })),
  });
  if (outcome.kind !== "enqueued") throw new Error(outcome.kind);
  return outcome.results;
}

test("[BU6] jobs come back as they were, with their numbers, and later ones get greater numbers", () => {
  const rig = new EngineRig();
  const attempts = [
    { attempt: 1, outcome: "failed" as const, error: "no", startedAtMs: old, endedAtMs: old + 5 },
  ];
  restore(
    rig,
    { seq: 90, state: "completed", result: '"done"', finishedAtMs: old + 9, attempt: 2, attempts },
    {
      seq: 70,
      state: "dead",
      reason: "spent",
      finishedAtMs: old + 8,
      options: { tags: '{"a":"b"}' },
    },
    { seq: 80, state: "scheduled", dueAtMs: rig.nowMs + 1000 },
    { seq: 60, state: "held", reason: "wait" },
  );

  expect(rig.job(90)).toMatchObject({
    state: "completed",
    createdAtMs: old,
    finishedAtMs: old + 9,
    attempt: 2,
    result: '"done"',
    history: 1,
  });
  expect(rig.attempts(90)).toMatchObject([{ outcome: "failed", error: "no", endedAtMs: old + 5 }]);
  expect(rig.job(70)).toMatchObject({ state: "dead", reason: "spent", finishedAtMs: old + 8 });
  expect(rig.add()).toBeGreaterThan(90);
  rig.pass(1000).tick();
  expect(rig.job(80).state).toBe("pending");
});

test("[BU6] a number that somebody has is not given again, whether to the same job or another one", () => {
  const rig = new EngineRig();
  const seq = rig.add();

  const [other] = restore(rig, { seq });
  const [same] = restore(rig, { seq, createdAtMs: rig.job(seq).createdAtMs });
  const [late] = restore(rig, { createdAtMs: rig.nowMs + 1 });

  expect(other).toMatchObject({ code: "CONFLICT", message: expect.stringContaining("its number") });
  expect(same).toMatchObject({ code: "CONFLICT", message: expect.stringContaining("already") });
  expect(late).toMatchObject({ code: "VALIDATION_ERROR" });
});

test("[BU6] without a number a job gets a new id, and nothing else is different", () => {
  const rig = new EngineRig();
  const [added] = restore(rig, { state: "completed", finishedAtMs: old + 3, result: "1" });
  if (added?.kind !== "added") throw new Error("refused");

  expect(added.createdAtMs).toBe(rig.nowMs);
  expect(rig.job(added.seq)).toMatchObject({ finishedAtMs: old + 3, result: "1" });
});

test("[BU6] a unique key that is held keeps a job out; one that is free is held again", () => {
  const rig = new EngineRig();
  rig.add({ options: { uniqueKey: "k" } });
  const [refused] = restore(rig, { options: { uniqueKey: "k" } });
  restore(rig, { options: { uniqueKey: "free" } });

  expect(refused).toMatchObject({ code: "CONFLICT" });
  expect(rig.enqueue({ options: { uniqueKey: "free" } })).toMatchObject({ kind: "duplicate" });
  const [finished] = restore(rig, { state: "dead", options: { uniqueKey: "k" } });
  expect(finished).toMatchObject({ kind: "added" });
});

test("[BU6] nothing follows from a job that comes back: no copy of a dead one, no second result", () => {
  const rig = new EngineRig();
  restore(rig, { state: "dead", options: { deadQueue: "dead" } });

  expect(rig.state.queueCount).toBe(1);
  expect(rig.takeEffects().finished).toEqual([]);
});

/** What clients and operators do, in any order. */
const deeds = fc.array(
  fc.record({
    what: fc.constantFrom("add", "claim", "ack", "fail", "hold", "cancel", "later", "retry"),
    pick: fc.nat(),
  }),
  { maxLength: 40 },
);

function act(rig: EngineRig, { what, pick }: { what: string; pick: number }): void {
  const jobs = [...rig.state.contents().jobs()];
  const job = jobs[pick % Math.max(1, jobs.length)];
  rig.pass(pick % 7);
  const options = { maxRetries: 2, ...(pick % 3 === 0 ? { uniqueKey: `k${pick % 5}` } : {}) };
  if (what === "add") rig.enqueue({ priority: pick % 3, options });
  else if (what === "later")
    rig.enqueue({ delayMs: 5000 + (pick % 50), options, expireMs: 60_000 });
  else if (what === "claim") rig.claimMany(1, ["q"], 100_000);
  else if (job === undefined) return;
  else if (what === "ack" && job.state === "active") rig.ack(job, { result: `${pick}` });
  else if (what === "fail" && job.state === "active") rig.fail(job);
  else if (what === "hold" || what === "cancel" || what === "retry") rig.manage(what, job.seq);
}

function backedUp(job: Job, attempts: readonly Attempt[]): RestoredJob {
  const { seq, createdAtMs, queue, payload, priority, options } = job;
  const given = <T>(value: T) => (value === undefined || value === 0 ? undefined : value);
  const all = {
    ...{ seq, createdAtMs, queue, payload, priority },
    state: job.state === "active" ? ("pending" as const) : job.state,
    options: {
      maxRetries: options.maxRetries,
      ...(options.uniqueKey && { uniqueKey: options.uniqueKey }),
    },
    dueAtMs: given(job.dueAtMs),
    scheduledAtMs: given(job.scheduledAtMs),
    expireAtMs: given(job.expireAtMs),
    attempt: job.attempt,
    startedAtMs: given(job.startedAtMs),
    finishedAtMs: given(job.finishedAtMs),
    failedAtMs: given(job.failedAtMs),
    firstFailedAtMs: given(job.firstFailedAtMs),
    workerId: job.workerId,
    result: job.result,
    reason: job.reason,
    attempts: attempts.map(({ attempt, outcome, startedAtMs, endedAtMs, ...rest }) => ({
      ...{ attempt, outcome, startedAtMs, endedAtMs },
      ...(rest.error === undefined ? {} : { error: rest.error }),
      ...(rest.workerId === undefined ? {} : { workerId: rest.workerId }),
    })),
  };
  return Object.fromEntries(
    Object.entries(all).filter(([, value]) => value !== undefined),
  ) as unknown as RestoredJob;
}

/** What of a job must be the same; an active one has no lease any more, a place and a retention are new. */
function lasting(job: Job): object {
  const { order: _order, finish: _finish, token: _token, leaseMs: _lease, ...rest } = job;
  return {
    ...rest,
    leaseExpiresAtMs: 0,
    state: job.state === "active" ? "pending" : job.state,
    expireAtMs: 0,
    lostLeases: 0,
  };
}

test("[BU6] all jobs of any history come back into an empty engine as they were, and go on", () => {
  fc.assert(
    fc.property(deeds, (history) => {
      const from = new EngineRig();
      for (const deed of history) act(from, deed);
      const jobs = [...from.state.contents().jobs()].sort((one, other) => one.seq - other.seq);
      const to = new EngineRig();
      to.nowMs = from.nowMs;

      const results = restore(to, ...jobs.map((job) => backedUp(job, from.attempts(job.seq))));

      for (const [i, job] of jobs.entries()) {
        // Two jobs of one key can only have been when one of them had lost it.
        if (results[i]?.kind !== "added") {
          expect(job.options.uniqueKey).toBeDefined();
          continue;
        }
        expect(lasting(to.job(job.seq))).toEqual(lasting(job));
        expect(to.attempts(job.seq)).toEqual([...from.attempts(job.seq)]);
      }
      to.pass(100_000).tick();
      while (to.claimMany(10).length > 0);
      to.keep({ doneMs: 1, deadMs: 1 });
      to.pass(10).tick();
    }),
    { numRuns: 150 },
  );
});

test("unfinished jobs come back only with as many sets of requirements as a queue can have", () => {
  const rig = new EngineRig();
  const of = (n: number) => ({ options: { lane: { requires: [`gpu=${n}`] } } });
  const most = Array.from({ length: engineLimits.requirementSetsMax }, (_, n) => of(n));

  expect(restore(rig, ...most).every(({ kind }) => kind === "added")).toBe(true);
  expect(restore(rig, of(0), of(-1), { ...of(-1), state: "dead" })).toMatchObject([
    { kind: "added" },
    { kind: "rejected", code: "LIMIT_EXCEEDED" },
    { kind: "added" },
  ]);
});

test("[BU6] [J34] a job that comes back without the key that it held when it was removed holds it no more", () => {
  const rig = new EngineRig();
  const options = { uniqueKey: "k", uniqueScope: "period", uniqueMs: 60_000 } as const;
  const seq = rig.add({ options });
  rig.ack(rig.claim(), {});
  rig.keep({ doneMs: 1000 });
  rig.pass(5000).tick();
  expect(rig.enqueue({ options })).toMatchObject({ kind: "duplicate", seq });

  restore(rig, { seq, queue: "other", options });
  expect(rig.enqueue({ options })).toMatchObject({ kind: "added" });
  expect(rig.enqueue({ queue: "other", options })).toMatchObject({ kind: "duplicate", seq });
});
