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
 */
import { must } from "../base/assert.ts";
import { formatGroupId, parseGroupId } from "../base/ids.ts";
import { mergePayload } from "./chain-payload.ts";
import type { JobRef } from "./chains.ts";
import type { CancelBatch, NewBatch, NewJob, SealBatch } from "./change.ts";
import type { Core } from "./core.ts";
import { insertNew } from "./insert.ts";
import { isFinished, type Job } from "./job.ts";
import { engineLimits } from "./limits.ts";
import type { JobOptions } from "./options.ts";
import { type Outcome, type Rejection, reject } from "./outcome.ts";

export const batchStates = [
  "open",
  "running",
  "cancelling",
  "completed",
  "failed",
  "cancelled",
] as const;
export type BatchState = (typeof batchStates)[number];

export interface JobBatch extends Omit<NewBatch, "openMs"> {
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
  const batch = findBatch(core, batchId)?.batch;
  if (batch === undefined) return reject("NOT_FOUND", `batch_id: no batch "${batchId}"`);
  if (batch.state === "open") return undefined;
  return reject("BATCH_ERROR", `batch_id: batch "${batchId}" is sealed, ${batch.state}`);
}

/** Begins a batch; its number and time. */
export function beginBatch(core: Core, { openMs, ...spec }: NewBatch): JobRef {
  const seq = core.takeNumber();
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
  close(core, seq, { ...batch, state: "running", reason: "its time to be sealed was over" });
}

export function cancelBatch(core: Core, change: CancelBatch): Outcome {
  const batch = core.state.records("batch").get(String(change.batch));
  if (batch === undefined) return reject("NOT_FOUND", "no such batch");
  if (batch.state === "cancelling" || batch.state === "cancelled") return { kind: "ok" };
  if (batch.finishedAtMs > 0) return reject("BATCH_ERROR", `the batch is ${batch.state}`);
  core.aftermath.push({ kind: "cancelMembers", batch: change.batch, after: 0 });
  const reason = change.reason ?? "cancelled by an operator";
  close(core, change.batch, { ...batch, state: "cancelling", reason });
  return { kind: "ok" };
}

/** A job of a batch changed: its count moves. */
export function countMember(core: Core, before: Job | undefined, after: Job | undefined): void {
  const from = before === undefined ? undefined : placeOf(before);
  const to = after === undefined ? afterRemoval(before) : placeOf(after);
  const batchId = (after ?? before)?.options.batchId;
  if (from === to || batchId === undefined) return;
  const found = findBatch(core, batchId);
  if (found === undefined) return;
  const { batch, seq } = found;
  const counts = { total: batch.total, ...countsOf(batch) };
  if (from === undefined) counts.total++;
  else counts[from]--;
  counts[to]++;
  core.state.records("batch").put(String(seq), { ...batch, ...counts });
  if (counts.pending === 0 && batch.state !== "open" && batch.finishedAtMs === 0) {
    core.aftermath.push({ kind: "batchEnded", batch: seq });
  }
}

/** The callbacks of a batch all of whose jobs have ended. */
export function stepBatchEnded(core: Core, work: BatchEnded): undefined {
  const table = core.state.records("batch");
  const key = String(work.batch);
  const batch = table.get(key);
  if (batch === undefined || batch.pending > 0 || batch.finishedAtMs > 0) return;
  const state = endOf(batch);
  const call = (spec: NewJob | undefined) => callBack(core, work.batch, batch, spec);
  const ended = {
    ...(state === "completed" && named("successJob", call(batch.onSuccess))),
    ...(state === "failed" && named("failureJob", call(batch.onFailure))),
    ...named("completeJob", call(batch.onComplete)),
  };
  table.put(key, { ...batch, ...ended, state, finishedAtMs: core.nowMs });
  core.finishedGroups.add(core, "batch", work.batch, core.nowMs);
}

function endOf(batch: JobBatch): BatchState {
  if (batch.state === "cancelling") return "cancelled";
  return batch.completed === batch.total ? "completed" : "failed";
}

/** Adds one of the jobs that follow the end. The problem in words when it cannot be added. */
function callBack(
  core: Core,
  seq: number,
  batch: JobBatch,
  spec: NewJob | undefined,
): JobRef | string | undefined {
  if (spec === undefined) return undefined;
  const counts = { total: batch.total, ...countsOf(batch) };
  const given: [string, string][] = [
    ["batch_id", JSON.stringify(batchIdOf([seq, batch.createdAtMs], batch.shard))],
    ...(["total", "completed", "dead", "cancelled"] as const).map((name): [string, string] => [
      name,
      String(counts[name]),
    ]),
  ];
  const isObject = spec.payload.trimStart().startsWith("{");
  const payload = isObject ? mergePayload(spec.payload, given) : spec.payload;
  const job = insertNew(core, { ...spec, payload });
  return job === undefined
    ? `queue "${spec.queue}" would be one more than ${engineLimits.queuesMax} (queuesMax)`
    : [job.seq, job.createdAtMs];
}

function named(
  name: "successJob" | "failureJob" | "completeJob",
  job: JobRef | string | undefined,
): Partial<JobBatch> {
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
  const parsed = parseGroupId("batch", id);
  const batch = core.state.records("batch").get(String(parsed?.seq));
  if (parsed === undefined || batch?.createdAtMs !== parsed.createdAtMs) return undefined;
  return { seq: parsed.seq, batch };
}
