/** Random histories of batches: every kind of change, over few queues, jobs and tokens, so that they meet often. */
import fc from "fast-check";
import type { ChainPlan } from "../../src/engine/chains.ts";
import type {
  Change,
  ManageAction,
  NewBatch,
  NewJob,
  RaisedPause,
} from "../../src/engine/change.ts";
import type { Lane } from "../../src/engine/limits/lane.ts";
import type { Rate } from "../../src/engine/limits/rate.ts";
import type { LimitTarget } from "../../src/engine/limits/setting.ts";
import type { JobOptions } from "../../src/engine/options.ts";
import { blob, payload } from "./history-payloads.ts";

const queue = fc.constantFrom("a", "b", "c/d");
/** Numbers of jobs; most histories have about as many. Above that, one of the jobs that are not finished. */
export const seqsMax = 12;
const seq = fc.integer({ min: 1, max: 2 * seqsMax });
const token = fc.integer({ min: 1, max: 6 });
const shortMs = fc.integer({ min: 0, max: 6000 });
const text = fc.constantFrom('"x"', '{"n":12345678901234567890}', '"\u00e9\u{1f600}"', "[]");

/** Few keys, groups and resources, so that most jobs have one in common with another. */
export const lane: fc.Arbitrary<Lane> = fc
  .record(
    {
      key: fc.constantFrom("k1", "k2"),
      cost: fc.integer({ min: 2, max: 4 }),
      resources: fc.subarray(["r1", "r2"], { minLength: 1 }),
      units: fc.integer({ min: 1, max: 3 }),
      fifo: fc.constantFrom("f1", "f2"),
      group: fc.constantFrom("g1", "g2", "g\n3"),
      requires: fc.oneof(
        { weight: 3, arbitrary: fc.constant(undefined) },
        { weight: 1, arbitrary: fc.subarray(["x=1", "y=2"], { minLength: 1 }) },
      ),
    },
    { requiredKeys: ["units"] },
  )
  .map(({ units, resources, requires, ...rest }) => ({
    ...rest,
    ...(requires !== undefined && { requires }),
    ...(resources !== undefined && {
      resources: resources.map((name): [string, number] => [name, units]),
    }),
  }))
  .filter((made) => Object.keys(made).length > 0) as fc.Arbitrary<Lane>;

const rate: fc.Arbitrary<Rate> = fc.oneof(
  fc.record({
    kind: fc.constantFrom("sliding" as const, "leaky" as const),
    count: fc.integer({ min: 1, max: 3 }),
    windowMs: fc.constantFrom(100, 1000, 4000),
  }),
  fc
    .record(
      {
        kind: fc.constant("token" as const),
        count: fc.integer({ min: 1, max: 3 }),
        windowMs: fc.constantFrom(100, 1000, 4000),
        burst: fc.integer({ min: 1, max: 4 }),
      },
      { requiredKeys: ["kind", "count", "windowMs"] },
    )
    .map((made) => made as Rate),
);
const concurrency = fc.integer({ min: 1, max: 3 });

const limited: fc.Arbitrary<LimitTarget> = fc.oneof(
  fc.record({
    scope: fc.constantFrom("queue" as const, "eachKey" as const),
    queue,
    name: fc.constant(""),
  }),
  fc.record({ scope: fc.constant("key" as const), queue, name: fc.constantFrom("k1", "k2") }),
  fc.record({
    scope: fc.constant("resource" as const),
    queue: fc.constant(""),
    name: fc.constantFrom("r1", "r2"),
  }),
);
const grouped: fc.Arbitrary<LimitTarget> = fc.oneof(
  fc.record({ scope: fc.constant("eachGroup" as const), queue, name: fc.constant("") }),
  fc.record({
    scope: fc.constant("group" as const),
    queue,
    name: fc.constantFrom("g1", "g\n3", ""),
  }),
);
export const pause: fc.Arbitrary<RaisedPause> = fc.oneof(
  fc.record({ scope: fc.constantFrom("queue" as const, "key" as const), pauseMs: shortMs }),
  fc.record({
    scope: fc.constant("resource" as const),
    name: fc.constantFrom("r1"),
    pauseMs: shortMs,
  }),
);

export const limitChange: fc.Arbitrary<Change> = fc.oneof(
  fc
    .tuple(limited, fc.record({ concurrency, rate }, { requiredKeys: [] }), fc.nat({ max: 5 }))
    .map(([target, values, draw]) => {
      const only = draw === 0 ? ("concurrency" as const) : ("rate" as const);
      if (draw > 1) return { kind: "setLimit" as const, target, values } as Change;
      const { [only]: value } = values;
      return {
        kind: "setLimit" as const,
        target,
        values: value === undefined ? {} : { [only]: value },
        only,
      } as Change;
    }),
  fc
    .tuple(
      grouped,
      fc.record(
        { weight: fc.integer({ min: 1, max: 3 }), backlog: fc.integer({ min: 1, max: 5 }) },
        { requiredKeys: [] },
      ),
    )
    .map(([target, values]) => ({ kind: "setLimit" as const, target, values }) as Change),
  fc.oneof(limited, grouped).map((target) => ({ kind: "removeLimit" as const, target })),
  fc
    .tuple(
      limited.filter(({ scope }) => scope !== "eachKey"),
      fc.constantFrom(0, 50, 1000, 4000),
    )
    .map(([target, pauseMs]) => ({ kind: "pauseLimit" as const, target, pauseMs })),
);
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

