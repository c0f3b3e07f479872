/**
 * Redrives: dead jobs of a queue are run again, all of them or those of a filter, at a chosen rate, and into another queue
 * if wanted. One per queue at a time; its record says how far it is, so it outlasts restarts and changes of the leader.
 *
 * The engine cannot find dead jobs, since it keeps no order of them. Whoever leads finds the next ones and proposes a step
 * with their numbers (`replica/sweeper.ts`). A step names the place from which it was made: of two leaders that make the same
 * step, the second changes nothing. What the search saw may be old, so each job is looked at again here.
 */
import type { CancelRedrive, StartRedrive, StepRedrive } from "./change.ts";
import type { Core } from "./core.ts";
import { manageJobs } from "./manage.ts";
import { type Outcome, reject } from "./outcome.ts";
import type { JobFilter } from "./query.ts";
import { refuseDraining, tooManyQueues } from "./queue-settings.ts";

export interface Redrive {
  /** Tells it from those before it. */
  readonly id: number;
  readonly state: "running" | "completed" | "cancelled";
  /** Which dead jobs; with the queue and the time of the start. */
  readonly filter: JobFilter;
  readonly toQueue: string | undefined;
  /** 0 means as fast as they are found. */
  readonly perSecond: number;
  /** Jobs that matched at the start; at least so many when it is not exact. */
  readonly total: number;
  readonly totalExact: boolean;
  /** Jobs up to this number are done. */
  readonly afterSeq: number;
  readonly retried: number;
  /** Jobs that were no longer dead, or could not go where they were to go. */
  readonly skipped: number;
  readonly startedAtMs: number;
  /** No step comes before this. */
  readonly nextMs: number;
  /** 0 while it runs. */
  readonly finishedAtMs: number;
}

export function startRedrive(core: Core, change: StartRedrive): Outcome {
  const { queue, toQueue, perSecond, total, totalExact } = change;
  if (core.state.getQueue(queue) === undefined) return reject("NOT_FOUND", `no queue "${queue}"`);
  if (core.redrives.get(queue)?.state === "running") {
    return reject("CONFLICT", `dead jobs of queue "${queue}" are being redriven already`);
  }
  if (toQueue !== undefined) {
    if (core.openQueue(toQueue) === undefined) return tooManyQueues(toQueue);
    const closed = refuseDraining(core, toQueue);
    if (closed !== undefined) return closed;
  }
  keep(core, queue, {
    id: core.takeNumber(),
    state: "running",
    // A job that dies again is left to the next one: else a job that always fails would keep this one going.
    filter: { ...change.filter, queue, states: ["dead"], completedBeforeMs: core.nowMs + 1 },
    toQueue,
    perSecond: perSecond ?? 0,
    total,
    totalExact,
    afterSeq: 0,
    retried: 0,
    skipped: 0,
    startedAtMs: core.nowMs,
    nextMs: core.nowMs,
    finishedAtMs: 0,
  });
  return { kind: "ok" };
}

export function cancelRedrive(core: Core, { queue }: CancelRedrive): Outcome {
  const redrive = core.redrives.get(queue);
  if (redrive?.state !== "running") {
    return reject("NOT_FOUND", `no dead jobs of queue "${queue}" are being redriven`);
  }
  keep(core, queue, { ...redrive, state: "cancelled", finishedAtMs: core.nowMs });
  return { kind: "ok" };
}

export function stepRedrive(core: Core, change: StepRedrive): Outcome {
  const { queue, seqs, isLast } = change;
  const redrive = core.redrives.get(queue);
  const isCurrent = redrive?.id === change.id && redrive.afterSeq === change.afterSeq;
  if (redrive?.state !== "running" || !isCurrent) return { kind: "ok" };
  let retried = 0;
  for (const seq of seqs) if (runAgain(core, seq, queue, redrive)) retried++;
  const spentMs = redrive.perSecond === 0 ? 0 : Math.ceil((seqs.length * 1000) / redrive.perSecond);
  keep(core, queue, {
    ...redrive,
    afterSeq: seqs.at(-1) ?? redrive.afterSeq,
    retried: redrive.retried + retried,
    skipped: redrive.skipped + seqs.length - retried,
    nextMs: core.nowMs + spentMs,
    ...(isLast ? { state: "completed" as const, finishedAtMs: core.nowMs } : {}),
  });
  return { kind: "ok" };
}

function runAgain(core: Core, seq: number, queue: string, redrive: Redrive): boolean {
  const job = core.state.getJob(seq);
  if (job?.state !== "dead" || job.queue !== queue) return false;
  if (job.finishedAtMs >= (redrive.filter.completedBeforeMs ?? 0)) return false;
  const { toQueue } = redrive;
  if (toQueue !== undefined) {
    const moved = manageJobs(core, { kind: "manage", action: "move", seqs: [seq], queue: toQueue });
    if (moved.kind !== "items" || moved.results[0]?.kind !== "done") return false;
  }
  manageJobs(core, { kind: "manage", action: "retry", seqs: [seq] });
  return true;
}

function keep(core: Core, queue: string, redrive: Redrive): void {
  core.redrives.put(queue, redrive);
  core.effects.redrivesWanted = true;
}
