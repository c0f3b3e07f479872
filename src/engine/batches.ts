/**
 * Batches: jobs that are counted together, and what is run when all of them have ended. A batch is open while jobs may join it, until it
 * is sealed by hand or by its time; one that is made with its jobs is sealed from the start.
 *
 * Invariant: `pending` is the number of its unfinished jobs, and total = pending + completed + dead + cancelled. A job that is deleted
 * before its end counts as cancelled; one that ended keeps its place in the counts, whatever retention does. A retry by
 * hand moves a job back to pending. What follows the end is run once: later retries change the counts, nothing else.
 *
 * The end is noticed in the aftermath of a change, not in it: a step of a chain that ends may be followed by the next one,
 * which belongs to the batch as well.
 *
 * A batch is in one shard, its jobs in any. A job of another shard asks to be counted, and waits until it is; from then on its shard tells
 * of every change. What is told of the steps of a chain goes by the shard of the chain, so that the end of one never comes before the
 * beginning of the next.
 */
import { must } from "../base/assert.ts";
import { formatGroupId, parseGroupId } from "../base/ids.ts";
import { mergePayload } from "./chain-payload.ts";
import type { JobRef } from "./chains.ts";
import type { CancelBatch, NewBatch, SealBatch } from "./change.ts";
import type { Core } from "./core.ts";
import { tellFollowers } from "./following.ts";
import { insertNew } from "./insert.ts";
import { isFinished, type Job } from "./job.ts";
import { joiningOf } from "./joining.ts";
import { engineLimits } from "./limits.ts";
import {
  type Added,
  type Count,
  type Join,
  type Joined,
  type PartDone,
  sendable,
  type Tally,
} from "./mail.ts";
import type { JobOptions } from "./options.ts";
import { type Outcome, type Rejection, reject } from "./outcome.ts";
import { elsewhere, queueElsewhere } from "./place.ts";
import { tooManyQueues } from "./queue-settings.ts";
import { isReuniting } from "./reuniting.ts";

export const batchStates = [
  "open",
  "running",
  "cancelling",
  "completed",
  "failed",
  "cancelled",
] as const;
export type BatchState = (typeof batchStates)[number];

export interface JobBatch extends Omit<NewBatch, "openMs" | "parts"> {
  /** Other shards from which jobs of the call that made the batch are to come; it is sealed by the last. */
  readonly partsLeft?: number;
  readonly createdAtMs: number;
  readonly state: BatchState;
  /** When it seals itself; 0 when it is sealed. */
  readonly sealAtMs: number;
  readonly total: number;
  readonly pending: number;
  readonly completed: number;
  readonly dead: number;
  readonly cancelled: number;
  readonly successJob?: JobRef;
  readonly failureJob?: JobRef;
  readonly completeJob?: JobRef;
  /** What was out of the ordinary. */
  readonly reason?: string;
  /** 0 until all its jobs have ended. */
  readonly finishedAtMs: number;
}

/** Perhaps all jobs of a batch have ended. */
export interface BatchEnded {
  readonly kind: "batchEnded";
  readonly batch: number;
}

type FinishedState = "completed" | "dead" | "cancelled";

/** Why no further batch may begin. */
export function refuseBatch(core: Core): Rejection | undefined {
  const running = core.state.records("batch").size - core.finishedGroups.count("batch");
  if (running < engineLimits.batchesMax) return undefined;
  return reject(
    "OVERLOADED",
    `batch: ${running} batches are open or running, at most ${engineLimits.batchesMax} (batchesMax)`,
  );
}

/** Why a job may not join the batch that it names. */
export function refuseMember(core: Core, options: Partial<JobOptions>): Rejection | undefined {
  const { batchId } = options;
  if (batchId === undefined) return undefined;
  const isAway = elsewhere(core.place, batchId) !== undefined;
  if (isAway && parseGroupId("batch", batchId) !== undefined) return undefined;
  const batch = findBatch(core, batchId)?.batch;
  if (batch === undefined) return reject("NOT_FOUND", `batch_id: no batch "${batchId}"`);
  if (batch.state === "open") return undefined;
  return reject("BATCH_ERROR", `batch_id: batch "${batchId}" is sealed, ${batch.state}`);
}

