/** Where queues are is a format on disk: the numbers below may never change. */
import { expect, test } from "bun:test";
import fc from "fast-check";
import { shardOfQueue, shardsMax } from "../../src/base/placement.ts";

test.each([
  ["mail", [1, 2, 5, 5]],
  ["a", [1, 0, 3, 51]],
  ["b", [0, 0, 2, 50]],
  ["order", [0, 1, 12, 12]],
  ["emails.welcome", [1, 0, 1, 17]],
  ["{}x", [1, 1, 1, 1]],
  ["x{y", [0, 1, 2, 18]],
])("queue %s is where it always was", (queue, expected) => {
  expect([2, 3, 16, 64].map((shards) => shardOfQueue(queue, shards))).toEqual(expected);
});

test("what is in braces decides alone, the first that is not empty", () => {
  for (const queue of ["{order}", "{order}:mail", "eu.{order}:bill", "{order}{other}"]) {
    expect(shardOfQueue(queue, 64)).toBe(shardOfQueue("order", 64));
  }
});

test("every queue has a shard, and with one shard all have the same", () => {
  fc.assert(
    fc.property(fc.string({ minLength: 1 }), fc.integer({ min: 1, max: shardsMax }), (name, n) => {
      const shard = shardOfQueue(name, n);
      expect(Number.isInteger(shard) && shard >= 0 && shard < n).toBe(true);
      expect(shardOfQueue(name, 1)).toBe(0);
    }),
  );
});

test("names that differ in a number spread over all shards", () => {
  const counts = new Array<number>(16).fill(0);
  for (let i = 0; i < 1600; i++) {
    const shard = shardOfQueue(`queue-${i}`, 16);
    counts[shard] = (counts[shard] ?? 0) + 1;
  }
  expect(Math.min(...counts)).toBeGreaterThan(60);
  expect(Math.max(...counts)).toBeLessThan(140);
});
