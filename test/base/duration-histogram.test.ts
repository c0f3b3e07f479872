import { expect, test } from "bun:test";
import { DurationHistogram } from "../../src/base/duration-histogram.ts";

test("a duration counts in the first bucket whose bound it does not pass, the longest after all bounds", () => {
  const histogram = new DurationHistogram([0.001, 0.01]);
  for (const ms of [0, 1, 1.5, 10, 10.1, 60_000]) histogram.note(ms);
  expect([...histogram.counts]).toEqual([2, 2, 2]);
  expect(histogram.secondsTotal).toBeCloseTo(60.0226, 9);
});
