/** What an operator does to jobs by id. Each job has its own answer; one in the wrong state does not stop the rest. */

import { must } from "../base/assert.ts";
import type { ErrorCode } from "../base/errors.ts";
import type { ManageAction, ManageJobs } from "./change.ts";
import type { Core } from "./core.ts";
import { waitAgain } from "./depend.ts";
import { canMove, type Job, type Transition } from "./job.ts";
import { done, recordAttempt } from "./lease.ts";
import { requirementsRefusal } from "./limits/limit-changes.ts";
import { type ItemResult, type Outcome, reject } from "./outcome.ts";
import { refuseDraining, tooManyQueues } from "./queue-settings.ts";
import { moveKey, retakeKey } from "./unique-key.ts";

export function manageJobs(core: Core, change: ManageJobs): Outcome {
  if (change.action === "move") {
    const queue = must(change.queue, "a move names its queue");
    if (core.openQueue(queue) === undefined) return tooManyQueues(queue);
  }
  return { kind: "items", results: change.seqs.map((seq) => manageJob(core, seq, change)) };
}

/** The transition behind an action and the code for a job that is in no state for it. */
const rules: Readonly<
  Record<Exclude<ManageAction, "delete" | "move" | "changePriority">, [Transition, ErrorCode]>
> = {
  retry: ["runAgain", "RETRY_ERROR"],
  requeue: ["requeue", "RETRY_ERROR"],
  cancel: ["cancel", "CANCEL_ERROR"],
  hold: ["hold", "HOLD_ERROR"],
  approve: ["approve", "APPROVE_ERROR"],
  reject: ["reject", "REJECT_ERROR"],
};

function manageJob(core: Core, seq: number, change: ManageJobs): ItemResult {
  const job = core.state.getJob(seq);
  if (job === undefined) return reject("NOT_FOUND", "no such job");
  switch (change.action) {
    case "delete":
      if (job.state === "active") core.revoke(job, "cancel");
      core.delete(job);
      return done(job, job.state);
    case "move":
      return moveJob(core, job, must(change.queue, "a move names its queue"));
    case "changePriority":
      if (job.state !== "pending" && job.state !== "scheduled" && job.state !== "retrying") {
        return reject("BULK_ERROR", `the job is ${job.state}; only waiting jobs change priority`);
      }
      return done(
        core.rehome(job, { priority: must(change.priority, "a priority is given") }),
        job.state,
      );
    default:
      return moveState(core, job, change);
  }
}

function moveState(core: Core, job: Job, change: ManageJobs): ItemResult {
  const [transition, code] = rules[change.action as keyof typeof rules];
  if (!canMove(job.state, transition)) {
    return reject(code, `the job is ${job.state}`);
  }
  if (job.state === "active") core.revoke(job, "cancel");
  if (transition === "runAgain" || transition === "requeue") waitAgain(core, job);
  const next = core.move(job, transition, patchOf(core, job, change));
  if (transition === "runAgain" || transition === "requeue") retakeKey(core, next);
  return done(next, job.state);
}

function patchOf(core: Core, job: Job, change: ManageJobs): Partial<Job> {
  switch (change.action) {
    case "retry":
      return {
        attempt: 0,
        lostLeases: 0,
        snoozes: 0,
        firstFailedAtMs: 0,
        token: 0,
        dueAtMs: 0,
        scheduledAtMs: 0,
        startedAtMs: 0,
        finishedAtMs: 0,
        failedAtMs: 0,
        workerId: undefined,
        hostname: undefined,
        reason: undefined,
        ...timeLeft(core, job),
      };
    case "requeue":
      return {
        lostLeases: 0,
        token: 0,
        finishedAtMs: 0,
        reason: undefined,
        ...timeLeft(core, job),
      };
    case "cancel":
      return { token: 0, dueAtMs: 0, finishedAtMs: core.nowMs, reason: change.reason };
    case "hold":
      return { token: 0, dueAtMs: 0, reason: change.reason ?? "held by an operator" };
    case "approve":
      return {
        dueAtMs: 0,
        reason: undefined,
        ...(job.options.lostLeasesMax > 0 ? { lostLeases: 0 } : {}),
      };
    default:
      return {
        dueAtMs: 0,
        reason: change.reason ?? "rejected by an operator",
        finishedAtMs: core.nowMs,
        failedAtMs: core.nowMs,
        history: recordAttempt(core, job, {
          outcome: "failed",
          error: change.reason ?? "rejected by an operator",
          backtrace: undefined,
          output: undefined,
        }),
      };
  }
}

/** Asked to run now, a job whose time to live or deadline is over would only die again. */
function timeLeft(core: Core, job: Job): Partial<Job> {
  const { deadlineAtMs } = job.options;
  if (deadlineAtMs > 0 && deadlineAtMs <= core.nowMs) {
    return { expireAtMs: 0, options: { ...job.options, deadlineAtMs: 0 } };
  }
  return { expireAtMs: job.expireAtMs > core.nowMs ? job.expireAtMs : deadlineAtMs };
}

function moveJob(core: Core, job: Job, queue: string): ItemResult {
  if (job.state === "active") return reject("MOVE_ERROR", "the job is active");
  if (job.queue === queue) return done(job, job.state);
  const closed = refuseDraining(core, queue);
  if (closed !== undefined) return closed;
  const full = requirementsRefusal(core, queue, job.options.lane);
  if (full !== undefined) return full;
  return moveKey(core, job, queue) ?? done(core.rehome(job, { queue }), job.state);
}
