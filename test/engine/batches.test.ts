import { expect, test } from "bun:test";
import { formatGroupId } from "../../src/base/ids.ts";
import type { JobBatch } from "../../src/engine/batches.ts";
import type { NewBatch, NewJob } from "../../src/engine/change.ts";
import { engineLimits } from "../../src/engine/limits.ts";
import { EngineRig, verdictOf } from "../support/engine-rig.ts";

const callbacks: NewBatch = {
  onSuccess: { queue: "success", payload: "{}" },
  onFailure: { queue: "failure", payload: "{}" },
  onComplete: { queue: "complete", payload: "{}" },
  shard: 0,
};
const hour = 3_600_000;

/** Begins a batch with these jobs, or, with `openMs`, an open one; its number. */
function begin(rig: EngineRig, batch: NewBatch, jobs: readonly Partial<NewJob>[] = []): number {
  const outcome = rig.apply({
    kind: "enqueue",
    jobs: jobs.map((job) => ({ queue: "q", payload: "{}", ...job })),
    batch,
  });
  if (outcome.kind !== "enqueued" || outcome.batch === undefined) {
    throw new Error(`no batch: ${JSON.stringify(outcome)}`);
  }
  return outcome.batch[0];
}

function batchOf(rig: EngineRig, seq: number): JobBatch {
  const batch = rig.state.records("batch").get(String(seq));
  if (batch === undefined) throw new Error(`no batch ${seq}`);
  return batch;
}

function idOf(rig: EngineRig, seq: number): string {
  const { createdAtMs } = batchOf(rig, seq);
  return formatGroupId("batch", { seq, createdAtMs, shard: 0 });
}

/** The jobs that followed, by queue. */
const followers = (rig: EngineRig): string[] =>
  rig.claimMany(9, ["success", "failure", "complete"]).map(({ queue }) => queue);

test("[F30] when all jobs are completed, what follows success and the end runs once, and is told the counts", () => {
  const rig = new EngineRig();
  const onComplete = { queue: "complete", payload: ' { "total": "mine", "n": 1.0 } ' };
  const seq = begin(rig, { ...callbacks, onComplete }, [{}, {}]);

  rig.ack(rig.claim());
  expect(followers(rig)).toEqual([]);
  rig.ack(rig.claim());

  const counts = '"completed":2,"dead":0,"cancelled":0';
  const id = JSON.stringify(idOf(rig, seq));
  const payloads = rig.claimMany(9, ["success", "failure", "complete"]).map((job) => job.payload);
  expect(payloads).toEqual([
    `{"batch_id":${id},"total":2,${counts}}`,
    `{"batch_id":${id},${counts},"total": "mine", "n": 1.0}`,
  ]);
  expect(batchOf(rig, seq)).toMatchObject({ state: "completed", total: 2, pending: 0 });
});

const ends: readonly [how: string, state: string, end: (rig: EngineRig, job: number) => void][] = [
  ["failed", "dead", (rig) => rig.fail(rig.claim())],
  ["lost its lease", "dead", (rig) => rig.claim() && rig.pass(1000).tick()],
  ["expired", "dead", (rig) => rig.pass(60_000).tick()],
  [
    "was rejected",
    "dead",
    (rig, job) => {
      rig.manage("hold", job);
      rig.manage("reject", job);
    },
  ],
  ["was cancelled", "cancelled", (rig, job) => rig.manage("cancel", job)],
  ["was cancelled while it ran", "cancelled", (rig) => rig.manage("cancel", rig.claim().seq)],
  ["was deleted", "cancelled", (rig, job) => rig.manage("delete", job)],
  [
    "was deleted with its queue's others",
    "cancelled",
    (rig) => rig.apply({ kind: "clearQueue", queue: "q", limit: 9 }),
  ],
];

test.each(ends)("[F30] a batch ends when a job of it %s, and has failed", (_how, state, end) => {
  const rig = new EngineRig();
  const seq = begin(rig, callbacks, [{ expireMs: 60_000, options: { maxRetries: 1 } }]);

  end(rig, seq + 1);

  expect(followers(rig)).toEqual(["failure", "complete"]);
  expect(batchOf(rig, seq)).toMatchObject({ state: "failed", total: 1, pending: 0, [state]: 1 });
});