export const chain = fc.record(
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
    jitterMode: fc.constantFrom("additive", "full", "equal"),
    retryForMs: fc.constantFrom(0, 1500, 5000),
    noRetryOn: fc.constantFrom(["Fatal"], ["Other", "Fatal"]),
    lostLeasesMax: fc.integer({ min: 0, max: 2 }),
    snoozesMax: fc.constantFrom(0, 1, 1000),
    timeoutMs: fc.constantFrom(0, 500, 2500),
    deadQueue: fc.constantFrom("b", "c/d", "buried"),
    uniqueKey: fc.constantFrom("k", "k\n2"),
    uniqueMs: fc.integer({ min: 1, max: 8000 }),
    uniqueScope: fc.constantFrom("waiting", "done", "period"),
    onConflict: fc.constantFrom("existing", "reject", "replace", "keep_last", "cancel"),
    tags: fc.constantFrom('{"env":"prod"}', '{"env":"test","a\\"b":"1"}'),
    parentId: fc.oneof(jobNumber, earlierJob),
    cascadeCancel: fc.boolean(),
    batchId: batchNumber,
    lane,
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
      payload,
      priority: fc.integer({ min: 0, max: 4 }),
      delayMs: shortMs,
      expireMs: fc.constantFrom(1, 2500, 6000, 60_000, 60_001),
      deadlineMs: fc.constantFrom(2000, 7000, 60_000),
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

const queueDefaults: fc.Arbitrary<Partial<JobOptions>> = fc.record(
  {
    maxRetries: fc.integer({ min: 1, max: 2 }),
    baseDelayMs: fc.constantFrom(0, 400),
    jitterMode: fc.constantFrom("full", "equal"),
    timeoutMs: fc.constantFrom(700),
    deadQueue: fc.constantFrom("buried", "a"),
  },
  { requiredKeys: [] },
) as fc.Arbitrary<Partial<JobOptions>>;

/** Of a step only its size counts, and whether it is of the redrive there is: `history-batch.ts` makes the rest of it. */
const redriveChange: fc.Arbitrary<Change> = fc.oneof(
  fc
    .record(
      {
        kind: fc.constant("startRedrive" as const),
        queue,
        filter: fc.constant({}),
        toQueue: fc.constantFrom("b", "buried"),
        perSecond: fc.integer({ min: 1, max: 3 }),
        total: fc.constant(1),
        totalExact: fc.boolean(),
      },
      { requiredKeys: ["kind", "queue", "filter", "total", "totalExact"] },
    )
    .map((made) => made as Change),
  fc.record({
    kind: fc.constant("stepRedrive" as const),
    queue,
    id: fc.integer({ min: 0, max: 9 }),
    afterSeq: fc.integer({ min: 0, max: 9 }),
    seqs: fc.array(seq, { maxLength: 3 }),
    isLast: fc.integer({ min: 0, max: 3 }).map((draw) => draw === 0),
  }),
  fc.record({ kind: fc.constant("cancelRedrive" as const), queue }),
);

export const change: fc.Arbitrary<Change> = fc.oneof(
  { weight: 4, arbitrary: limitChange },
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
          labels: fc.constantFrom(["x=1"], ["x=1", "y=2"]),
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
            result: fc.oneof(text, fc.constantFrom(blob("a"), blob("c"))),
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
          {
            retryable: fc.boolean(),
            errorClass: fc.constantFrom("Fatal", "Passing"),
            backtrace: fc.constant("at x"),
            output: fc.constant("out"),
            pause,
            keepAttempt: fc.constant(true as const),
            delayMs: fc.constantFrom(0, 50, 4000),
          },
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
    arbitrary: itemsOf(leased(fc.record({ delayMs: shortMs, pause }, optional))).map(
      (items) => ({ kind: "release", items }) as Change,
    ),
  },
  {
    weight: 2,
    arbitrary: itemsOf(
      leased(fc.record({ delayMs: shortMs, checkpoint: text }, { requiredKeys: ["delayMs"] })),
    ).map((items) => ({ kind: "snooze", items }) as Change),
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
    arbitrary: fc.oneof(
      fc.record({
        kind: fc.constant("drainQueue" as const),
        queue,
        draining: fc.boolean(),
      }),
      fc.record(
        {
          kind: fc.constant("setQueueDefaults" as const),
          queue,
          defaults: queueDefaults,
        },
        { requiredKeys: ["kind", "queue"] },
      ) as fc.Arbitrary<Change>,
    ),
  },
  { weight: 3, arbitrary: redriveChange },
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

export interface BatchStep {
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
