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
    case "delivered":
      return `taken through ${outcome.through}`;
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
  return {
    chains: chainViews(state),
    batches: batchViews(state),
    redrives: redriveViews(state),
  };
}

function redriveViews(state: MemoryState): unknown {
  const views = [...state.records("redrive").entries()].map(
    ([queue, { filter: _, total: __, totalExact: ___, ...redrive }]) => ({ queue, ...redrive }),
  );
  return views.sort((one, other) => one.id - other.id);
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
  const attempts = state.attempts.get(job.seq)?.values() ?? [];
  return comparedView(job, {
    place: job.order,
    leaseEndsAtMs: job.leaseExpiresAtMs,
    history: [...attempts].map(({ outcome }) => outcome),
  });
}

/** What both keep under the same name. */
type Shared = Pick<Job & ModelJob, keyof Job & keyof ModelJob & string>;

interface Named {
  readonly place: number;
  readonly leaseEndsAtMs: number;
  readonly history: readonly string[];
}

function comparedView(job: Omit<Shared, "history">, named: Named): unknown {
  const { state, seq, queue, priority, options, ...rest } = job;
  return [
    `${state} ${seq} in ${queue} as ${priority}, place ${named.place}`,
    {
      dueAtMs: rest.dueAtMs,
      expireAtMs: rest.expireAtMs,
      attempt: rest.attempt,
      lostLeases: rest.lostLeases,
      token: rest.token,
      leaseMs: rest.leaseMs,
      startedAtMs: rest.startedAtMs,
      finishedAtMs: rest.finishedAtMs,
      snoozes: rest.snoozes,
      firstFailedAtMs: rest.firstFailedAtMs,
      result: rest.result,
      checkpoint: rest.checkpoint,
      progress: rest.progress,
      deadOf: options.deadOf,
      payload: comparedPayload(job),
    },
    { history: named.history, leaseEndsAtMs: named.leaseEndsAtMs },
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
    redrives: model.redrives.view(),
  };
}

function modelJobView(job: ModelJob): unknown {
  const { history, leaseEndsAtMs } = job;
  const place = job.state === "pending" ? job.order : 0;
  return comparedView(job, { place, leaseEndsAtMs, history });
}