test("[F30] a dead dependency and what it takes along are counted", () => {
  const rig = new EngineRig();
  const seq = begin(rig, callbacks, [
    { options: { maxRetries: 1 } },
    { options: { dependsOn: ["$0"] } },
  ]);

  rig.fail(rig.claim());

  expect(batchOf(rig, seq)).toMatchObject({ state: "failed", dead: 2 });
});

test("[F30] retention never takes a job out of the counts", () => {
  const rig = new EngineRig();
  rig.keep({ doneMs: 1000 });
  const seq = begin(rig, callbacks, [{}, {}]);
  rig.ack(rig.claim());

  rig.pass(hour).tick();
  expect(rig.state.getJob(seq + 1)).toBeUndefined();
  rig.ack(rig.claim());

  expect(batchOf(rig, seq)).toMatchObject({ state: "completed", total: 2, completed: 2 });
});

test("[F31] jobs join an open batch, which does not end before it is sealed", () => {
  const rig = new EngineRig();
  const seq = begin(rig, { ...callbacks, openMs: hour });
  const batchId = idOf(rig, seq);
  rig.add({ options: { batchId } });
  rig.ack(rig.claim());
  rig.add({ options: { batchId } });
  rig.ack(rig.claim());
  expect(followers(rig)).toEqual([]);

  rig.apply({ kind: "sealBatch", batch: seq });

  expect(followers(rig)).toEqual(["success", "complete"]);
  expect(rig.apply({ kind: "sealBatch", batch: seq })).toEqual({ kind: "ok" });
  expect(rig.apply({ kind: "enqueue", jobs: [job({ batchId })] })).toMatchObject({
    code: "BATCH_ERROR",
    message: `batch_id: batch "${batchId}" is sealed, completed`,
  });
  const unknown = formatGroupId("batch", { seq: 999, createdAtMs: rig.nowMs, shard: 0 });
  expect(rig.apply({ kind: "enqueue", jobs: [job({ batchId: unknown })] })).toMatchObject({
    code: "NOT_FOUND",
  });
});

const job = (options: NewJob["options"]): NewJob => ({
  queue: "q",
  payload: "{}",
  ...(options !== undefined && { options }),
});

test("[F31] a batch that nobody seals is sealed by its time", () => {
  const rig = new EngineRig();
  const seq = begin(rig, { ...callbacks, openMs: hour });
  rig.add({ options: { batchId: idOf(rig, seq) } });
  expect(rig.engine.nextDeadlineMs()).toBe(rig.nowMs + hour);

  rig.pass(hour).tick();
  expect(batchOf(rig, seq)).toMatchObject({
    state: "running",
    reason: "its time to be sealed was over",
  });
  rig.ack(rig.claim());

  expect(followers(rig)).toEqual(["success", "complete"]);
});

test("[F31] a batch of which no job is new ends at once", () => {
  const rig = new EngineRig();
  rig.add({ options: { uniqueKey: "k" } });

  const seq = begin(rig, callbacks, [{ options: { uniqueKey: "k" } }]);

  expect(batchOf(rig, seq)).toMatchObject({ state: "completed", total: 0 });
  expect(followers(rig)).toEqual(["success", "complete"]);
});

test("[F32] a batch that is cancelled takes its jobs along, running ones too, and runs only what runs in any case", () => {
  const rig = new EngineRig();
  const seq = begin(rig, callbacks, [{}, { delayMs: 500 }, {}]);
  const other = rig.add();
  const running = rig.claim();
  rig.takeEffects();

  rig.apply({ kind: "cancelBatch", batch: seq, reason: "not needed" });

  expect(batchOf(rig, seq)).toMatchObject({ state: "cancelled", reason: "not needed" });
  expect([1, 2, 3].map((n) => rig.job(seq + n).state)).toEqual(Array(3).fill("cancelled"));
  expect(rig.job(seq + 2).reason).toBe(`cancelled with its batch ${idOf(rig, seq)}`);
  expect(rig.takeEffects().revoked).toMatchObject([{ seq: running.seq, reason: "cancel" }]);
  expect(rig.job(other).state).toBe("pending");
  expect(followers(rig)).toEqual(["complete"]);
  expect(rig.apply({ kind: "cancelBatch", batch: seq })).toEqual({ kind: "ok" });
});

