import { expect, test } from "bun:test";
import { errorGroupOf } from "../../src/engine/error-group.ts";

const folded = (error: string) => errorGroupOf(error, undefined).error;

test.each([
  ["user 17 not found", "user * not found"],
  ["took 1,234.5 ms on 10.0.0.7:8080", "took * ms on *"],
  ["no job job_0193a1b2c3d000000000000001 here", "no job * here"],
  ["order 6f1b2c3d-0000-4000-8000-00000000abcd failed", "order * failed"],
  ["at 0x7ffDEADbeef\n  in main", "at *"],
  ["commit deadbeef12 is bad", "commit * is bad"],
  ["\n  first line\nsecond", "first line"],
  ["connection refused", "connection refused"],
  ["a decade of facade", "a decade of facade"],
  ["", ""],
])("[J85] %p folds to %p", (error, expected) => {
  expect(folded(error)).toBe(expected);
});

test("[J85] errors of one kind have one group, those of another class or text have another", () => {
  const group = (error: string, errorClass?: string) => errorGroupOf(error, errorClass).id;
  expect(group("user 17 not found")).toBe(group("user 4 not found"));
  expect(group("user 17 not found")).not.toBe(group("user 17 not found", "NotFound"));
  expect(group("user 17 not found")).not.toBe(group("order 17 not found"));
  expect(group("boom")).toMatch(/^err_[0-9a-f]{16}$/);
});

test("[J85] a huge error costs no more than its first line, and that is cut", () => {
  expect(folded("x ".repeat(200_000)).length).toBeLessThanOrEqual(200);
  expect(folded("1".repeat(200_000))).toBe("*");
});
