/** A claimed job is written in two ways, one of them for speed: they say the same of every job. */
import { expect, test } from "bun:test";
import fc from "fast-check";
import { formatJobId } from "../../src/base/ids.ts";
import { stringifyJson } from "../../src/base/json.ts";
import { bytesForm, compressForm } from "../../src/base/stored-value.ts";
import { defaultOptions } from "../../src/engine/options.ts";
import { claimedText } from "../../src/service/claimed-text.ts";
import { claimedView } from "../../src/service/views.ts";
import { buildJob } from "../support/jobs.ts";
import { jsonText } from "../support/json-text.ts";

// Few values each, so that neighbours share some and differ in others.
const count = fc.integer({ min: 0, max: 2 });
const timeMs = fc.integer({ min: 1_700_000_000_000, max: 1_700_000_000_002 });
const payload = fc.oneof(
  jsonText,
  fc.constant(bytesForm("AAEC", 3, "text/x-bytes")),
  fc.constant(compressForm(JSON.stringify("again ".repeat(500)), 100)),
);
const maybe = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: undefined, freq: 2 });

const anyJob = fc
  .record({
    seq: fc.integer({ min: 1, max: 1e9 }),
    createdAtMs: timeMs,
    queue: fc.constantFrom("a", "b", 'odd "queue"', "ü"),
    payload,
    attempt: count,
    priority: count,
    leaseMs: fc.constantFrom(1, 1500, 60_000),
    leaseExpiresAtMs: timeMs,
    token: fc.integer({ min: 1, max: 1e12 }),
    checkpoint: maybe(jsonText),
    options: fc.record({
      maxRetries: count,
      timeoutMs: count,
      deadlineAtMs: fc.constantFrom(0, 1_800_000_000_000),
      tags: maybe(fc.constant('{"k":"v"}')),
      schedule: maybe(fc.constant({ name: 'every "day"', dueMs: 1_700_000_000_000 })),
      deadOf: maybe(fc.constantFrom([7, 1_700_000_000_000] as const, [7, 1, 3] as const)),
    }),
  })
  .map(({ options, ...job }) =>
    buildJob({ ...job, state: "active", options: { ...defaultOptions, ...options } as never }),
  );

test("the text of a claimed job says what its view says", () => {
  fc.assert(
    fc.property(fc.array(anyJob, { maxLength: 20 }), (jobs) => {
      for (const job of jobs) {
        const id = formatJobId(job.seq, job.createdAtMs, 5);
        const text = claimedText(id, job);
        expect(JSON.parse(text)).toEqual(JSON.parse(stringifyJson(claimedView(id, job))));
      }
    }),
  );
});
