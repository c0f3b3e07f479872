/** Random histories of jobs that compete for unique keys, with every other kind of change among them. */
import fc from "fast-check";
import type { Change, NewJob } from "../../src/engine/change.ts";
import { type BatchStep, chain, change, lane } from "./histories.ts";
import { payload } from "./history-payloads.ts";

/** Once in `weight + 1` times. */
function seldom<T>(weight: number, arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> {
  return fc.oneof({ weight, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary });
}

/** Jobs that compete for two unique keys of two queues, are claimed soon, and are touched by hand now and then. */
const keyedJob: fc.Arbitrary<NewJob> = fc
  .record(
    {
      queue: fc.constantFrom("a", "a", "a", "b"),
      payload,
      delayMs: fc.constantFrom(0, 0, 0, 700),
      expireMs: fc.constantFrom(2500, 60_000),
      options: fc.record(
        {
          maxRetries: fc.constantFrom(1, 3),
          baseDelayMs: fc.constant(500),
          uniqueKey: fc.constantFrom("k", "k", "l"),
          uniqueMs: fc.constantFrom(300, 4000, 100_000),
          uniqueScope: fc.constantFrom("waiting", "done", "period"),
          onConflict: fc.constantFrom("existing", "reject", "replace", "keep_last", "cancel"),
          debounceMs: fc.constantFrom(0, 0, 500),
          debounceMaxMs: fc.constantFrom(0, 800),
          merge: fc.constantFrom("none", "none", "shallow", "append"),
          chain: seldom(5, chain),
          lane: seldom(3, lane),
        },
        { requiredKeys: ["uniqueKey"] },
      ),
    },
    { requiredKeys: ["queue", "payload", "options"] },
  )
  .map(({ options: { chain: plan, lane: shared, ...rest }, ...job }) => {
    const made = { ...rest, ...(plan && { chain: plan }), ...(shared && { lane: shared }) };
    return { ...job, options: made } as NewJob;
  });

const keyedChange: fc.Arbitrary<Change> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc
      .array(keyedJob, { minLength: 1, maxLength: 2 })
      .map((jobs): Change => ({ kind: "enqueue", jobs })),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant("claim" as const),
      queues: fc.constant(["a", "b"]),
      count: fc.constantFrom(1, 3),
      leaseMs: fc.constantFrom(500, 10_000),
    }),
  },
  { weight: 4, arbitrary: change },
);

export const keyedStep: fc.Arbitrary<BatchStep> = fc.record({
  afterMs: fc.constantFrom(0, 0, 1, 300, 1000),
  seed: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
  changes: fc.array(keyedChange, { minLength: 1, maxLength: 3 }),
  restarts: fc.integer({ min: 0, max: 9 }).map((draw) => draw === 0),
});
