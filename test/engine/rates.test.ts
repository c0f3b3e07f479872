/** The arithmetic of rates, held to what each kind promises of any run of starts. */
import { expect, test } from "bun:test";
import fc from "fast-check";
import {
  freeUnits,
  type Rate,
  rateOpensAtMs,
  rateRestMs,
  type Spent,
  spend,
} from "../../src/engine/limits/rate.ts";

interface Start {
  readonly atMs: number;
  readonly cost: number;
}

const beginMs = 1_700_000_000_123;
const demands = fc.array(
  fc.record({
    afterMs: fc.constantFrom(0, 0, 0, 1, 7, 50, 300),
    cost: fc.integer({ min: 1, max: 4 }),
  }),
  { minLength: 1, maxLength: 60, size: "max" },
);
const sizes = {
  count: fc.integer({ min: 1, max: 12 }),
  windowMs: fc.constantFrom(1, 10, 97, 1000, 5000, 60_000),
};

/** Starts each demand as soon as the rate lets it, and checks what the rate says on the way. */
function play(rate: Rate, wanted: readonly { afterMs: number; cost: number }[]): Start[] {
  const starts: Start[] = [];
  let spent: Spent | undefined;
  let nowMs = beginMs;
  for (const { afterMs, cost } of wanted) {
    nowMs += afterMs;
    const opensAtMs = rateOpensAtMs(rate, spent, cost, nowMs);
    // Nothing less than the time that it names is enough.
    if (opensAtMs > nowMs) {
      expect(rateOpensAtMs(rate, spent, cost, opensAtMs - 1)).toBe(opensAtMs);
      expect(cost > 1 || freeUnits(rate, spent, opensAtMs - 1) === 0).toBe(true);
    }
    nowMs = opensAtMs;
    expect(freeUnits(rate, spent, nowMs) > 0).toBe(true);
    spent = spend(rate, spent, cost, nowMs);
    starts.push({ atMs: nowMs, cost });
    const restMs = rateRestMs(rate, spent);
    expect(freeUnits(rate, spent, restMs)).toBe(freeUnits(rate, undefined, restMs));
  }
  return starts;
}

test("[LM3] a sliding window never holds more than its count, wherever it is laid", () => {
  fc.assert(
    fc.property(fc.record(sizes), demands, (size, wanted) => {
      const rate: Rate = { kind: "sliding", ...size };
      const starts = play(rate, wanted);
      for (const { atMs } of starts) {
        const inside = starts.filter((one) => one.atMs <= atMs && one.atMs > atMs - rate.windowMs);
        const units = inside.reduce((sum, one) => sum + Math.min(one.cost, rate.count), 0);
        expect(units).toBeLessThanOrEqual(rate.count);
      }
    }),
    { numRuns: 300 },
  );
});

test("[LM3] [LM4] a token bucket gives its burst and no more than its rate over any time, whatever jobs cost", () => {
  fc.assert(
    fc.property(
      fc.record({ ...sizes, burst: fc.integer({ min: 1, max: 6 }) }),
      demands,
      (size, wanted) => {
        const rate: Rate = { kind: "token", ...size };
        const starts = play(rate, wanted);
        starts.forEach((from, i) => {
          let units = 0;
          for (const to of starts.slice(i)) {
            units += to.cost;
            // A job above the burst is paid for afterwards, so it is the only one that may go beyond.
            const allowed =
              Math.max(size.burst, to.cost) + ((to.atMs - from.atMs) * rate.count) / rate.windowMs;
            expect(units).toBeLessThanOrEqual(allowed + 1e-9);
          }
        });
      },
    ),
    { numRuns: 300 },
  );
});

test("[LM3] a leaky bucket spaces starts evenly, to the millisecond", () => {
  fc.assert(
    fc.property(fc.record(sizes), demands, (size, wanted) => {
      const rate: Rate = { kind: "leaky", ...size };
      const starts = play(rate, wanted);
      starts.forEach((from, i) => {
        let cost = from.cost;
        for (const to of starts.slice(i + 1)) {
          expect(to.atMs - from.atMs).toBeGreaterThan((cost * rate.windowMs) / rate.count - 1);
          cost += to.cost;
        }
      });
    }),
    { numRuns: 300 },
  );
});

test("[LM3] a rate that is asked for all the time is reached", () => {
  const wanted = Array.from({ length: 400 }, () => ({ afterMs: 0, cost: 1 }));
  for (const kind of ["token", "sliding", "leaky"] as const) {
    const starts = play({ kind, count: 7, windowMs: 1000 }, wanted);
    const tookMs = (starts.at(-1)?.atMs ?? 0) - beginMs;
    expect(tookMs).toBeGreaterThan(55_000);
    expect(tookMs).toBeLessThan(57_200);
  }
});
