/** Random histories of every kind of change: the engine answers what the rules say, and its books stay in order. */
import { test } from "bun:test";
import fc from "fast-check";
import { engineLimits } from "../../src/engine/limits.ts";
import { batchStep } from "../support/histories.ts";
import { keyedStep } from "../support/keyed-histories.ts";
import { expectAnswersOfTheModel } from "../support/model-check.ts";

test.each([engineLimits.aftermathStepsMax, 1])(
  "[J1] [L1] [F1] every history is answered as the naive model answers it, and leaves no book out of order, with %p steps of aftermath per batch",
  (stepsMax) => {
    fc.assert(
      fc.property(fc.array(batchStep, { minLength: 1, maxLength: 40, size: "max" }), (steps) =>
        expectAnswersOfTheModel(steps, stepsMax),
      ),
      { numRuns: 1000 },
    );
  },
  60_000,
);

test("[J30] so is one of jobs that compete for two keys under all rules of scope and conflict", () => {
  fc.assert(
    fc.property(fc.array(keyedStep, { minLength: 1, maxLength: 40, size: "max" }), (steps) =>
      expectAnswersOfTheModel(steps, engineLimits.aftermathStepsMax),
    ),
    { numRuns: 1500 },
  );
}, 60_000);
