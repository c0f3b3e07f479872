/** Leadership of shards is evened out with as few moves as that takes. */
import { expect, test } from "bun:test";
import fc from "fast-check";
import { movesFor } from "../../src/replica/balance.ts";

test("a founder that leads everything keeps its share, shard 0 with it", () => {
  expect(movesFor([1, 1, 1], [1, 2, 3])).toEqual([
    { shard: 2, to: 2 },
    { shard: 1, to: 3 },
  ]);
});

test("one more than another is even enough", () => {
  expect(movesFor([1, 1, 2], [1, 2])).toEqual([]);
});

test("nothing moves while a shard has no leader, or one that is not heard from or does not vote", () => {
  expect(movesFor([1, 1, 1, 0], [1, 2])).toEqual([]);
  expect(movesFor([1, 1, 1, 3], [1, 2])).toEqual([]);
});

test("afterwards no node leads two more than another, and nothing moves again", () => {
  const voters = [1, 2, 3, 4, 5];
  fc.assert(
    fc.property(
      fc.array(fc.constantFrom(...voters), { minLength: 1, maxLength: 64 }),
      fc.integer({ min: 0, max: 4 }),
      (leaders, gone) => {
        const alive = voters.filter((id) => leaders.includes(id) || id > gone);
        const after = [...leaders];
        for (const { shard, to } of movesFor(leaders, alive)) after[shard] = to;

        const counts = alive.map((id) => after.filter((leader) => leader === id).length);
        expect(after[0]).toBe(leaders[0]);
        expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(1);
        expect(movesFor(after, alive)).toEqual([]);
      },
    ),
  );
});