test("[F32] a batch that is over cannot be cancelled", () => {
  const rig = new EngineRig();
  const seq = begin(rig, callbacks, [{}]);
  rig.ack(rig.claim());

  expect(rig.apply({ kind: "cancelBatch", batch: seq })).toMatchObject({
    code: "BATCH_ERROR",
    message: "the batch is completed",
  });
});

test("[F33] a retry by hand after the end changes the counts and runs nothing again", () => {
  const rig = new EngineRig();
  const seq = begin(rig, callbacks, [{ options: { maxRetries: 1 } }]);
  rig.fail(rig.claim());
  expect(followers(rig)).toEqual(["failure", "complete"]);

  expect(verdictOf(rig.manage("retry", seq + 1))).toBe("pending");
  expect(batchOf(rig, seq)).toMatchObject({ state: "failed", pending: 1, dead: 0 });
  rig.ack(rig.claim());

  expect(batchOf(rig, seq)).toMatchObject({ state: "failed", completed: 1, dead: 0 });
  expect(followers(rig)).toEqual([]);
});

test("[F33] a retry by hand before the end is waited for", () => {
  const rig = new EngineRig();
  const seq = begin(rig, callbacks, [{ options: { maxRetries: 1 } }, {}]);
  rig.fail(rig.claim());
  rig.manage("retry", seq + 1);
  rig.ack(rig.claim());
  expect(batchOf(rig, seq)).toMatchObject({ state: "running", pending: 1 });

  rig.ack(rig.claim());

  expect(followers(rig)).toEqual(["success", "complete"]);
});

test("[F34] all jobs of a chain belong to the batch of its first", () => {
  const rig = new EngineRig();
  const chain = { steps: [{ queue: "b", payload: "{}" }], shard: 0 };
  const seq = begin(rig, callbacks, [{ options: { chain } }]);

  rig.ack(rig.claim());
  expect(batchOf(rig, seq)).toMatchObject({ state: "running", total: 2, completed: 1 });
  const [second] = rig.claimMany(1, ["b"]);
  if (second !== undefined) rig.ack(second);

  expect(batchOf(rig, seq)).toMatchObject({ state: "completed", total: 2 });
  expect(followers(rig)).toEqual(["success", "complete"]);
});

test("[F35] the same call again tells the same batch, also after it ended", () => {
  const rig = new EngineRig();
  const call = {
    kind: "enqueue",
    jobs: [job(undefined)],
    batch: callbacks,
    idempotency: { key: "k", fingerprint: "f" },
  } as const;

  const first = rig.apply(call);
  rig.ack(rig.claim());

  expect(rig.apply(call)).toEqual(first);
  expect(rig.state.records("batch").size).toBe(1);
  expect(followers(rig)).toEqual(["success", "complete"]);
});

test("[F35] a batch that is over is forgotten when completed jobs are", () => {
  const rig = new EngineRig();
  rig.keep({ doneMs: hour });
  const seq = begin(rig, callbacks, [{}]);
  rig.ack(rig.claim());

  rig.pass(hour - 1).tick();
  expect(batchOf(rig, seq).state).toBe("completed");
  rig.pass(1).tick();

  expect(rig.state.records("batch").size).toBe(0);
});

test("[F35] at most so many batches are open or running", () => {
  const rig = new EngineRig();
  const changes = Array.from(
    { length: engineLimits.batchesMax },
    () => ({ kind: "enqueue", jobs: [], batch: { openMs: hour, shard: 0 } }) as const,
  );
  rig.engine.apply({ nowMs: rig.nowMs, seed: 0, changes });

  const refused = { kind: "enqueue", jobs: [], batch: { openMs: hour, shard: 0 } } as const;
  const [outcome] = rig.engine.apply({ nowMs: rig.nowMs, seed: 0, changes: [refused] });
  expect(outcome).toMatchObject({
    code: "OVERLOADED",
    message: expect.stringContaining("batchesMax"),
  });
});
