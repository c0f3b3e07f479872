/**
 * Bulk actions in the background: one action on all jobs that were named, or that match a filter. The record says how far it is,
 * so it outlasts restarts and changes of the leader.
 *
 * As with redrives, whoever leads finds the next jobs and proposes steps with their numbers, in growing order
 * (`replica/sweeper.ts`). A step names the place from which it was made: of two equal steps the second changes nothing, so no job
 * is touched twice, and none is left out. What the search saw may be old, so each job is looked at again here. Jobs that came after
 * the start have greater numbers than the action's own and are no part of it.
 *
 * Jobs named by id are kept in chunks, records of their own, until the action is over.
 */
import type { EndBulk, ManageAction, StartBulk, StepBulk } from "./change.ts";
import type { Core } from "./core.ts";
import { mayStillMatch } from "./job-match.ts";
import { engineLimits } from "./limits.ts";
import { manageJobs } from "./manage.ts";
import { type Outcome, type Rejection, reject } from "./outcome.ts";
import type { JobFilter } from "./query.ts";
import { refuseDraining, tooManyQueues } from "./queue-settings.ts";
import type { State } from "./state.ts";

export type BulkState = "running" | "completed" | "failed" | "cancelled";

export interface Bulk {
  /** Greater than that of every job that was there at the start; tells it from one that had the same id before. */
  readonly number: number;
  readonly state: BulkState;
  readonly action: ManageAction;
  readonly queue: string | undefined;
  readonly priority: number | undefined;
  readonly reason: string | undefined;
  /** Which jobs; undefined when they were named. */
  readonly filter: JobFilter | undefined;
  /** Jobs that matched at the start; at least so many when it is not exact. */
  readonly total: number;
  readonly totalExact: boolean;
  /** Jobs up to this number are done. */
  readonly afterSeq: number;
  readonly processed: number;
  /** Those of them that the action applied to. */
  readonly affected: number;
  readonly startedAtMs: number;
  readonly updatedAtMs: number;
  /** 0 while it runs. */
  readonly finishedAtMs: number;
  /** Why it failed. */
  readonly error: string | undefined;
}

/** Numbers of jobs in growing order; the chunks of an action in the order of their keys. */
export interface BulkIds {
  readonly seqs: readonly number[];
}

/** Of one record of numbers. */
const chunkSeqs = 5000;

export function startBulk(core: Core, change: StartBulk): Outcome {
  const known = core.bulks.get(change.id);
  if (known !== undefined) return sameAgain(known, change);
  const refusal = refuseStart(core, change);
  if (refusal !== undefined) return refusal;
  const { id, action, queue, priority, reason, filter, seqs, total, totalExact } = change;
  const number = core.takeNumber();
  const isOver = seqs?.length === 0;
  keep(core, id, {
    ...{ number, state: isOver ? "completed" : "running", action, queue, priority, reason },
    ...{ filter, total, totalExact, afterSeq: 0, processed: 0, affected: 0, error: undefined },
    startedAtMs: core.nowMs,
    updatedAtMs: core.nowMs,
    finishedAtMs: isOver ? core.nowMs : 0,
  });
  const ids = core.state.records("bulkIds");
  const sorted = [...new Set(seqs ?? [])].sort((one, other) => one - other);
  for (let chunk = 0; chunk * chunkSeqs < sorted.length; chunk++) {
    const part = sorted.slice(chunk * chunkSeqs, (chunk + 1) * chunkSeqs);
    ids.put(chunkKey(number, chunk), { seqs: part });
  }
  return { kind: "ok" };
}

/** A call that is repeated because its answer was lost starts nothing. */
function sameAgain(known: Bulk, change: StartBulk): Outcome {
  const { id, action, queue, priority, reason, filter, seqs } = change;
  const asked = [action, queue, priority, reason, filter, seqs !== undefined];
  const { filter: knownFilter } = known;
  const had = [known.action, known.queue, known.priority, known.reason, knownFilter, !knownFilter];
  if (JSON.stringify(asked) === JSON.stringify(had)) return { kind: "ok" };
  return reject("CONFLICT", `the id "${id}" is that of another bulk action, a ${known.action}`);
}

