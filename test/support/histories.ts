/** Random histories of batches: every kind of change, over few queues, jobs and tokens, so that they meet often. */
import fc from "fast-check";
import { formatGroupId, formatJobId } from "../../src/base/ids.ts";
import type { ChainPlan } from "../../src/engine/chains.ts";
import type {
  Batch,
  Change,
  EnqueueJobs,
  ManageAction,
  NewBatch,
  NewJob,
} from "../../src/engine/change.ts";
import type { Job } from "../../src/engine/job.ts";
import type { MemoryState } from "../../src/engine/memory-state.ts";
import type { JobOptions } from "../../src/engine/options.ts";

const queue = fc.constantFrom("a", "b", "c/d");
/** Numbers of jobs; most histories have about as many. Above that, one of the jobs that are not finished. */
const seqsMax = 12;
const seq = fc.integer({ min: 1, max: 2 * seqsMax });
const token = fc.integer({ min: 1, max: 6 });
const shortMs = fc.integer({ min: 0, max: 6000 });
const text = fc.constantFrom('"x"', '{"n":12345678901234567890}', '"\u00e9\u{1f600}"', "[]");

/** `#n` stands for the id of one of the last jobs, which only the run of the history knows; `#0` for that of none. */
const jobNumber = fc.integer({ min: 0, max: 12 }).map((number) => `#${number}`);
/** The n-th job of the same call; one that is not earlier is left out. */
const earlierJob = fc.constantFrom("$0", "$1");

/** `#n` stands for the id of one of the batches there are, `#0` for that of none. */
const batchNumber = fc.integer({ min: 0, max: 12 }).map((number) => `#${number}`);

const step: fc.Arbitrary<NewJob> = fc.record(
  {
    queue,
    payload: fc.constant("{}"),
    delayMs: shortMs,
    options: fc.record({ maxRetries: fc.integer({ min: 0, max: 2 }) }),
  },
  { requiredKeys: ["queue", "payload"] },
) as fc.Arbitrary<NewJob>;

const chain = fc.record(
  {
    steps: fc.array(step, { minLength: 1, maxLength: 2 }),
    onFailure: fc.oneof(step, fc.constant("continue" as const)),
    onExit: step,
    shard: fc.constant(0),
  },
  { requiredKeys: ["steps", "shard"] },
) as fc.Arbitrary<ChainPlan>;

const newBatch = fc.record(
  { openMs: shortMs, onSuccess: step, onFailure: step, onComplete: step, shard: fc.constant(0) },
  { requiredKeys: ["shard"] },
) as fc.Arbitrary<NewBatch>;

const options: fc.Arbitrary<Partial<JobOptions>> = fc.record(
  {
    maxRetries: fc.integer({ min: 0, max: 3 }),
    backoff: fc.constantFrom("none", "fixed", "linear", "exponential"),
    baseDelayMs: fc.integer({ min: 0, max: 2000 }),
    jitter: fc.constantFrom(0, 0.5, 1),
    timeoutMs: fc.constantFrom(0, 500, 2500),
    uniqueKey: fc.constantFrom("k", "k\n2"),
    uniqueMs: fc.integer({ min: 1, max: 8000 }),
    tags: fc.constantFrom('{"env":"prod"}', '{"env":"test","a\\"b":"1"}'),
    parentId: fc.oneof(jobNumber, earlierJob),
    cascadeCancel: fc.boolean(),
    batchId: batchNumber,
    dependsOn: fc.uniqueArray(fc.oneof(jobNumber, earlierJob), { minLength: 1, maxLength: 3 }),
    onDependencyFailure: fc.constantFrom("fail", "wait", "ignore"),
    chain,
  },
  { requiredKeys: [] },
);

const newJob: fc.Arbitrary<NewJob> = fc
  .record(
    {
      queue,
      payload: text,
      priority: fc.integer({ min: 0, max: 4 }),
      delayMs: shortMs,
      expireMs: fc.constantFrom(1, 2500, 6000, 60_000, 60_001),
      checkpoint: text,
      options,
    },
    { requiredKeys: ["queue", "payload"] },
  )
  .map((job) => job as NewJob);