/** Begins a batch; its number and time. */
export function beginBatch(core: Core, { openMs: asked, parts, ...spec }: NewBatch): JobRef {
  const seq = core.takeNumber();
  const openMs = parts === undefined ? asked : engineLimits.partsMs;
  const sealAtMs = openMs === undefined ? 0 : core.nowMs + openMs;
  core.state.records("batch").put(String(seq), {
    ...spec,
    createdAtMs: core.nowMs,
    state: openMs === undefined ? "running" : "open",
    sealAtMs,
    total: 0,
    pending: 0,
    completed: 0,
    dead: 0,
    cancelled: 0,
    finishedAtMs: 0,
    ...(parts !== undefined && { partsLeft: parts }),
  });
  if (sealAtMs > 0) core.sealTimes.add(sealAtMs, seq);
  return [seq, core.nowMs];
}

/** The call that made the batch is done: perhaps none of its jobs is new. */
export function noteBegun(core: Core, [seq]: JobRef): void {
  const batch = core.state.records("batch").get(String(seq));
  if (batch?.state === "running" && batch.pending === 0) {
    core.aftermath.push({ kind: "batchEnded", batch: seq });
  }
}

export function batchIdOf([seq, createdAtMs]: JobRef, shard: number): string {
  return formatGroupId("batch", { seq, createdAtMs, shard });
}

export function sealBatch(core: Core, change: SealBatch): Outcome {
  const batch = core.state.records("batch").get(String(change.batch));
  if (batch === undefined) return reject("NOT_FOUND", "no such batch");
  if (batch.state === "open") close(core, change.batch, { ...batch, state: "running" });
  return { kind: "ok" };
}

/** Seals the batch whose time is over. */
export function endOpenTime(core: Core): void {
  const seq = core.sealTimes.topKey();
  const batch = must(core.state.records("batch").get(String(seq)), "an open batch exists");
  const isLate = batch.partsLeft !== undefined;
  const reason = isLate ? "not all of its jobs came in time" : "its time to be sealed was over";
  close(core, seq, { ...batch, state: "running", reason });
}

export function cancelBatch(core: Core, change: CancelBatch): Outcome {
  const batch = core.state.records("batch").get(String(change.batch));
  if (batch === undefined) return reject("NOT_FOUND", "no such batch");
  if (batch.state === "cancelling" || batch.state === "cancelled") return { kind: "ok" };
  if (batch.finishedAtMs > 0) return reject("BATCH_ERROR", `the batch is ${batch.state}`);
  core.aftermath.push({ kind: "cancelMembers", batch: change.batch, after: 0 });
  tellFollowers(core, change.batch);
  const reason = change.reason ?? "cancelled by an operator";
  close(core, change.batch, { ...batch, state: "cancelling", reason });
  return { kind: "ok" };
}

/** A job of a batch changed: its count moves. */
export function countMember(core: Core, before: Job | undefined, after: Job | undefined): void {
  const job = after ?? before;
  const batchId = job?.options.batchId;
  const from = before === undefined ? undefined : placeOf(before);
  const to = after === undefined ? afterRemoval(before) : placeOf(after);
  if (job === undefined || batchId === undefined || from === to) return;
  const move = from === undefined ? { to } : { from, to };
  if (core.place.shards > 1 && isToldElsewhere(core, job, batchId, move)) return;
  count(core, batchId, move);
}

/** From none of the counts it is new, and to none it never was. */
interface Move {
  readonly from?: Place;
  readonly to?: Place;
}

/** Is the change a matter of another shard? Then it is told. */
function isToldElsewhere(core: Core, job: Job, batchId: string, move: Move): boolean {
  if (joiningOf(core, job.seq) !== undefined) return true;
  const chain = elsewhere(core.place, job.options.chainId);
  if (chain !== undefined) {
    // The shard of the chain counted the step when it began it.
    if (move.from !== undefined) core.post.count(chain, batchId, move);
    return true;
  }
  const shard = elsewhere(core.place, batchId);
  if (shard !== undefined) core.post.count(shard, batchId, move);
  return shard !== undefined;
}

