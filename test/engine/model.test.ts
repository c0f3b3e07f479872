/** Random histories of every kind of change: the engine answers what the rules say, and its books stay in order. */
import { expect, test } from "bun:test";
import fc from "fast-check";
import { Engine } from "../../src/engine/engine.ts";
import { findViolations } from "../../src/engine/invariants.ts";
import { MemoryState } from "../../src/engine/memory-state.ts";
import { batchAt, batchStep, startMs } from "../support/histories.ts";
import { answerOf, modelView, viewOf } from "../support/model-view.ts";
import { NaiveModel } from "../support/naive-model.ts";

test("[J1] [L1] every history is answered as the naive model answers it, and leaves no book out of order", () => {
  fc.assert(
    fc.property(fc.array(batchStep, { minLength: 1, maxLength: 40, size: "max" }), (steps) => {
      const state = new MemoryState();
      const engine = new Engine(state);
      const model = new NaiveModel(state.meta.retention);
      let nowMs = startMs;
      for (const step of steps) {
        const batch = batchAt(step, nowMs);
        nowMs = batch.nowMs;

        const outcomes = engine.apply(batch).map(answerOf);

        expect(outcomes).toEqual(model.apply(batch));
        expect(viewOf(state, engine)).toEqual(modelView(model));
        expect(engine.nextDeadlineMs()).toBe(model.nextDeadlineMs());
        expect(findViolations(state.contents(), engine)).toEqual([]);
        expect(viewOf(state, new Engine(state))).toEqual(modelView(model));
      }
    }),
    { numRuns: 1500 },
  );
}, 60_000);
