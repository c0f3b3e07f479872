/** Random histories of every kind of change: the engine answers what the rules say, and its books stay in order. */
import { test } from "bun:test";
import fc from "fast-check";
import { batchStep, keyedStep } from "../support/histories.ts";
import { expectAnswersOfTheModel } from "../support/model-check.ts";

test("[J1] [L1] every history is answered as the naive model answers it, and leaves no book out of order", () => {
  fc.assert(
    fc.property(
      fc.array(batchStep, { minLength: 1, maxLength: 40, size: "max" }),
      expectAnswersOfTheModel,
    ),
    { numRuns: 1500 },
  );
}, 60_000);

test("[J30] so is one of jobs that compete for two keys under all rules of scope and conflict", () => {
  fc.assert(
    fc.property(
      fc.array(keyedStep, { minLength: 1, maxLength: 40, size: "max" }),
      expectAnswersOfTheModel,
    ),
    { numRuns: 1500 },
  );
}, 60_000);