/** A chain adds a job of the batch in another shard, or (-1) could not. */
export function countSpawned(core: Core, batchId: string, by: 1 | -1): void {
  const move: Move = by === 1 ? { to: "pending" } : { from: "pending" };
  const shard = elsewhere(core.place, batchId);
  if (shard === undefined) count(core, batchId, move);
  else core.post.count(shard, batchId, move);
}

function count(core: Core, batchId: string, { from, to }: Move): void {
  const by = { total: 0, pending: 0, completed: 0, dead: 0, cancelled: 0 };
  by[from ?? "total"] += from === undefined ? 1 : -1;
  by[to ?? "total"] += to === undefined ? -1 : 1;
  addUp(core, batchId, by);
}

function addUp(core: Core, batchId: string, by: Tally): void {
  const found = findBatch(core, batchId);
  if (found === undefined) return;
  const { batch, seq } = found;
  const counts = {
    total: batch.total + by.total,
    pending: batch.pending + by.pending,
    completed: batch.completed + by.completed,
    dead: batch.dead + by.dead,
    cancelled: batch.cancelled + by.cancelled,
  };
  core.state.records("batch").put(String(seq), { ...batch, ...counts });
  if (counts.pending === 0 && batch.state !== "open" && batch.finishedAtMs === 0) {
    core.aftermath.push({ kind: "batchEnded", batch: seq });
  }
}

/** Changes of jobs of another shard, for a batch that may be in a third one. */
export function takeCount(core: Core, { batch, by }: Count): void {
  const shard = elsewhere(core.place, batch);
  if (shard === undefined) addUp(core, batch, by);
  else core.post.passOn(shard, batch, by);
}

/** Jobs of another shard want to be counted. */
export function takeJoin(core: Core, from: number, { batch: id, jobs }: Join): void {
  const state = findBatch(core, id)?.batch.state;
  const answer: Joined = { kind: "joined", batch: id, jobs };
  const isAnew = isReuniting(core) && findBatch(core, id)?.batch.finishedAtMs === 0;
  if (state === "open" || isAnew) {
    const by = { total: jobs.length, pending: jobs.length, completed: 0, dead: 0, cancelled: 0 };
    addUp(core, id, by);
    core.post.send(from, answer);
    return;
  }
  const refusal =
    state === undefined
      ? `no batch "${id}"`
      : `batch "${id}" is sealed, ${state}; the job came late`;
  core.post.send(from, { ...answer, refusal });
}

/** The jobs that another shard has of the call which made the batch are all here. */
export function takePartDone(core: Core, { batch: id }: PartDone): void {
  const found = findBatch(core, id);
  if (found?.batch.partsLeft === undefined) return;
  const { partsLeft, ...batch } = found.batch;
  if (partsLeft > 1) {
    core.state.records("batch").put(String(found.seq), { ...batch, partsLeft: partsLeft - 1 });
  } else if (batch.state === "open") close(core, found.seq, { ...batch, state: "running" });
}

/** What follows the end was added in another shard, or could not be. */
export function takeAddedCallback(core: Core, from: number, added: Added): void {
  const { errand, job, problem } = added;
  const found = errand.kind === "callback" ? findBatch(core, errand.batch) : undefined;
  if (found === undefined || errand.kind !== "callback") return;
  const { [errand.slot]: _, ...batch } = found.batch;
  const ref = job === undefined ? problem : ([job[0], job[1], from] as const);
  core.state.records("batch").put(String(found.seq), { ...batch, ...named(errand.slot, ref) });
}

