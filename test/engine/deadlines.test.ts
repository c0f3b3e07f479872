import { expect, test } from "bun:test";
import fc from "fast-check";
import { Deadlines } from "../../src/engine/deadlines.ts";

test("the first entry is always the earliest that was added and not removed", () => {
  const step = fc.record({
    kind: fc.constantFrom("add", "remove", "removeFirst"),
    timeMs: fc.integer({ min: 0, max: 5 }),
    key: fc.integer({ min: 0, max: 5 }),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200, size: "max" }), (steps) => {
      const deadlines = new Deadlines();
      const model = new Map<string, [number, number]>();
      const first = () => [...model.values()].sort((a, b) => a[0] - b[0] || a[1] - b[1])[0];

      for (const { kind, timeMs, key } of steps) {
        const name = `${timeMs} ${key}`;
        const top = first();
        if (kind === "add" && !model.has(name)) {
          deadlines.add(timeMs, key);
          model.set(name, [timeMs, key]);
        } else if (kind === "remove" && model.delete(name)) {
          deadlines.remove(timeMs, key);
        } else if (kind === "removeFirst" && top !== undefined) {
          deadlines.remove(...top);
          model.delete(top.join(" "));
        }

        const expected = first();
        expect(deadlines.size).toBe(model.size);
        expect(deadlines.topTime()).toBe(expected?.[0] ?? Number.POSITIVE_INFINITY);
        if (expected !== undefined) expect(deadlines.topKey()).toBe(expected[1]);
      }
    }),
    { numRuns: 300 },
  );
});

test("tombstones never outnumber the entries that count by much", () => {
  const deadlines = new Deadlines();
  for (let key = 0; key < 50_000; key++) deadlines.add(key, key);

  for (let key = 49_999; key > 0; key--) deadlines.remove(key, key);

  expect(deadlines.size).toBe(1);
  expect(deadlines.topTime()).toBe(0);
  deadlines.remove(0, 0);
  expect(deadlines.topTime()).toBe(Number.POSITIVE_INFINITY);
});
