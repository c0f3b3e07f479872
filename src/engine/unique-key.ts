/**
 * Who holds a unique key of a queue, and how the key follows its job through all that may happen to it.
 *
 * At most one job holds a key: the seq of its lock or, with the scope "period", of its hold (`key-holds.ts`). One more
 * may wait for it in state held: the follow-up. Invariant: while there is one, an unfinished job holds the key by a lock
 * without a limit in time; when that lock goes, the follow-up takes the key and becomes ready. So none waits for nobody.
 */
import { must } from "../base/assert.ts";
import type { Core } from "./core.ts";
import { isFinished, type Job } from "./job.ts";
import { engineLimits } from "./limits.ts";
import { uniqueName } from "./memory-state.ts";
import { type Rejection, reject } from "./outcome.ts";

/** How long a key is held for which somebody waits: longer than anything runs. */
const pinnedMs = 100 * 366 * 86_400_000;

export interface KeyHolder {
  readonly seq: number;
  readonly createdAtMs: number;
  /** Undefined when it is done and no longer kept. */
  readonly job: Job | undefined;
}

/** Undefined when the key is free. */
export function holderOf(core: Core, queue: string, key: string): KeyHolder | undefined {
  const lock = core.state.getUnique(queue, key);
  if (lock !== undefined && lock.untilMs > core.nowMs) {
    const job = must(core.state.getJob(lock.seq), "the holder of a lock is not done");
    return { seq: job.seq, createdAtMs: job.createdAtMs, job };
  }
  const hold = core.keyHolds.get(queue, key);
  if (hold === undefined || hold.untilMs <= core.nowMs) return undefined;
  const { seq, createdAtMs } = hold;
  return { seq, createdAtMs, job: core.state.getJob(seq) };
}

/** The job that waits for the key. */
export function followUpOf(core: Core, queue: string, key: string): Job | undefined {
  const table = core.state.records("followUps");
  if (table.size === 0) return undefined;
  const next = table.get(uniqueName(queue, key));
  return next === undefined
    ? undefined
    : must(core.state.getJob(next.seq), "a job that waits for a key exists");
}

/** Gives the key to a job that waits or runs, whoever had it. */
export function takeKey(core: Core, job: Job): void {
  const { uniqueKey: key, uniqueMs, uniqueScope } = job.options;
  if (key === undefined) return;
  if (followUpOf(core, job.queue, key) !== undefined) {
    pinKey(core, job, key);
    return;
  }
  const untilMs = core.nowMs + uniqueMs;
  if (uniqueScope === "period") {
    core.state.deleteUnique(job.queue, key);
    core.keyHolds.put(job.queue, key, { seq: job.seq, createdAtMs: job.createdAtMs, untilMs });
  } else {
    if (core.keyHolds.size > 0) core.keyHolds.delete(job.queue, key);
    core.state.putUnique(job.queue, key, { seq: job.seq, untilMs });
  }
}

/** Makes an unfinished job the holder until it ends, for the sake of one that waits for that. */
export function pinKey(core: Core, job: Job, key: string): void {
  if (core.keyHolds.size > 0) core.keyHolds.delete(job.queue, key);
  core.state.putUnique(job.queue, key, { seq: job.seq, untilMs: core.nowMs + pinnedMs });
}

/** A job that runs or waits again holds its key again, unless another one has it or the holds are full. */
export function retakeKey(core: Core, job: Job): void {
  const { uniqueKey: key, uniqueScope } = job.options;
  if (key === undefined || holderOf(core, job.queue, key) !== undefined) return;
  if (uniqueScope === "period" && !hasRoomForHold(core, job.queue, key)) return;
  takeKey(core, job);
}

export function hasRoomForHold(core: Core, queue: string, key: string): boolean {
  core.keyHolds.forgetOld(core.nowMs);
  return (
    core.keyHolds.size < engineLimits.keyHoldsMax || core.keyHolds.get(queue, key) !== undefined
  );
}

/** Takes the key along to another queue, before its job goes. The rejection when it cannot. */
export function moveKey(core: Core, job: Job, queue: string): Rejection | undefined {
  const key = job.options.uniqueKey;
  if (key === undefined) return undefined;
  if (followUpOf(core, job.queue, key)?.seq === job.seq) {
    return reject("MOVE_ERROR", `the job waits in "${job.queue}" for its unique key "${key}"`);
  }
  const lock = core.state.getUnique(job.queue, key);
  const hold = core.keyHolds.get(job.queue, key);
  // A hold that is over may have been swept away or not; it must not matter.
  if (hold?.seq === job.seq && hold.untilMs <= core.nowMs) {
    core.keyHolds.delete(job.queue, key);
    return undefined;
  }
  if (lock?.seq !== job.seq && hold?.seq !== job.seq) return undefined;
  if (holderOf(core, queue, key) !== undefined) {
    return reject("CONFLICT", `a job in "${queue}" already holds the unique key "${key}"`);
  }
  const from = job.queue;
  if (hold?.seq === job.seq) {
    core.state.deleteUnique(queue, key);
    core.keyHolds.delete(from, key);
    core.keyHolds.put(queue, key, hold);
  } else if (lock !== undefined) {
    if (core.keyHolds.size > 0) core.keyHolds.delete(queue, key);
    core.state.deleteUnique(from, key);
    core.state.putUnique(queue, key, lock);
  }
  handOver(core, from, key);
  return undefined;
}

/** What a change of a job with a unique key means for the key. */
export function followKey(core: Core, before: Job | undefined, after: Job | undefined): void {
  if (before === undefined) return;
  if (before.state === "held" && after?.state !== "held") forgetFollowUp(core, before);
  if (after === undefined) {
    freeKey(core, before);
    return;
  }
  if (after.state === before.state) return;
  if (isFinished(after.state)) {
    if (!isFinished(before.state)) endHolder(core, after);
  } else if (after.options.uniqueScope === "waiting") {
    if (after.state === "active") freeKey(core, after);
    else if (before.state === "active") retakeKey(core, after);
  }
}

/** A hold goes on for its period after the job that ran. */
function endHolder(core: Core, job: Job): void {
  const key = must(job.options.uniqueKey, "only jobs with a key are followed");
  const holds = core.keyHolds.get(job.queue, key)?.seq === job.seq;
  if (!holds || job.state === "cancelled") freeKey(core, job);
}

function freeKey(core: Core, job: Job): void {
  const key = must(job.options.uniqueKey, "only jobs with a key are followed");
  const isLocked = core.state.getUnique(job.queue, key)?.seq === job.seq;
  const isHeld = core.keyHolds.get(job.queue, key)?.seq === job.seq;
  if (isLocked) core.state.deleteUnique(job.queue, key);
  if (isHeld) core.keyHolds.delete(job.queue, key);
  if (isLocked || isHeld) handOver(core, job.queue, key);
}

/** The job that waited for the key takes it. */
function handOver(core: Core, queue: string, key: string): void {
  const job = followUpOf(core, queue, key);
  if (job === undefined) return;
  core.state.records("followUps").delete(uniqueName(queue, key));
  const waits = job.scheduledAtMs > core.nowMs;
  const next = core.move(job, waits ? "takeTurnLater" : "takeTurn", {
    dueAtMs: waits ? job.scheduledAtMs : 0,
    reason: undefined,
  });
  takeKey(core, next);
}

function forgetFollowUp(core: Core, job: Job): void {
  const key = must(job.options.uniqueKey, "only jobs with a key are followed");
  const table = core.state.records("followUps");
  if (table.size === 0) return;
  const name = uniqueName(job.queue, key);
  if (table.get(name)?.seq === job.seq) table.delete(name);
}