/** The callbacks of a batch all of whose jobs have ended. */
export function stepBatchEnded(core: Core, work: BatchEnded): undefined {
  const table = core.state.records("batch");
  const key = String(work.batch);
  const batch = table.get(key);
  if (batch === undefined || batch.pending > 0 || batch.finishedAtMs > 0) return;
  if (batch.state === "open" || isReuniting(core)) return;
  const state = endOf(batch);
  const call = (slot: Slot) => named(slot, callBack(core, work.batch, batch, slot));
  const ended = {
    ...(state === "completed" && call("successJob")),
    ...(state === "failed" && call("failureJob")),
    ...call("completeJob"),
  };
  table.put(key, { ...batch, ...ended, state, finishedAtMs: core.nowMs });
  core.finishedGroups.add(core, "batch", work.batch, core.nowMs);
}

/** What follows the end and was on its way to another shard may have got lost there: better twice than never. */
export function callAgain(core: Core, seq: number, batch: JobBatch): void {
  const slots: readonly Slot[] = ["successJob", "failureJob", "completeJob"];
  for (const slot of slots) {
    if (batch[slot]?.[0] === 0) callBack(core, seq, batch, slot);
  }
}

function endOf(batch: JobBatch): BatchState {
  if (batch.state === "cancelling") return "cancelled";
  return batch.completed === batch.total ? "completed" : "failed";
}

/** Where the jobs that follow the end are noted, and what they are to be. */
const followers = {
  successJob: "onSuccess",
  failureJob: "onFailure",
  completeJob: "onComplete",
} as const;
type Slot = keyof typeof followers;

/** Adds one of the jobs that follow the end. The problem in words when it cannot be added. */
function callBack(
  core: Core,
  seq: number,
  batch: JobBatch,
  slot: Slot,
): JobRef | string | undefined {
  const spec = batch[followers[slot]];
  if (spec === undefined) return undefined;
  const counts = { total: batch.total, ...countsOf(batch) };
  const id = batchIdOf([seq, batch.createdAtMs], batch.shard);
  const given: [string, string][] = [
    ["batch_id", JSON.stringify(id)],
    ...(["total", "completed", "dead", "cancelled"] as const).map((name): [string, string] => [
      name,
      String(counts[name]),
    ]),
  ];
  const payload = mergePayload(spec.payload, given);
  const to = queueElsewhere(core.place, spec.queue);
  if (to !== undefined) {
    const errand = { kind: "callback", batch: id, slot } as const;
    core.post.send(to, { kind: "add", job: sendable({ ...spec, payload }), errand });
    return [0, 0, to];
  }
  const job = insertNew(core, { ...spec, payload });
  return job === undefined ? tooManyQueues(spec.queue).message : [job.seq, job.createdAtMs];
}

function named(name: Slot, job: JobRef | string | undefined): Partial<JobBatch> {
  if (job === undefined) return {};
  return typeof job === "string" ? { reason: job } : { [name]: job };
}

/** No job joins any more. */
function close(core: Core, seq: number, batch: JobBatch): void {
  if (batch.sealAtMs > 0) core.sealTimes.remove(batch.sealAtMs, seq);
  core.state.records("batch").put(String(seq), { ...batch, sealAtMs: 0 });
  if (batch.pending === 0) core.aftermath.push({ kind: "batchEnded", batch: seq });
}

type Place = "pending" | FinishedState;

function placeOf(job: Job): Place {
  return isFinished(job.state) ? (job.state as FinishedState) : "pending";
}

function afterRemoval(before: Job | undefined): Place {
  const place = before === undefined ? "pending" : placeOf(before);
  return place === "pending" ? "cancelled" : place;
}

function countsOf({ pending, completed, dead, cancelled }: JobBatch): Record<Place, number> {
  return { pending, completed, dead, cancelled };
}

/** The batch behind an id: number and time must both be right. */
function findBatch(core: Core, id: string): { seq: number; batch: JobBatch } | undefined {
  const parsed = elsewhere(core.place, id) === undefined ? parseGroupId("batch", id) : undefined;
  const batch = core.state.records("batch").get(String(parsed?.seq));
  if (parsed === undefined || batch?.createdAtMs !== parsed.createdAtMs) return undefined;
  return { seq: parsed.seq, batch };
}
