/** Outcomes and states of the engine in the words of the naive model. */
import type { Engine } from "../../src/engine/engine.ts";
import type { Job } from "../../src/engine/job.ts";
import type { MemoryState } from "../../src/engine/memory-state.ts";
import type { EnqueueResult, ItemResult, Outcome } from "../../src/engine/outcome.ts";
import type { ModelJob } from "./naive-job.ts";
import type { ModelAnswer, NaiveModel } from "./naive-model.ts";

/** An outcome in the words of the model; texts of refusals are the engine's own. */
export function answerOf(outcome: Outcome): ModelAnswer {
  switch (outcome.kind) {
    case "rejected":
      return outcome.code;
    case "ok":
      return "ok";
    case "member":
      return `member ${outcome.id}`;
    case "delivery":
      return `delivery ${outcome.number}`;
    case "enqueued":
      return [
        ...outcome.results.map(addedAnswer),
        ...(outcome.batch === undefined ? [] : [`batch ${outcome.batch[0]}`]),
      ];
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
  if (result.kind === "duplicate") return `duplicate of ${result.seq}`;
  return `${result.kind === "replaced" ? "replaced" : result.state} ${result.seq}`;
}

function itemAnswer(result: ItemResult): string {
  if (result.kind === "rejected") return result.code;
  const { from, state, attempt, dueAtMs, leaseExpiresAtMs } = result;
  return `${from} to ${state}, attempt ${attempt}, due ${dueAtMs}, lease ${leaseExpiresAtMs}`;
}

export function viewOf(state: MemoryState, engine: Engine): unknown {
  const jobs = [...state.jobs.values()].sort((one, other) => one.seq - other.seq);
  const queues = [...state.queues()].map(({ name, paused }) => ({
    name,
    paused,
    next: engine.nextReady(name),
    claimable: engine.nextClaimable(name),
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
  const {
    seq,
    queue,
    priority,
    dueAtMs,
    expireAtMs,
    attempt,
    lostLeases,
    token,
    leaseMs,
    snoozes,
    firstFailedAtMs,
  } = job;
  const { result, checkpoint, progress, startedAtMs } = job;
  const payload = comparedPayload(job);
  const history = [...(state.attempts.get(seq)?.values() ?? [])].map(({ outcome }) => outcome);
  return [
    `${job.state} ${seq} in ${queue} as ${priority}, place ${job.order}`,
    {
      dueAtMs,
      expireAtMs,
      attempt,
      lostLeases,
      token,
      leaseMs,
      startedAtMs,
      snoozes,
      firstFailedAtMs,
    },
    {
      result,
      checkpoint,
      progress,
      history,
      payload,
      deadOf: job.options.deadOf,
      leaseEndsAtMs: job.leaseExpiresAtMs,
    },
  ];
}

/** What a step of a chain is given holds texts of errors, which are the engine's own. */
function comparedPayload({
  payload,
  options,
}: Pick<Job, "payload" | "options">): string | undefined {
  const isOwn = (options.chainStep ?? 0) === 0 && options.deadOf === undefined;
  return isOwn ? payload : undefined;
}

export function modelView(model: NaiveModel): unknown {
  const queues = model.queues.map(({ name, paused }) => ({
    name,
    paused,
    next: model.line(name)[0]?.seq,
    claimable: paused ? undefined : model.next(name)?.seq,
  }));
  return {
    jobs: model.jobs.map(modelJobView),
    queues,
    chains: model.chains.view(),
    batches: model.belonging.view(),
  };
}

function modelJobView(job: ModelJob): unknown {
  const {
    seq,
    queue,
    priority,
    dueAtMs,
    expireAtMs,
    attempt,
    lostLeases,
    token,
    leaseMs,
    snoozes,
    firstFailedAtMs,
  } = job;
  const { result, checkpoint, progress, startedAtMs, history, leaseEndsAtMs } = job;
  const payload = comparedPayload(job);
  return [
    `${job.state} ${seq} in ${queue} as ${priority}, place ${job.state === "pending" ? job.order : 0}`,
    {
      dueAtMs,
      expireAtMs,
      attempt,
      lostLeases,
      token,
      leaseMs,
      startedAtMs,
      snoozes,
      firstFailedAtMs,
    },
    { result, checkpoint, progress, history, payload, deadOf: job.options.deadOf, leaseEndsAtMs },
  ];
}
