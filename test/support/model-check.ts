/** Runs a history through the engine and the naive model, and compares all that can be seen after each batch. */
import { expect } from "bun:test";
import { Engine } from "../../src/engine/engine.ts";
import { newestFeatureLevel } from "../../src/engine/feature-levels.ts";
import { findViolations } from "../../src/engine/invariants.ts";
import { MemoryState } from "../../src/engine/memory-state.ts";
import { expectExplained } from "./explain-check.ts";
import { type BatchStep, startMs } from "./histories.ts";
import { batchAt } from "./history-batch.ts";
import { answerOf, modelView, viewOf } from "./model-view.ts";
import { NaiveModel } from "./naive-model.ts";

export function expectAnswersOfTheModel(steps: readonly BatchStep[], stepsMax: number): void {
  const state = new MemoryState();
  state.meta.featureLevel = newestFeatureLevel;
  state.meta.bytesFrom = 1;
  let engine = new Engine(state, stepsMax);
  const model = new NaiveModel(state.meta.retention, stepsMax);
  let nowMs = startMs;
  for (const step of steps) {
    const batch = batchAt(step, nowMs, state);
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
  expectExplained(state, engine, nowMs);
}
