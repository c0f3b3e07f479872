import { expect, test } from "bun:test";
import fc from "fast-check";
import { engineLimits } from "../../src/engine/limits.ts";
import { defaultOptions } from "../../src/engine/options.ts";
import { backoffMs, retryDelayMs } from "../../src/engine/retry.ts";
import { EngineRig, verdictOf } from "../support/engine-rig.ts";

test.each([0, 1, 2, 5])(
  "[J20] max_retries %i is the number of runs in all, at least one",
  (maxRetries) => {
    const rig = new EngineRig();
    const seq = rig.add({ options: { maxRetries, backoff: "none" } });
    let runs = 0;
    while (rig.job(seq).state !== "dead") {
      rig.tick();
      rig.fail(rig.claim());
      runs++;
    }

    expect(runs).toBe(Math.max(1, maxRetries));
    expect(rig.job(seq).reason).toBe(`all ${runs} attempts failed`);
  },
);

test("[J21] the delay grows as its kind says, up to the cap", () => {
  const delays = (options: Partial<typeof defaultOptions>) =>
    [1, 2, 3, 4, 2000].map((attempt) => backoffMs({ ...defaultOptions, ...options }, attempt));

  expect(delays({ backoff: "none" })).toEqual([0, 0, 0, 0, 0]);
  expect(delays({ backoff: "fixed", baseDelayMs: 7 })).toEqual([7, 7, 7, 7, 7]);
  expect(delays({ backoff: "linear", baseDelayMs: 10, maxDelayMs: 35 })).toEqual([
    10, 20, 30, 35, 35,
  ]);
  expect(delays({ backoff: "exponential", baseDelayMs: 10, maxDelayMs: 70 })).toEqual([
    10, 20, 40, 70, 70,
  ]);
  expect(Number.isSafeInteger(delays({ backoff: "exponential", maxDelayMs: 0 })[4])).toBe(true);
});

test("[J22] jitter makes a delay longer by at most its share, the same for the same seed", () => {
  fc.assert(
    fc.property(
      fc.record({
        backoff: fc.constantFrom("none", "fixed", "linear", "exponential"),
        baseDelayMs: fc.integer({ min: 0, max: 1e9 }),
        maxDelayMs: fc.integer({ min: 0, max: 1e9 }),
        jitter: fc.double({ min: 0, max: 1, noNaN: true }),
      }),
      fc.integer({ min: 1, max: 1000 }),
      fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
      (options, attempt, chance) => {
        const all = { ...defaultOptions, ...options };
        const plain = backoffMs(all, attempt);
        const delayMs = retryDelayMs(all, attempt, chance);

        expect(delayMs).toBeGreaterThanOrEqual(plain);
        expect(delayMs).toBeLessThanOrEqual(Math.ceil(plain * (1 + options.jitter)));
      },
    ),
  );
  const dueOf = (seed: number) => {
    const rig = new EngineRig();
    rig.seed = seed;
    const seq = rig.add({ options: { jitter: 1 } });
    rig.fail(rig.claim());
    return rig.job(seq).dueAtMs;
  };
  expect(dueOf(1)).toBe(dueOf(1));
  expect(new Set([1, 2, 3, 4, 5].map(dueOf)).size).toBeGreaterThan(1);
});

test("[J23] a fail that must not be retried is the end, whatever the count", () => {
  const rig = new EngineRig();
  const seq = rig.add({ options: { maxRetries: 10 } });

  expect(verdictOf(rig.fail(rig.claim(), { retryable: false }))).toBe("dead");
  expect(rig.job(seq).reason).toBe("the worker said that it must not be retried");
});

test("[J24] the last attempts are kept; a success is recorded only with its output", () => {
  const rig = new EngineRig();
  const seq = rig.add({ options: { maxRetries: 1000, backoff: "none" } });
  for (let i = 0; i < engineLimits.attemptsKeptMax + 3; i++) {
    rig.fail(rig.claim());
    rig.tick();
  }
  rig.ack(rig.claim(), { output: "done" });
  const silent = rig.add();
  rig.ack(rig.claim());

  const kept = rig.attempts(seq);
  expect(kept).toHaveLength(engineLimits.attemptsKeptMax);
  expect(kept[0]).toMatchObject({ attempt: 5, outcome: "failed", error: "boom", workerId: "w" });
  expect(kept.at(-1)).toMatchObject({ attempt: 36, outcome: "completed", output: "done" });
  expect(rig.attempts(silent)).toEqual([]);
});