/** A job alone, or with a token that may or may not be its own. */
function leased<Extra>(extra: fc.Arbitrary<Extra>): fc.Arbitrary<{ seq: number } & Extra> {
  const item = fc.oneof(
    { weight: 3, arbitrary: fc.record({ seq }) },
    { weight: 1, arbitrary: fc.record({ seq, token }) },
  );
  return fc.tuple(item, extra).map(([one, more]) => ({ ...one, ...more }));
}

function itemsOf<Item>(item: fc.Arbitrary<Item>): fc.Arbitrary<Item[]> {
  return fc.array(item, { minLength: 1, maxLength: 4 });
}

const optional = { requiredKeys: [] };

const change: fc.Arbitrary<Change> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc
      .record(
        {
          kind: fc.constant("enqueue" as const),
          jobs: fc.array(newJob, { minLength: 0, maxLength: 4 }),
          batch: newBatch,
          idempotency: fc.record({
            key: fc.constantFrom("i1", "i2"),
            fingerprint: fc.constantFrom("f1", "f2"),
          }),
        },
        { requiredKeys: ["kind", "jobs"] },
      )
      .map((made) => made as Change),
  },
  {
    weight: 6,
    arbitrary: fc
      .record(
        {
          kind: fc.constant("claim" as const),
          queues: fc.uniqueArray(queue, { minLength: 1, maxLength: 3 }),
          count: fc.integer({ min: 1, max: 4 }),
          leaseMs: fc.constantFrom(100, 2000, 10_000),
          workerId: fc.constantFrom("w1", "w2"),
          hostname: fc.constantFrom("h1"),
        },
        { requiredKeys: ["kind", "queues", "count", "leaseMs"] },
      )
      .map((made) => made as Change),
  },
  {
    weight: 4,
    arbitrary: itemsOf(
      leased(
        fc.record(
          {
            result: text,
            checkpoint: text,
            output: fc.constant("out"),
            exit: fc.constantFrom("", "done"),
          },
          optional,
        ),
      ),
    ).map((items) => ({ kind: "ack", items }) as Change),
  },
  {
    weight: 4,
    arbitrary: itemsOf(
      leased(
        fc.record(
          { retryable: fc.boolean(), backtrace: fc.constant("at x"), output: fc.constant("out") },
          optional,
        ),
      ),
    ).map(
      (items) =>
        ({ kind: "fail", items: items.map((item) => ({ ...item, error: "boom" })) }) as Change,
    ),
  },
  {
    weight: 2,
    arbitrary: itemsOf(leased(fc.record({ delayMs: shortMs }, optional))).map(
      (items) => ({ kind: "release", items }) as Change,
    ),
  },
  {
    weight: 2,
    arbitrary: itemsOf(
      leased(
        fc.record(
          { leaseMs: fc.integer({ min: 100, max: 4000 }), progress: text, checkpoint: text },
          optional,
        ),
      ),
    ).map((items) => ({ kind: "heartbeat", items }) as Change),
  },
  {
    weight: 5,
    arbitrary: fc
      .tuple(
        fc.constantFrom<ManageAction>(
          "retry",
          "requeue",
          "cancel",
          "delete",
          "move",
          "hold",
          "approve",
          "reject",
          "changePriority",
        ),
        fc.array(seq, { minLength: 1, maxLength: 4 }),
        fc.tuple(queue, fc.integer({ min: 0, max: 4 }), fc.boolean()),
      )
      .map(([action, seqs, [to, priority, withReason]]) => ({
        kind: "manage" as const,
        action,
        seqs,
        ...(action === "move" ? { queue: to } : {}),
        ...(action === "changePriority" ? { priority } : {}),
        ...(withReason ? { reason: "why" } : {}),
      })),
  },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant("pauseQueue" as const), queue, paused: fc.boolean() }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant("clearQueue" as const),
      queue,
      limit: fc.integer({ min: 1, max: 3 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("deleteQueue" as const), queue }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constantFrom("sealBatch" as const, "sealBatch" as const, "cancelBatch" as const),
      batch: fc.integer({ min: 0, max: 12 }),
    }),
  },
  {
    weight: 7,
    arbitrary: fc.record({
      kind: fc.constant("advanceTime" as const),
      limit: fc.constantFrom(1, 2, 5, 100),
    }),
  },
  {
    weight: 1,
    arbitrary: fc
      .record({
        doneMs: shortMs,
        doneMax: fc.integer({ min: 0, max: 4 }),
        deadMs: shortMs,
        deadMax: fc.integer({ min: 0, max: 4 }),
      })
      .map((retention) => ({ kind: "configure" as const, retention })),
  },
);

