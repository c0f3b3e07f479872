import { expect, test } from "bun:test";
import fc from "fast-check";
import { type Lane, laneName } from "../../src/engine/limits/lane.ts";

// Texts of which one may be made of others, so that names could run into each other.
const text = fc.oneof(
  fc.string({ unit: fc.constantFrom("1", ":", "a", "k", "b", "[", '"'), maxLength: 4 }),
  fc.constantFrom("", "[null,", "1:a"),
);
const optional = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: undefined, freq: 2 });
const rarely = <T>(value: fc.Arbitrary<T>) =>
  fc.oneof({ weight: 4, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary: value });

const anyLane = fc
  .record({
    key: optional(text),
    group: optional(text),
    cost: rarely(fc.integer({ min: 2, max: 3 })),
    fifo: rarely(text),
    resources: rarely(fc.constantFrom([["r", 1] as const], [["r", 2] as const])),
    requires: rarely(fc.constantFrom(["x"], ["x", "y"])),
  })
  .map((lane) => JSON.parse(JSON.stringify(lane)) as Lane);

test("lanes have the same name when they are equal, and only then", () => {
  fc.assert(
    fc.property(fc.array(anyLane, { maxLength: 12 }), (lanes) => {
      for (const one of lanes) {
        for (const other of lanes) {
          const isEqual = Bun.deepEquals(one, other);
          expect(laneName(one) === laneName({ ...other }), JSON.stringify([one, other])).toBe(
            isEqual,
          );
        }
      }
    }),
    { numRuns: 2000 },
  );
});
