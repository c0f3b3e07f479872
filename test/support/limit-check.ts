/** Runs a history of limits through the engine, through one that is rebuilt before each batch, and through the naive model. */
import { expect } from "bun:test";
import type { Batch } from "../../src/engine/change.ts";
import { Engine } from "../../src/engine/engine.ts";
import { findViolations } from "../../src/engine/invariants.ts";
import { MemoryState } from "../../src/engine/memory-state.ts";
import { hashState } from "../../src/engine/state-hash.ts";
import { expectExplained } from "./explain-check.ts";
import { startMs } from "./histories.ts";
import { changeOf, type LimitStep } from "./limit-histories.ts";
import { answerOf, modelView, viewOf } from "./model-view.ts";
import { NaiveModel } from "./naive-model.ts";

const labelSets = [undefined, ["x=1"], ["x=1", "y=2"]] as const;
const waiterOf = (queue: string, labels: readonly string[] | undefined) => `${queue} ${labels}`;

/**
 * Workers that wait at queues as the replica lets them: they look when they are told to, and at nothing else. Where they
 * found nothing, nothing may be found before they are told.
 */
class Waiters {
  readonly #engine: Engine;
  readonly #model: NaiveModel;
  readonly #waiting = new Set<string>();

  constructor(engine: Engine, model: NaiveModel) {
    this.#engine = engine;
    this.#model = model;
  }

  /** After a batch, or after a look of somebody else: who was told looks, and whom that wakes looks too. */
  told(): void {
    for (const name of this.#engine.takeEffects().readyQueues) this.#look(name);
    for (;;) {
      const names = this.#engine.takeReadyQueues();
      if (names === undefined) break;
      for (const name of names) this.#look(name);
    }
    for (const { name } of this.#model.queues) {
      for (const labels of labelSets) {
        if (!this.#waiting.has(waiterOf(name, labels))) this.#lookWith(name, labels);
      }
    }
    if (this.#engine.takeReadyQueues() !== undefined) this.told();
  }

  expectNoneForgotten(): void {
    const forgotten = this.#model.queues.flatMap(({ name, paused }) =>
      labelSets.filter(
        (labels) =>
          this.#waiting.has(waiterOf(name, labels)) &&
          !paused &&
          this.#model.next(name, labels) !== undefined,
      ),
    );
    expect(forgotten).toEqual([]);
  }

  #look(name: string): void {
    for (const labels of labelSets) this.#lookWith(name, labels);
  }

  #lookWith(name: string, labels: readonly string[] | undefined): void {
    const count = this.#engine.claimable(name, 1, labels);
    const queue = this.#model.queues.find((one) => one.name === name);
    const isSome = queue?.paused === false && this.#model.next(name, labels) !== undefined;
    expect([name, labels, count > 0]).toEqual([name, labels, isSome]);
    if (isSome) this.#waiting.delete(waiterOf(name, labels));
    else this.#waiting.add(waiterOf(name, labels));
  }
}

export function expectLimitsOfTheModel(steps: readonly LimitStep[]): void {
  const state = new MemoryState();
  const engine = new Engine(state);
  const reborn = new MemoryState();
  const model = new NaiveModel(state.meta.retention);
  const waiters = new Waiters(engine, model);
  let nowMs = startMs;
  const apply = (batch: Batch) => {
    nowMs = batch.nowMs;
    const outcomes = engine.apply(batch);
    expect(outcomes.map(answerOf)).toEqual(model.apply(batch));
    expect(new Engine(reborn).apply(batch)).toEqual(outcomes);
    waiters.told();
    waiters.expectNoneForgotten();
  };
  for (const { afterMs, change: made, isSeen } of steps) {
    const atMs = nowMs + afterMs;
    // The replica's alarm: whoever waits is told when what stops its jobs is over.
    for (let wakeMs = engine.nextWakeMs(); wakeMs <= atMs; wakeMs = engine.nextWakeMs()) {
      const ringsMs = Math.max(nowMs, wakeMs);
      apply({ nowMs: ringsMs, seed: 7, changes: [{ kind: "advanceTime", limit: 100 }] });
      expect(engine.nextWakeMs()).toBeGreaterThan(ringsMs);
    }
    apply({ nowMs: atMs, seed: 7, changes: [changeOf(made, state)] });
    if (!isSeen) continue;
    expect(viewOf(state, engine)).toEqual(modelView(model));
    expect(findViolations(state.contents(), engine)).toEqual([]);
    expect(viewOf(reborn, new Engine(reborn))).toEqual(viewOf(state, engine));
    expectExplained(state, engine, nowMs);
    waiters.told();
  }
  expect(hashState(reborn.contents())).toBe(hashState(state.contents()));
  expectAllTakenAway(state, engine, nowMs);
}

/**
 * Takes away whatever would be given next until nothing is given any more. Taking jobs away spends nothing, so every job
 * that nothing stopped must have come up, and none that a limit stopped.
 */
function expectAllTakenAway(state: MemoryState, engine: Engine, nowMs: number): void {
  const jobs = [...state.jobs.values()];
  const kindsOf = new Map(
    jobs.map((job) => [job.seq, engine.why.job(job, nowMs).map(({ kind }) => kind)]),
  );
  const freed = new Set<string>(["fifo", "dependency", "expired"]);
  const taken: number[] = [];
  for (const { name } of state.queues()) {
    for (let seq = engine.nextClaimable(name); seq !== undefined; ) {
      engine.apply({
        nowMs,
        seed: 7,
        changes: [{ kind: "manage", action: "delete", seqs: [seq] }],
      });
      taken.push(seq);
      seq = engine.nextClaimable(name);
    }
  }
  for (const [seq, kinds] of kindsOf) {
    if (kinds.every((kind) => kind === "expired")) expect(taken).toContain(seq);
    else if (!kinds.every((kind) => freed.has(kind))) expect(taken).not.toContain(seq);
  }
}
