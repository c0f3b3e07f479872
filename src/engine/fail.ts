/** Ends attempts that did not succeed: told by the worker, by its silence, or by the attempt's time-out. */
import { formatDuration } from "../base/time.ts";
import type { FailItem, FailJobs } from "./change.ts";
import type { Core } from "./core.ts";
import type { Attempt, Job } from "./job.ts";
import { done, findHolder, recordAttempt } from "./lease.ts";
import { raisePause } from "./limits/limit-changes.ts";
import { type ItemResult, type Outcome, reject } from "./outcome.ts";
import { chanceOf, retryDelayMs } from "./retry.ts";

export function failJobs(core: Core, change: FailJobs): Outcome {
  return { kind: "items", results: change.items.map((item) => failJob(core, item)) };
}

function failJob(core: Core, item: FailItem): ItemResult {
  const found = findHolder(core, item, "FAIL_ERROR");
  if (found.kind === "refused") return found.rejection;
  const { job } = found;
  if (found.kind === "repeated") {
    if (job.state === "retrying" || job.state === "dead") return done(job, "active");
    return reject("LEASE_LOST", `this lease is over: it ended with the job ${job.state}`);
  }

  const refusal = item.pause === undefined ? undefined : raisePause(core, job, item.pause);
  if (refusal !== undefined) return refusal;
  const history = recordAttempt(core, job, {
    outcome: "failed",
    error: item.error,
    errorClass: item.errorClass,
    backtrace: item.backtrace,
    output: item.output,
  });
  if (item.keepAttempt === true) {
    const attempt = Math.max(0, job.attempt - 1);
    const next = core.move(job, "putBack", { history, attempt, token: 0, lostLeases: 0 });
    return done(next, job.state);
  }
  const finalReason = finalReasonOf(job, item);
  const { delayMs } = item;
  const next = retryOrDie(core, job, { history, token: job.token, finalReason, delayMs });
  return done(next, job.state);
}

function finalReasonOf(job: Job, item: FailItem): string | undefined {
  if (item.retryable === false) return "the worker said that it must not be retried";
  const { errorClass } = item;
  return errorClass !== undefined && job.options.noRetryOn?.includes(errorClass) === true
    ? `an error of class "${errorClass}" is not retried (no_retry_on)`
    : undefined;
}

interface Ending {
  readonly history: number;
  /** 0 when the worker must not be able to repeat its call. */
  readonly token: number;
  /** Set when no further attempt is allowed, whatever the count. */
  readonly finalReason: string | undefined;
  /** What the worker asks for instead of the backoff. */
  readonly delayMs?: number | undefined;
}

/** Sends a failed attempt's job to its next attempt, or to dead when none may follow. */
function retryOrDie(core: Core, job: Job, ending: Ending): Job {
  const { history, token, finalReason } = ending;
  const delayMs =
    ending.delayMs ?? retryDelayMs(job.options, job.attempt, chanceOf(core.seed, job.seq));
  const dueAtMs = core.nowMs + delayMs;
  const firstFailedAtMs = job.firstFailedAtMs === 0 ? core.nowMs : job.firstFailedAtMs;
  const reason = finalReason ?? whySpent(job) ?? whyTooLate(job, firstFailedAtMs, dueAtMs);
  const left = { history, token, lostLeases: 0, firstFailedAtMs };
  if (reason !== undefined) return die(core, job, { ...left, reason });
  return core.move(job, "retryLater", { ...left, dueAtMs, failedAtMs: core.nowMs });
}

function die(core: Core, job: Job, patch: Partial<Job>): Job {
  return core.move(job, "die", { ...patch, finishedAtMs: core.nowMs, failedAtMs: core.nowMs });
}

function whySpent(job: Job): string | undefined {
  const { maxRetries } = job.options;
  return job.attempt >= maxRetries ? `all ${Math.max(1, maxRetries)} attempts failed` : undefined;
}

function whyTooLate(job: Job, firstFailedAtMs: number, nextMs: number): string | undefined {
  const { retryForMs } = job.options;
  return retryForMs > 0 && nextMs > firstFailedAtMs + retryForMs
    ? `attempt ${job.attempt + 1} would begin more than ${formatDuration(retryForMs)} after the first failure (retry_for)`
    : undefined;
}

export const overdue = "deadline: the job was not done in the time that it was given";

export function isPastDeadline(core: Core, job: Job): boolean {
  const { deadlineAtMs } = job.options;
  return deadlineAtMs > 0 && deadlineAtMs <= core.nowMs;
}

/**
 * The lease ended by its time. At the deadline the job is dead, at the attempt's time-out it has failed. Else its worker
 * was silent: the attempt counts, and the job is ready again at once, unless its attempts are spent or it is to be
 * held back, since a job that kills its workers must not do so for ever.
 */
export function loseLease(core: Core, job: Job): void {
  const { timeoutMs } = job.options;
  core.revoke(job, "lost");
  if (isPastDeadline(core, job)) {
    const history = recordEnd(core, job, "timed_out", overdue);
    die(core, job, { history, token: 0, lostLeases: 0, reason: overdue });
  } else if (timeoutMs > 0 && core.nowMs >= job.startedAtMs + timeoutMs) {
    const history = recordEnd(
      core,
      job,
      "timed_out",
      `attempt timed out after ${timeoutMs} ms on ${workerOf(job)}`,
    );
    retryOrDie(core, job, { history, token: 0, finalReason: undefined });
  } else {
    fallSilent(core, job);
  }
}

function fallSilent(core: Core, job: Job): void {
  const { maxRetries, lostLeasesMax } = job.options;
  const history = recordEnd(
    core,
    job,
    "lease_lost",
    `lease expired: ${workerOf(job)} did not answer for ${job.leaseMs} ms`,
  );
  const lostLeases = job.lostLeases + 1;
  const firstFailedAtMs = job.firstFailedAtMs === 0 ? core.nowMs : job.firstFailedAtMs;
  const left = { history, lostLeases, token: 0, firstFailedAtMs };
  if (lostLeasesMax > 0 && lostLeases >= lostLeasesMax) {
    const reason = `quarantined: ${lostLeases} leases in a row ended without a word (max_lost_leases), so the job may be killing its workers`;
    core.move(job, "quarantine", { ...left, reason });
    return;
  }
  const tooLate = whyTooLate(job, firstFailedAtMs, core.nowMs);
  if (job.attempt >= maxRetries || tooLate !== undefined) {
    const reason =
      job.attempt >= maxRetries
        ? `lease lost in ${lostLeases} attempts in a row (of ${job.attempt}): the job may be killing its workers`
        : tooLate;
    const { nowMs } = core;
    core.move(job, "dieSilent", { ...left, reason, finishedAtMs: nowMs, failedAtMs: nowMs });
    return;
  }
  core.move(job, "loseLease", left);
}

function workerOf(job: Job): string {
  return job.workerId ?? "an unnamed worker";
}

function recordEnd(core: Core, job: Job, outcome: Attempt["outcome"], error: string): number {
  return recordAttempt(core, job, { outcome, error, backtrace: undefined, output: undefined });
}
