import { test } from "bun:test";
import fc from "fast-check";
import { expectLimitsOfTheModel } from "../support/limit-check.ts";
import { limitStep } from "../support/limit-histories.ts";

test("[LM1] [EX1] a claim gives the first job that no limit stops, however the engine finds it, and who waits is told of it", () => {
  fc.assert(
    fc.property(
      fc.array(limitStep, { minLength: 10, maxLength: 70, size: "max" }),
      expectLimitsOfTheModel,
    ),
    { numRuns: 600 },
  );
}, 120_000);
