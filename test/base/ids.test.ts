/** Job ids: they hold their parts, sort by creation, and nothing else passes for one. */
import { expect, test } from "bun:test";
import fc from "fast-check";
import { formatJobId, parseJobId } from "../../src/base/ids.ts";

const parts = fc.record({
  createdAtMs: fc.nat(2 ** 44 - 1),
  shard: fc.nat(0xfff),
  seq: fc.nat(2 ** 48 - 1),
});

test("an id gives back the parts it was made of", () => {
  fc.assert(
    fc.property(parts, (given) => {
      const text = formatJobId(given.seq, given.createdAtMs, given.shard);

      expect(parseJobId(text)).toEqual(given);
      expect(text).toHaveLength(30);
    }),
    { numRuns: 1000 },
  );
});

test("ids sort by time, then shard, then number", () => {
  fc.assert(
    fc.property(parts, parts, (a, b) => {
      const order = a.createdAtMs - b.createdAtMs || a.shard - b.shard || a.seq - b.seq;
      const textA = formatJobId(a.seq, a.createdAtMs, a.shard);
      const textB = formatJobId(b.seq, b.createdAtMs, b.shard);

      expect(textA < textB ? -1 : textA > textB ? 1 : 0).toBe(Math.sign(order));
    }),
    { numRuns: 1000 },
  );
});

test("other texts are no ids", () => {
  const id = formatJobId(1, 1, 1);
  const wrong = [
    "",
    id.slice(1),
    `${id}0`,
    id.toUpperCase(),
    ` ${id}`,
    `${id}\n`,
    id.replace("0", "g"),
    "job_1",
  ];

  expect(wrong.filter((text) => parseJobId(text) !== undefined)).toEqual([]);
});
