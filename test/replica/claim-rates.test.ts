/** How fast a queue was claimed lately. */
import { expect, test } from "bun:test";
import { ClaimRates } from "../../src/replica/claim-rates.ts";

test("a steady rate is told as it is, and silence ends it within a minute", () => {
  let nowMs = 0;
  const rates = new ClaimRates(() => nowMs);
  for (; nowMs < 100_000; nowMs += 100) rates.note("q", 2);

  expect(rates.perSecond("q")).toBeCloseTo(20, 0);
  expect(rates.perSecond("other")).toBe(0);
  nowMs += 30_000;
  expect(rates.perSecond("q")).toBeLessThan(15);
  nowMs += 60_000;
  expect(rates.perSecond("q")).toBe(0);
});

test("claims that just began are no rate of thousands", () => {
  let nowMs = 0;
  const rates = new ClaimRates(() => nowMs);
  rates.note("q", 50);
  nowMs += 1;

  expect(rates.perSecond("q")).toBe(10);
});
