/**
 * Jobs that come back from a backup, one by one as they were: state, attempts, times, result. They keep their ids where nobody has
 * them. Nothing follows from their coming: no callback is made and no copy of a dead job, for all that was done the first time.
 *
 * What tied a job to others is not part of it, since the others may not come back: batches, chains, dependencies, parents that
 * cancel it. Who calls this has held an unfinished job that must not run without them.
 *
 * Numbers of jobs grow with their times of creation, which searches make use of. A restored job may be older than one with a
 * smaller number, so the first that keeps its id leaves a note for them.
 */
import type { Core } from "./core.ts";
import { isFinished, type Job } from "./job.ts";
import { joiningOf } from "./joining.ts";
import { requirementsRefusal } from "./limits/limit-changes.ts";
import { defaultOptions, type JobOptions } from "./options.ts";
import { reactForCallbacks, refuseCallbacks } from "./outbox/callbacks.ts";
import { type EnqueueResult, type Outcome, type Rejection, reject } from "./outcome.ts";
import { tooManyQueues } from "./queue-settings.ts";
import type { RestoredAttempt, RestoredJob, RestoreJobs } from "./restored-job.ts";
import { holderOf, takeKey } from "./unique-key.ts";

/** That jobs were restored with their ids, under the key `jobs`. */
export interface RestoredNote {
  readonly sinceMs: number;
}

export function restoreJobs(core: Core, { jobs }: RestoreJobs): Outcome {
  return { kind: "enqueued", results: jobs.map((job) => restoreJob(core, job)) };
}

function restoreJob(core: Core, asked: RestoredJob): EnqueueResult {
  const refusal = refuse(core, asked);
  if (refusal !== undefined) return refusal;
  const queue = core.openQueue(asked.queue);
  if (queue === undefined) return tooManyQueues(asked.queue);
  const seq = takeNumber(core, asked.seq);
  const job = jobOf(core, asked, seq);
  const stored = core.restore(job, queue);
  (asked.attempts ?? []).forEach((attempt, ordinal) => {
    putAttempt(core, stored, attempt, ordinal);
  });
  core.keyHolds.leaveOthers(seq, stored.queue, stored.options.uniqueKey);
  if (stored.options.uniqueKey !== undefined && !isFinished(stored.state)) takeKey(core, stored);
  if (stored.options.callback !== undefined) reactForCallbacks(core, undefined, stored);
  const { createdAtMs, state } = stored;
  return { kind: "added", seq, createdAtMs, state };
}

function refuse(core: Core, { seq, createdAtMs, ...asked }: RestoredJob): Rejection | undefined {
  if (createdAtMs > core.nowMs) {
    return reject("VALIDATION_ERROR", "the job was created later than it is now");
  }
  for (const form of [asked.payload, asked.result]) {
    const refusal = form === undefined ? undefined : core.values.refuse(form);
    if (refusal !== undefined) return refusal;
  }
  const taken = seq === undefined ? undefined : core.state.getJob(seq);
  if (taken !== undefined) {
    return reject(
      "CONFLICT",
      taken.createdAtMs === createdAtMs
        ? `the job is here already, ${taken.state}`
        : "another job has its number, so it cannot keep its id",
    );
  }
  // A batch is not a job, but what belongs to the one would belong to the other.
  if (seq !== undefined && core.state.records("batch").has(String(seq))) {
    return reject("CONFLICT", "a batch has its number, so it cannot keep its id");
  }
  if (seq !== undefined && joiningOf(core, seq) !== undefined) {
    return reject(
      "CONFLICT",
      "a deleted job with its number is still to be counted in a batch of another shard; try again when that has answered",
    );
  }
  if (asked.options?.callback !== undefined && !isFinished(asked.state)) {
    const full = refuseCallbacks(core, 1);
    if (full !== undefined) return full;
  }
  if (isFinished(asked.state)) return undefined;
  const unknown = requirementsRefusal(core, asked.queue, asked.options?.lane);
  if (unknown !== undefined) return unknown;
  const key = asked.options?.uniqueKey;
  if (key === undefined) return undefined;
  if (holderOf(core, asked.queue, key) === undefined) return undefined;
  return reject("CONFLICT", `another job of "${asked.queue}" holds the unique key "${key}"`);
}

function takeNumber(core: Core, wanted: number | undefined): number {
  if (wanted === undefined) return core.takeNumber();
  const { meta } = core.state;
  if (wanted >= meta.nextNumber) meta.nextNumber = wanted + 1;
  const notes = core.state.records("restored");
  if (!notes.has("jobs")) notes.put("jobs", { sinceMs: core.nowMs });
  return wanted;
}

function jobOf(core: Core, asked: RestoredJob, seq: number): Job {
  const { state, attempts = [] } = asked;
  const waitsForTime = state === "scheduled" || state === "retrying";
  const options = optionsOf(asked);
  const { deadlineAtMs } = options;
  const lives = asked.expireAtMs ?? 0;
  return {
    seq,
    // An id tells when its job was made.
    createdAtMs: asked.seq === undefined ? core.nowMs : asked.createdAtMs,
    queue: asked.queue,
    payload: asked.payload,
    options,
    state,
    priority: asked.priority,
    order: state === "pending" ? core.takeNumber() : 0,
    dueAtMs: waitsForTime ? (asked.dueAtMs ?? core.nowMs) : 0,
    scheduledAtMs: asked.scheduledAtMs ?? 0,
    expireAtMs: deadlineAtMs > 0 && (lives === 0 || lives > deadlineAtMs) ? deadlineAtMs : lives,
    attempt: asked.attempt ?? 0,
    history: attempts.length,
    lostLeases: asked.lostLeases ?? 0,
    snoozes: Math.min(asked.snoozes ?? 0, options.snoozesMax),
    firstFailedAtMs: asked.firstFailedAtMs ?? 0,
    token: 0,
    leaseMs: 0,
    leaseExpiresAtMs: 0,
    workerId: asked.workerId,
    hostname: asked.hostname,
    startedAtMs: asked.startedAtMs ?? 0,
    finishedAtMs: isFinished(state) ? (asked.finishedAtMs ?? core.nowMs) : 0,
    failedAtMs: asked.failedAtMs ?? 0,
    finish: 0,
    checkpoint: asked.checkpoint,
    progress: asked.progress,
    result: asked.result,
    reason: asked.reason,
  };
}

function optionsOf({ options, deadlineAtMs = 0 }: RestoredJob): JobOptions {
  if (options === undefined && deadlineAtMs === 0) return defaultOptions;
  return { ...defaultOptions, ...options, deadlineAtMs };
}

function putAttempt(core: Core, { seq }: Job, attempt: RestoredAttempt, ordinal: number): void {
  core.state.putAttempt({
    seq,
    ordinal,
    attempt: attempt.attempt,
    outcome: attempt.outcome,
    error: attempt.error,
    errorClass: attempt.errorClass,
    backtrace: attempt.backtrace,
    output: attempt.output,
    workerId: attempt.workerId,
    startedAtMs: attempt.startedAtMs,
    endedAtMs: attempt.endedAtMs,
  });
}
