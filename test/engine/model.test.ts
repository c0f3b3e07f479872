/** Random histories of every kind of change: the engine answers what the rules say, and its books stay in order. */
import { expect, test } from "bun:test";
import fc from "fast-check";
import { Engine } from "../../src/engine/engine.ts";
import { newestFeatureLevel } from "../../src/engine/feature-levels.ts";
import { findViolations } from "../../src/engine/invariants.ts";
import type { Job } from "../../src/engine/job.ts";
import { engineLimits } from "../../src/engine/limits.ts";
import { MemoryState } from "../../src/engine/memory-state.ts";
import type { EnqueueResult, ItemResult, Outcome } from "../../src/engine/outcome.ts";
import { batchAt, batchStep, startMs } from "../support/histories.ts";
import type { ModelJob } from "../support/naive-job.ts";
import { type ModelAnswer, NaiveModel } from "../support/naive-model.ts";

test.each([engineLimits.aftermathStepsMax, 1])(
  "[J1] [L1] [F1] every history is answered as the naive model answers it, and leaves no book out of order, with %p steps of aftermath per batch",
  (stepsMax) => {
    fc.assert(
      fc.property(fc.array(batchStep, { minLength: 1, maxLength: 40, size: "max" }), (steps) => {
        const state = new MemoryState();
        state.meta.featureLevel = newestFeatureLevel;
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
          // A process that starts here must go on alike.
          if (step.restarts) engine = new Engine(state, stepsMax);
        }
      }),
      { numRuns: 1000 },
    );
  },
  60_000,
);

/** An outcome in the words of the model; texts of refusals are the engine's own. */
function answerOf(outcome: Outcome): ModelAnswer {
  switch (outcome.kind) {
    case "rejected":
      return outcome.code;
    case "ok":
      return "ok";
    case "member":
      return `member ${outcome.id}`;
    case "enqueued": {
      const batch = outcome.batch === undefined ? [] : [`batch ${outcome.batch[0]}`];
      return [...outcome.results.map(addedAnswer), ...batch];
    }
    case "claimed":
      return outcome.jobs.map(
        (job) =>
          `${job.seq} attempt ${job.attempt} token ${job.token} until ${job.leaseExpiresAtMs}`,
      );
    case "items":
      return outcome.results.map(itemAnswer);
    case "cleared":
      return `${outcome.deleted} cleared, more ${outcome.more}`;
    case "advanced":
      return `${outcome.steps} steps, more ${outcome.more}`;
  }
}

function addedAnswer(result: EnqueueResult): string {
  if (result.kind === "rejected") return result.code;
  return result.kind === "duplicate"
    ? `duplicate of ${result.seq}`
    : `${result.state} ${result.seq}`;
}

function itemAnswer(result: ItemResult): string {
  if (result.kind === "rejected") return result.code;
  const { from, state, attempt, dueAtMs, leaseExpiresAtMs } = result;
  return `${from} to ${state}, attempt ${attempt}, due ${dueAtMs}, lease ${leaseExpiresAtMs}`;
}

function viewOf(state: MemoryState, engine: Engine): unknown {
  const jobs = [...state.jobs.values()].sort((one, other) => one.seq - other.seq);
  const queues = [...state.queues()].map(({ name, paused }) => ({
    name,
    paused,
    next: engine.nextReady(name),
  }));
  return { jobs: jobs.map((job) => jobView(job, state)), queues, ...groupViews(state) };
}

function groupViews(state: MemoryState): object {
  return { chains: chainViews(state), batches: batchViews(state) };
}

function batchViews(state: MemoryState): unknown {
  const views = [...state.records("batch").entries()].map(([key, batch]) => ({
    seq: Number(key),
    ...{ state: batch.state, sealAtMs: batch.sealAtMs, finishedAtMs: batch.finishedAtMs },
    ...{ total: batch.total, pending: batch.pending, completed: batch.completed },
    ...{ dead: batch.dead, cancelled: batch.cancelled },
    callbacks: [
      ...(batch.successJob === undefined ? [] : [`success ${batch.successJob[0]}`]),
      ...(batch.failureJob === undefined ? [] : [`failure ${batch.failureJob[0]}`]),
      ...(batch.completeJob === undefined ? [] : [`complete ${batch.completeJob[0]}`]),
    ],
  }));
  return views.sort((one, other) => one.seq - other.seq);
}

function chainViews(state: MemoryState): unknown {
  const views = [...state.records("chain").entries()].map(([key, chain]) => ({
    seq: Number(key),
    state: chain.state,
    at: chain.at,
    finishedAtMs: chain.finishedAtMs,
    jobs: chain.jobs.map(([seq]) => seq),
    exitJob: chain.exitJob?.[0],
    failureJob: chain.failureJob?.[0],
  }));
  return views.sort((one, other) => one.seq - other.seq);
}

function jobView(job: Job, state: MemoryState): unknown {
  const { seq, queue, priority, dueAtMs, expireAtMs, attempt, lostLeases, token, leaseMs } = job;
  const { result, checkpoint, progress, startedAtMs } = job;
  const history = [...(state.attempts.get(seq)?.values() ?? [])].map(({ outcome }) => outcome);
  return [
    `${job.state} ${seq} in ${queue} as ${priority}, place ${job.order}`,
    { dueAtMs, expireAtMs, attempt, lostLeases, token, leaseMs, startedAtMs },
    { result, checkpoint, progress, history, leaseEndsAtMs: job.leaseExpiresAtMs },
  ];
}

function modelView(model: NaiveModel): unknown {
  const queues = model.queues.map(({ name, paused }) => ({
    name,
    paused,
    next: model.line(name)[0]?.seq,
  }));
  return {
    jobs: model.jobs.map(modelJobView),
    queues,
    chains: model.chains.view(),
    batches: model.belonging.view(),
  };
}

function modelJobView(job: ModelJob): unknown {
  const { seq, queue, priority, dueAtMs, expireAtMs, attempt, lostLeases, token, leaseMs } = job;
  const { result, checkpoint, progress, startedAtMs, history, leaseEndsAtMs } = job;
  return [
    `${job.state} ${seq} in ${queue} as ${priority}, place ${job.state === "pending" ? job.order : 0}`,
    { dueAtMs, expireAtMs, attempt, lostLeases, token, leaseMs, startedAtMs },
    { result, checkpoint, progress, history, leaseEndsAtMs },
  ];
}
