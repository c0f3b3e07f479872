import { expect, test } from "bun:test";
import fc from "fast-check";
import type { CorvoError } from "../../src/base/errors.ts";
import { pageOf, startOf } from "../../src/service/page.ts";

const listing = (isReverse: boolean) => ({
  list: "things",
  placeOf: (row: string) => row,
  isReverse,
});

test("pages one after the other are the list, whatever its size, its order and that of the rows", () => {
  const rows = fc.uniqueArray(fc.string({ minLength: 1, maxLength: 3 }), { maxLength: 30 });
  fc.assert(
    fc.property(rows, fc.integer({ min: 1, max: 9 }), fc.boolean(), (all, limit, isReverse) => {
      const seen: string[] = [];
      for (let cursor = ""; ; ) {
        const page = pageOf(listing(isReverse), { limit, cursor }, all);
        seen.push(...page.rows);
        expect(page.rows.length).toBeLessThanOrEqual(limit);
        expect(page.end.has_more).toBe(page.end.cursor !== undefined);
        if (page.end.cursor === undefined) break;
        cursor = page.end.cursor;
      }
      const sorted = [...all].sort();
      expect(seen).toEqual(isReverse ? sorted.reverse() : sorted);
    }),
    { numRuns: 500 },
  );
});

test("rows that come and go between pages neither repeat others nor hide them", () => {
  const first = pageOf(listing(false), { limit: 2 }, ["a", "c", "e", "g"]);
  const second = pageOf(listing(false), { limit: 2, ...first.end }, ["b", "d", "e", "g"]);

  expect([first.rows, second.rows]).toEqual([
    ["a", "c"],
    ["d", "e"],
  ]);
});

test("pages of parts are one page when the parts have more than they gave", () => {
  const cut = pageOf(listing(false), { limit: 2 }, ["a", "b", "x", "y"], true);
  const whole = pageOf(listing(false), { limit: 2 }, ["a", "b"], true);

  expect(cut).toMatchObject({ rows: ["a", "b"], end: { has_more: true } });
  expect(whole.end.cursor).toBe(cut.end.cursor ?? "");
});

test("a cursor that no page of the list ended with is refused, and named", () => {
  const other = pageOf({ ...listing(false), list: "others" }, { limit: 1 }, ["a", "b"]);
  for (const cursor of ["x", "bnVsbA", "WyJ0aGluZ3MiXQ", "é", other.end.cursor ?? ""]) {
    let fault: CorvoError | undefined;
    try {
      startOf("things", { cursor });
    } catch (error) {
      fault = error as CorvoError;
    }
    expect(fault).toMatchObject({
      code: "VALIDATION_ERROR",
      message: expect.stringMatching(/^cursor: ".*" is not one that a page of things ended with$/),
    });
  }
});