interface BatchStep {
  readonly afterMs: number;
  readonly seed: number;
  readonly changes: readonly Change[];
  /** Does the process start anew after it? */
  readonly restarts: boolean;
}

export const batchStep: fc.Arbitrary<BatchStep> = fc.record({
  afterMs: fc.constantFrom(0, 0, 1, 50, 300, 1000, 4000),
  seed: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
  changes: fc.array(change, { minLength: 1, maxLength: 4 }),
  restarts: fc.integer({ min: 0, max: 9 }).map((draw) => draw === 0),
});

export const startMs = 1_700_000_000_000;

/** The batch that a step becomes at a time, in a state that holds these jobs and batches. */
export function batchAt(step: BatchStep, lastMs: number, state: MemoryState): Batch {
  const known: Known = { jobs: [...state.jobs.values()], batches: batchesOf(state) };
  const live = known.jobs.filter(({ finish }) => finish === 0);
  const seqOf = (draw: number) => live[draw % live.length]?.seq ?? draw;
  const aimed = (draw: number) => (draw > seqsMax ? seqOf(draw) : draw);
  const withSeqs = <Item extends { readonly seq: number }>(items: readonly Item[]) =>
    items.map((item) => ({ ...item, seq: aimed(item.seq) }));
  const changes = step.changes.map((one): Change => {
    switch (one.kind) {
      case "ack":
        return { ...one, items: withSeqs(one.items) };
      case "fail":
        return { ...one, items: withSeqs(one.items) };
      case "release":
        return { ...one, items: withSeqs(one.items) };
      case "heartbeat":
        return { ...one, items: withSeqs(one.items) };
      case "manage":
        return { ...one, seqs: one.seqs.map(aimed) };
      case "enqueue":
        return { ...one, jobs: one.jobs.map((job, i) => withIds(job, i, known, one)) };
      case "sealBatch":
      case "cancelBatch":
        return { ...one, batch: drawn(one.batch, known.batches).seq };
      default:
        return one;
    }
  });
  return { nowMs: lastMs + step.afterMs, seed: step.seed, changes };
}

interface Numbered {
  readonly seq: number;
  readonly createdAtMs: number;
}

interface Known {
  readonly jobs: readonly Job[];
  readonly batches: readonly Numbered[];
}

function batchesOf(state: MemoryState): Numbered[] {
  return [...state.records("batch").entries()]
    .map(([key, { createdAtMs }]) => ({ seq: Number(key), createdAtMs }))
    .sort((one, other) => one.seq - other.seq);
}

function withIds(job: NewJob, index: number, known: Known, call: EnqueueJobs): NewJob {
  if (job.options === undefined) return job;
  const { dependsOn, parentId, cascadeCancel, batchId, ...others } = job.options;
  const isEarlier = (text: string) =>
    text.startsWith("$") ? Number(text.slice(1)) < index : known.jobs.length > 0;
  const jobId = (text: string) => {
    if (text.startsWith("$")) return text;
    const { seq, createdAtMs } = drawn(Number(text.slice(1)), known.jobs);
    return formatJobId(seq, createdAtMs, 0);
  };
  const isChild = parentId !== undefined && isEarlier(parentId);
  const joins = batchId !== undefined && call.batch === undefined && known.batches.length > 0;
  const options = {
    ...others,
    ...(dependsOn !== undefined && {
      dependsOn: [...new Set(dependsOn.filter(isEarlier).map(jobId))],
    }),
    ...(isChild && { parentId: jobId(parentId) }),
    ...(isChild && cascadeCancel !== undefined && { cascadeCancel }),
    ...(joins && { batchId: batchIdAt(Number(batchId.slice(1)), known) }),
  };
  return { ...job, options };
}

function batchIdAt(draw: number, { batches }: Known): string {
  return formatGroupId("batch", { ...drawn(draw, batches), shard: 0 });
}

/** One of the last there are; 0 is one that is not there. */
function drawn(draw: number, of: readonly Numbered[]): Numbered {
  const found = draw === 0 ? undefined : of.at(-1 - (draw % of.length));
  return found ?? { seq: 999, createdAtMs: 0 };
}
