import { expect, test } from "bun:test";
import fc from "fast-check";
import { digest, digestRow, isUnchanged } from "./digest.ts";

const plain = fc.jsonValue({ maxDepth: 4 });

test("equal values have equal digests, whatever holds them, and others have others", () => {
  fc.assert(
    fc.property(plain, plain, fc.nat(), (one, other, bits) => {
      const again: unknown = JSON.parse(JSON.stringify(one));
      const isSame = JSON.stringify(one) === JSON.stringify(other);

      expect(digest(bits, again)).toBe(digest(bits, JSON.parse(JSON.stringify(again))));
      if (!isSame) expect(digest(bits, other)).not.toBe(digest(bits, again));
    }),
    { numRuns: 3000, seed: 11 },
  );
});

test("a member that is undefined counts as absent, and one that is null does not", () => {
  expect(digest(1, { a: 1, b: undefined })).toBe(digest(1, { a: 1 }));
  expect(digest(1, { a: 1, b: null })).not.toBe(digest(1, { a: 1 }));
});

test("what comes before an empty text or list makes a difference", () => {
  for (const empty of ["", [], {}, 0, false, null]) {
    const found = [1, 2, "a", "b"].map((first) => digestRow(3, { first, empty }));
    expect(new Set(found).size).toBe(found.length);
  }
  expect(digest(0, [])).not.toBe(digest(0, ""));
});

test("any number makes a difference, however small or large", () => {
  const numbers = [0, 1, -1, 0.5, 1e-9, 2 ** 31, 2 ** 31 + 1, 2 ** 53, Number.POSITIVE_INFINITY];
  const found = new Set(numbers.map((number) => digest(7, number)));

  expect(found.size).toBe(numbers.length);
});

test("a part of a row that is changed in place is found", () => {
  const options = { tags: ["a"] };
  digestRow(0, { seq: 1, options });

  expect(isUnchanged(options)).toBe(true);
  options.tags.push("b");
  expect(isUnchanged(options)).toBe(false);
});
