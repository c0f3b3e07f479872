/** Payloads of random histories. */
import fc from "fast-check";
import { blobForm } from "../../src/base/stored-value.ts";

export const blob = (digit: string) => blobForm(digit.repeat(64), 1000, "image/png");
/** JSON that can be joined, and blobs of which several jobs have the same. */
export const payload = fc.constantFrom(
  blob("a"),
  blob("b"),
  '"x"',
  '{"n":1}',
  '{"m":2,"n":[3]}',
  "[]",
  "[1,2]",
  "[3]",
);