function refuseStart(core: Core, { action, queue }: StartBulk): Rejection | undefined {
  const running = [...core.bulks.entries()].filter(([, { state }]) => state === "running").length;
  if (running >= engineLimits.bulksRunningMax) {
    return reject(
      "OVERLOADED",
      `${running} bulk actions are running; at most ${engineLimits.bulksRunningMax} (bulksRunningMax)`,
    );
  }
  if (action === "move" && queue !== undefined) {
    if (core.openQueue(queue) === undefined) return tooManyQueues(queue);
    const closed = refuseDraining(core, queue);
    if (closed !== undefined) return closed;
  }
  forgetOldest(core);
  return undefined;
}

/** Makes room for one. What is over is forgotten after a while, or sooner when there are too many. */
function forgetOldest(core: Core): void {
  const over = [...core.bulks.entries()]
    .filter(([, { state }]) => state !== "running")
    .sort(([, one], [, other]) => one.number - other.number);
  const untilMs = core.nowMs - engineLimits.bulkKeptMs;
  let excess = core.bulks.size + 1 - engineLimits.bulksKeptMax;
  for (const [id, { finishedAtMs }] of over) {
    if (excess <= 0 && finishedAtMs > untilMs) continue;
    core.bulks.delete(id);
    excess--;
  }
}

export function stepBulk(core: Core, change: StepBulk): Outcome {
  const { id, seqs, isLast } = change;
  const bulk = core.bulks.get(id);
  const isCurrent = bulk?.number === change.number && bulk.afterSeq === change.afterSeq;
  if (bulk?.state !== "running" || !isCurrent) return { kind: "ok" };
  const { action, filter, queue, priority, reason } = bulk;
  const wanted = seqs.filter((seq) => {
    const job = core.state.getJob(seq);
    return job !== undefined && (filter === undefined || mayStillMatch(job, filter));
  });
  const outcome = manageJobs(core, {
    ...{ kind: "manage", action, seqs: wanted },
    ...(queue === undefined ? {} : { queue }),
    ...(priority === undefined ? {} : { priority }),
    ...(reason === undefined ? {} : { reason }),
  });
  if (outcome.kind !== "items") {
    end(core, id, bulk, { state: "failed", error: messageOf(outcome) });
    return { kind: "ok" };
  }
  const next: Bulk = {
    ...bulk,
    afterSeq: seqs.at(-1) ?? bulk.afterSeq,
    processed: bulk.processed + seqs.length,
    affected: bulk.affected + outcome.results.filter(({ kind }) => kind === "done").length,
    updatedAtMs: core.nowMs,
  };
  if (isLast) end(core, id, next, { state: "completed", error: undefined });
  else keep(core, id, next);
  return { kind: "ok" };
}

function messageOf(outcome: Outcome): string {
  return outcome.kind === "rejected" ? outcome.message : `unexpected outcome ${outcome.kind}`;
}

/** Without an error it is an operator's word; with one, what stops it for good. */
export function endBulk(core: Core, { id, number, error }: EndBulk): Outcome {
  const bulk = core.bulks.get(id);
  if (bulk === undefined || (number !== undefined && bulk.number !== number)) {
    return reject("NOT_FOUND", `no bulk action "${id}"`);
  }
  if (bulk.state !== "running") {
    return reject("CONFLICT", `the bulk action "${id}" is over: ${bulk.state}`);
  }
  end(core, id, bulk, { state: error === undefined ? "cancelled" : "failed", error });
  return { kind: "ok" };
}

/** The numbers of named jobs that are still to be done. */
export function namedAfter(state: State, { number, afterSeq }: Bulk): number[] {
  const ids = state.records("bulkIds");
  const left: number[] = [];
  for (let chunk = 0; ; chunk++) {
    const found = ids.get(chunkKey(number, chunk));
    if (found === undefined) return left;
    for (const seq of found.seqs) if (seq > afterSeq) left.push(seq);
  }
}

function end(core: Core, id: string, bulk: Bulk, how: Pick<Bulk, "state" | "error">): void {
  keep(core, id, { ...bulk, ...how, updatedAtMs: core.nowMs, finishedAtMs: core.nowMs });
  const ids = core.state.records("bulkIds");
  for (let chunk = 0; ids.has(chunkKey(bulk.number, chunk)); chunk++) {
    ids.delete(chunkKey(bulk.number, chunk));
  }
}

function chunkKey(number: number, chunk: number): string {
  return `${number}/${chunk}`;
}

function keep(core: Core, id: string, bulk: Bulk): void {
  core.bulks.put(id, bulk);
  core.effects.bulksChanged.add(id);
}
