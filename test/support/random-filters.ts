/** Jobs and filters that have something to do with each other, for properties of searches. */
import fc from "fast-check";
import { formatJobId } from "../../src/base/ids.ts";
import { bytesForm, compressForm } from "../../src/base/stored-value.ts";
import { type Job, jobStates } from "../../src/engine/job.ts";
import { defaultOptions } from "../../src/engine/options.ts";
import type { JobFilter, PayloadCondition } from "../../src/engine/query.ts";
import { buildJob } from "./jobs.ts";

/** Random jobs have every third number up to three times this. */
export const jobCount = 400;
export const queueNames = ["a", "b", "mail/out"];
/** Awkward on purpose: quotes, paths, wildcards and statements must be nothing but text. */
const tagNames = ["env", 'a"b', "$.x", "x'); DROP TABLE jobs; --", "", "é.%_"];
const payloads = [
  '{"n":1}',
  '{"N":1,"s":"it\'s 100%"}',
  '"\u{1f600}"',
  "[]",
  '{"user":{"id":1234567,"name":"Ann Berg"},"list":["Ann Berg",7]}',
  '{"user":{"id":1.234567e6,"name":"Ann\\u0020Berg"},"list":[]}',
  `{"user":{"id":12345678},"text":"${"ΑΣΑΣ filler ".repeat(800)}the end"}`,
  compressForm(`{"user":{"id":1234567},"s":"it's packed ${"and packed ".repeat(40)}"}`, 100),
  bytesForm("AAAA", 3, "image/png"),
];
export const firstMs = 1_700_000_000_000;

export function randomJob(): fc.Arbitrary<Job> {
  const timeMs = fc.constantFrom(0, firstMs, firstMs + 5, firstMs + 50);
  return fc
    .record({
      queue: fc.constantFrom(...queueNames),
      state: fc.constantFrom(...jobStates),
      priority: fc.integer({ min: 0, max: 3 }),
      payload: fc.constantFrom(...payloads),
      scheduledAtMs: timeMs,
      startedAtMs: timeMs,
      finishedAtMs: timeMs,
      expireAtMs: timeMs,
      attempt: fc.integer({ min: 0, max: 3 }),
      history: fc.integer({ min: 0, max: 2 }),
      workerId: fc.constantFrom(undefined, "w1", "w'2"),
      options: fc
        .record(
          {
            uniqueKey: fc.constantFrom("k", "k'"),
            parentId: fc.constantFrom("job_1", "job_2"),
            tags: fc
              .dictionary(fc.constantFrom(...tagNames), fc.constantFrom("x", "y'\"", ""), {
                maxKeys: 3,
              })
              .map((tags) => JSON.stringify(tags)),
          },
          { requiredKeys: [] },
        )
        .map((some) =>
          Object.keys(some).length === 0 ? defaultOptions : { ...defaultOptions, ...some },
        ),
    })
    .map((patch) => buildJob({ seq: 1, ...patch, order: 0 }));
}

const boundMs = fc.constantFrom(0, firstMs - 1, firstMs, firstMs + 5, firstMs + 37, firstMs + 60);

const conditionArbitrary: fc.Arbitrary<PayloadCondition> = fc.oneof(
  fc.record({
    path: fc.constantFrom(["user", "id"], ["user", "name"], ["list", "1"], ["n"], ["user"], []),
    operator: fc.constantFrom("=", "!=", "<", "<=", ">", ">=", "startsWith", "contains"),
    value: fc.constantFrom(1, 7, 1_234_567, "Ann Berg", "Ann", "", null, true),
  }),
  fc.record({
    path: fc.constantFrom(["list"], ["user"], ["s"], ["none"], []),
    operator: fc.constantFrom("=", "!=", "<", "<=", ">", ">="),
    of: fc.constant("length" as const),
    value: fc.integer({ min: 0, max: 3 }),
  }),
);

const plainFilter: fc.Arbitrary<JobFilter> = fc
  .record(
    {
      queue: fc.constantFrom(...queueNames, "none", "a' OR 1=1 --"),
      states: fc.subarray([...jobStates]),
      priority: fc.integer({ min: 0, max: 4 }),
      tags: fc.dictionary(fc.constantFrom(...tagNames), fc.constantFrom("x", "y'\"", ""), {
        maxKeys: 2,
      }),
      payloadContains: fc.constantFrom("n", "N", "%", "_", "it's", "\u{1f600}", ""),
      errorContains: fc.constantFrom("boom", "BOOM", "%", "first", "no Route"),
      words: fc.array(
        fc.constantFrom(
          "mail",
          "IT's 100%",
          "annberg",
          "ANN BERG",
          "ασας",
          "the END",
          "no route",
          "b",
          "boom",
          "nowhere",
          "and PACKED",
        ),
        { minLength: 1, maxLength: 2 },
      ),
      payloadWhere: fc.array(conditionArbitrary, { minLength: 1, maxLength: 2 }),
      createdAfterMs: boundMs,
      createdBeforeMs: boundMs,
      scheduledAfterMs: boundMs,
      scheduledBeforeMs: boundMs,
      startedAfterMs: boundMs,
      startedBeforeMs: boundMs,
      completedAfterMs: boundMs,
      completedBeforeMs: boundMs,
      expireAfterMs: boundMs,
      expireBeforeMs: boundMs,
      attemptMin: fc.integer({ min: 0, max: 4 }),
      attemptMax: fc.integer({ min: 0, max: 4 }),
      uniqueKey: fc.constantFrom("k", "k'", "none"),
      workerId: fc.constantFrom("w1", "w'2"),
      parentId: fc.constantFrom("job_1", "job_9"),
      hasErrors: fc.boolean(),
      jobIdPrefix: fc
        .tuple(fc.integer({ min: 1, max: jobCount }), fc.integer({ min: 0, max: 31 }))
        .map(([nth, length]) => {
          const seq = nth * 3;
          return `${formatJobId(seq, firstMs + Math.floor(seq / 10), 0)}0`.slice(0, length);
        }),
    },
    { requiredKeys: [] },
  )
  // All 24 at once match nothing: keep a few.
  .chain((all) => {
    const entries = Object.entries(all);
    return fc.subarray(entries, { maxLength: Math.min(4, entries.length) });
  })
  .map((some) => Object.fromEntries(some) as JobFilter);

const smallFilter = plainFilter.map(
  (filter) => Object.fromEntries(Object.entries(filter).slice(0, 2)) as JobFilter,
);

/** Filters with filters in them, two levels deep. */
export const filterArbitrary: fc.Arbitrary<JobFilter> = fc.oneof(
  { weight: 3, arbitrary: plainFilter },
  { weight: 2, arbitrary: combined(smallFilter) },
  { weight: 1, arbitrary: combined(combined(smallFilter)) },
);

function combined(inner: fc.Arbitrary<JobFilter>): fc.Arbitrary<JobFilter> {
  const group = fc.array(inner, { minLength: 1, maxLength: 3 });
  return fc
    .record(
      { any: fc.array(group, { minLength: 1, maxLength: 2 }), not: group },
      { requiredKeys: [] },
    )
    .chain((parts) =>
      smallFilter.map((filter) => ({
        ...(Object.fromEntries(Object.entries(filter).slice(0, 1)) as JobFilter),
        ...parts,
      })),
    );
}
