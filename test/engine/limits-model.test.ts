/**
 * Histories in which limits, groups and keys matter all the time: workers claim, and end what they hold in every way,
 * while limits and pauses come and go. The engine must answer as the naive model, and so must one that was just rebuilt.
 */
import { expect, test } from "bun:test";
import fc from "fast-check";
import type { Change, ManageAction, NewJob } from "../../src/engine/change.ts";
import { Engine } from "../../src/engine/engine.ts";
import { findViolations } from "../../src/engine/invariants.ts";
import { MemoryState } from "../../src/engine/memory-state.ts";
import { hashState } from "../../src/engine/state-hash.ts";
import { expectExplained } from "../support/explain-check.ts";
import { lane, limitChange, pause, startMs } from "../support/histories.ts";
import { answerOf, modelView, viewOf } from "../support/model-view.ts";
import { NaiveModel } from "../support/naive-model.ts";

const queue = fc.constantFrom("a", "a", "a", "b");
const nth = fc.nat({ max: 5 });

const enqueue: fc.Arbitrary<Change> = fc
  .record({
    queue,
    priority: fc.constantFrom(1, 1, 2),
    delayMs: fc.constantFrom(0, 0, 0, 700),
    expireMs: fc.constantFrom(60_000, 60_000, 60_000, 800),
    lane: fc.option(lane, { nil: undefined, freq: 6 }),
    count: fc.integer({ min: 1, max: 3 }),
  })
  .map(({ lane: its, count, ...job }) => {
    const options = { maxRetries: 3, baseDelayMs: 300, ...(its !== undefined && { lane: its }) };
    const jobs: NewJob[] = Array.from({ length: count }, () => ({ ...job, payload: "1", options }));
    return { kind: "enqueue", jobs };
  });

const claim: fc.Arbitrary<Change> = fc
  .record(
    {
      kind: fc.constant("claim" as const),
      queues: fc.constantFrom(["a"], ["a", "b"], ["b", "a"]),
      count: fc.integer({ min: 1, max: 4 }),
      leaseMs: fc.constantFrom(300, 5000, 60_000),
      labels: fc.constantFrom(["x=1"], ["x=1", "y=2"], ["y=2"]),
    },
    { requiredKeys: ["kind", "queues", "count", "leaseMs"] },
  )
  .map((made) => made as Change);

/** Ends the n-th lease that is held. */
const ending = fc.record({
  kind: fc.constant("ending" as const),
  nth,
  how: fc.constantFrom("ack", "ack", "fail", "keep", "release", "cancel", "hold", "delete"),
  pause: fc.option(pause, { nil: undefined, freq: 2 }),
  delayMs: fc.constantFrom(0, 0, 400),
});

/** Does something to the n-th job. */
const action = fc.record({
  kind: fc.constant("action" as const),
  nth: fc.nat({ max: 30 }),
  action: fc.constantFrom<ManageAction>(
    "retry",
    "cancel",
    "delete",
    "move",
    "hold",
    "approve",
    "changePriority",
  ),
  queue: fc.constantFrom("a", "b"),
  priority: fc.constantFrom(1, 2),
});

const step = fc.record({
  afterMs: fc.constantFrom(0, 0, 0, 1, 30, 100, 400, 1000),
  change: fc.oneof(
    { weight: 8, arbitrary: enqueue },
    { weight: 12, arbitrary: claim },
    { weight: 12, arbitrary: ending },
    { weight: 3, arbitrary: action },
    { weight: 4, arbitrary: limitChange },
    {
      weight: 1,
      arbitrary: fc.record({
        kind: fc.constant("clearQueue" as const),
        queue,
        limit: fc.integer({ min: 1, max: 4 }),
      }),
    },
    {
      weight: 3,
      arbitrary: fc.record({
        kind: fc.constant("advanceTime" as const),
        limit: fc.constantFrom(1, 100),
      }),
    },
  ),
});
type Step = (typeof step extends fc.Arbitrary<infer T> ? T : never)["change"];

/** The change behind a step, which names jobs by what they are now. */
function changeOf(made: Step, state: MemoryState): Change {
  const jobs = [...state.jobs.values()];
  if (made.kind === "action") {
    const { action: name, queue: to, priority } = made;
    const seqs = jobs.slice(made.nth, made.nth + 1).map(({ seq }) => seq);
    const more = name === "move" ? { queue: to } : { priority };
    return { kind: "manage", action: name, seqs, ...more };
  }
  if (made.kind !== "ending") return made;
  const active = jobs.filter((job) => job.state === "active");
  const items = active.slice(made.nth, made.nth + 1).map(({ seq, token }) => ({ seq, token }));
  const raised = made.pause === undefined ? {} : { pause: made.pause };
  switch (made.how) {
    case "ack":
      return { kind: "ack", items };
    case "fail":
      return { kind: "fail", items: items.map((item) => ({ ...item, error: "e", ...raised })) };
    case "keep":
      return {
        kind: "fail",
        items: items.map((item) => ({ ...item, error: "e", keepAttempt: true, ...raised })),
      };
    case "release":
      return {
        kind: "release",
        items: items.map((item) => ({ ...item, delayMs: made.delayMs, ...raised })),
      };
    default:
      return {
        kind: "manage",
        action: made.how as ManageAction,
        seqs: items.map(({ seq }) => seq),
      };
  }
}

/**
 * Takes away whatever would be given next until nothing is given any more. Taking jobs away spends nothing, so every job
 * that nothing stopped must have come up, and none that a limit stopped.
 */
function checkByTakingAway(state: MemoryState, engine: Engine, nowMs: number): void {
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

test("[LM1] [EX1] a claim gives the first job that no limit stops, however the engine finds it", () => {
  fc.assert(
    fc.property(fc.array(step, { minLength: 10, maxLength: 70, size: "max" }), (steps) => {
      const state = new MemoryState();
      const engine = new Engine(state);
      const reborn = new MemoryState();
      const model = new NaiveModel(state.meta.retention);
      let nowMs = startMs;
      for (const { afterMs, change: made } of steps) {
        nowMs += afterMs;
        const batch = { nowMs, seed: 7, changes: [changeOf(made, state)] };

        const outcomes = engine.apply(batch);

        expect(outcomes.map(answerOf)).toEqual(model.apply(batch));
        expect(viewOf(state, engine)).toEqual(modelView(model));
        expect(findViolations(state.contents(), engine)).toEqual([]);
        expect(new Engine(reborn).apply(batch)).toEqual(outcomes);
        expect(viewOf(reborn, new Engine(reborn))).toEqual(viewOf(state, engine));
        expectExplained(state, engine, nowMs);
      }
      expect(hashState(reborn.contents())).toBe(hashState(state.contents()));
      checkByTakingAway(state, engine, nowMs);
    }),
    { numRuns: Number(process.env["CORVO_TEST_RUNS"] ?? 1000) },
  );
}, 120_000);
