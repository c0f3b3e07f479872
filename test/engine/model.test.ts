/** Random histories of every kind of change: the engine answers what the rules say, and its books stay in order. */
import { expect, test } from "bun:test";
import fc from "fast-check";
import { Engine } from "../../src/engine/engine.ts";
import { findViolations } from "../../src/engine/invariants.ts";
import { engineLimits } from "../../src/engine/limits.ts";
import { MemoryState } from "../../src/engine/memory-state.ts";
import { batchAt, batchStep, startMs } from "../support/histories.ts";
import { answerOf, modelView, viewOf } from "../support/model-view.ts";
import { NaiveModel } from "../support/naive-model.ts";

test.each([engineLimits.aftermathStepsMax, 1])(
  "[J1] [L1] [F1] every history is answered as the naive model answers it, and leaves no book out of order, with %p steps of aftermath per batch",
  (stepsMax) => {
    fc.assert(
      fc.property(fc.array(batchStep, { minLength: 1, maxLength: 40, size: "max" }), (steps) => {
        const state = new MemoryState();
        let engine = new Engine(state, stepsMax);
        const model = new NaiveModel(state.meta.retention, stepsMax);
        let nowMs = startMs;
        for (const step of steps) {
          const batch = batchAt(step, nowMs, [...state.jobs.values()]);
          nowMs = batch.nowMs;

          const outcomes = engine.apply(batch).map(answerOf);

          expect(outcomes).toEqual(model.apply(batch));
          expect(viewOf(state, engine)).toEqual(modelView(model));
          expect(engine.nextDeadlineMs()).toBe(model.nextDeadlineMs());
          expect(findViolations(state.contents(), engine)).toEqual([]);
          expect(viewOf(state, new Engine(state, stepsMax))).toEqual(modelView(model));
          // A process that starts here must go on alike.
          if (step.restarts) engine = new Engine(state, stepsMax);
        }
      }),
      { numRuns: 1000 },
    );
  },
  60_000,
);
