/**
 * What time alone causes. The leader proposes `advanceTime` when the earliest of these times has come; all of them are
 * carried out in the order of their times, so a job that was due first is ready first.
 */
import { must } from "../base/assert.ts";
import { endOpenTime } from "./batches.ts";
import type { AdvanceTime } from "./change.ts";
import type { Core } from "./core.ts";
import { isPastDeadline, loseLease, overdue } from "./fail.ts";
import type { Job } from "./job.ts";
import { recordAttempt } from "./lease.ts";
import type { Outcome } from "./outcome.ts";
import { nextRetentionMs, removeOldest } from "./retention.ts";
import { fireSchedule } from "./schedules.ts";
import { endSubscription } from "./subscriptions.ts";

/** Limits at rest that one change forgets. */
const restedMax = 100;

export function advanceTime(core: Core, change: AdvanceTime): Outcome {
  let steps = 0;
  while (steps < change.limit) {
    const done = step(core);
    if (done === 0) break;
    steps += done;
  }
  core.lines.gates.forget(restedMax, core.nowMs);
  core.lines.wakeDue();
  return { kind: "advanced", steps, more: nextDeadlineMs(core) <= core.nowMs };
}

/** The earliest time at which something is to be done; Infinity when nothing is. What a batch left to do is for now. */
export function nextDeadlineMs(core: Core): number {
  if (core.aftermath.size > 0) return core.nowMs;
  dropStaleLeases(core);
  return Math.min(
    core.due.topTime(),
    core.lives.topTime(),
    core.leaseEnds.topTime(),
    core.schedules.topTime(),
    core.subscriptionEnds.topTime(),
    core.sealTimes.topTime(),
    nextRetentionMs(core.state.meta),
    core.finishedGroups.nextMs(core.state),
  );
}

/** Carries out the earliest thing whose time has come. At equal times lives end, leases end, jobs get due, batches are sealed, schedules fire, subscriptions end. How many steps it was; 0 when there was nothing. */
function step(core: Core): number {
  dropStaleLeases(core);
  const lifeMs = core.lives.topTime();
  const leaseMs = core.leaseEnds.topTime();
  const dueMs = core.due.topTime();
  const scheduleMs = core.schedules.topTime();
  const sealMs = core.sealTimes.topTime();
  const subscriptionMs = core.subscriptionEnds.topTime();
  const earliestMs = Math.min(lifeMs, leaseMs, dueMs, scheduleMs, sealMs, subscriptionMs);
  if (earliestMs > core.nowMs) {
    return removeOldest(core) || Number(core.finishedGroups.forgetOldest(core));
  }
  if (lifeMs === earliestMs) endLife(core);
  else if (leaseMs === earliestMs) endLease(core);
  else if (dueMs === earliestMs) becomeDue(core);
  else if (sealMs === earliestMs) endOpenTime(core);
  else if (scheduleMs === earliestMs) fireSchedule(core);
  else endSubscription(core);
  return 1;
}

/** Corrects the top of the lease heap: leases that were given back go, extended ones move to their real end. */
function dropStaleLeases(core: Core): void {
  while (core.leaseEnds.size > 0) {
    const token = core.leaseEnds.topKey();
    const seq = core.leases.get(token);
    const job = seq === undefined ? undefined : core.state.getJob(seq);
    if (job !== undefined && job.leaseExpiresAtMs <= core.leaseEnds.topTime()) return;
    core.leaseEnds.pop();
    if (job !== undefined) core.leaseEnds.push(job.leaseExpiresAtMs, token);
  }
}

function endLease(core: Core): void {
  const seq = must(core.leases.get(core.leaseEnds.topKey()), "stale entries were dropped");
  core.leaseEnds.pop();
  loseLease(core, must(core.state.getJob(seq), "a leased job exists"));
}

function becomeDue(core: Core): void {
  const job = must(core.state.getJob(core.due.topKey()), "a job that is to become ready exists");
  core.move(job, "becomeDue", { dueAtMs: 0 });
}

function endLife(core: Core): void {
  expireJob(core, must(core.state.getJob(core.lives.topKey()), "a job whose life ends exists"));
}

/** Sends a waiting job whose time to live or deadline is over to dead. */
export function expireJob(core: Core, job: Job): void {
  const isOverdue = isPastDeadline(core, job);
  const history = recordAttempt(core, job, {
    outcome: "expired",
    error: isOverdue ? overdue : "job expired",
    backtrace: undefined,
    output: undefined,
  });
  core.move(job, "expire", {
    history,
    token: 0,
    dueAtMs: 0,
    reason: isOverdue ? overdue : "job expired: its time to live ended before it was run",
    finishedAtMs: core.nowMs,
    failedAtMs: core.nowMs,
  });
}
