/** Ends attempts that did not succeed: told by the worker, by its silence, or by the attempt's time-out. */
import type { FailItem, FailJobs } from "./change.ts";
import type { Core } from "./core.ts";
import type { Job } from "./job.ts";
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
    backtrace: item.backtrace,
    output: item.output,
  });
  if (item.keepAttempt === true) {
    const attempt = Math.max(0, job.attempt - 1);
    const next = core.move(job, "release", { history, attempt, token: 0, lostLeases: 0 });
    return done(next, job.state);
  }
  const finalReason =
    item.retryable === false ? "the worker said that it must not be retried" : undefined;
  const next = retryOrDie(core, job, { history, token: job.token, finalReason });
  return done(next, job.state);
}

interface Ending {
  readonly history: number;
  /** 0 when the worker must not be able to repeat its call. */
  readonly token: number;
  /** Set when no further attempt is allowed, whatever the count. */
  readonly finalReason: string | undefined;
}

/** Sends a failed attempt's job to its next attempt, or to dead when none remain. */
function retryOrDie(core: Core, job: Job, ending: Ending): Job {
  const { history, token, finalReason } = ending;
  const spent = job.attempt >= job.options.maxRetries;
  if (finalReason !== undefined || spent) {
    return core.move(job, "die", {
      history,
      token,
      lostLeases: 0,
      reason: finalReason ?? `all ${Math.max(1, job.options.maxRetries)} attempts failed`,
      finishedAtMs: core.nowMs,
      failedAtMs: core.nowMs,
    });
  }
  const delayMs = retryDelayMs(job.options, job.attempt, chanceOf(core.seed, job.seq));
  return core.move(job, "retryLater", {
    history,
    token,
    lostLeases: 0,
    dueAtMs: core.nowMs + delayMs,
    failedAtMs: core.nowMs,
  });
}

/**
 * The lease ended without a word. The attempt counts. The job is ready again at once, unless its attempts are spent:
 * a job that kills its workers must not do so for ever.
 */
export function loseLease(core: Core, job: Job): void {
  const timedOut =
    job.options.timeoutMs > 0 && core.nowMs >= job.startedAtMs + job.options.timeoutMs;
  const worker = job.workerId ?? "an unnamed worker";
  const history = recordAttempt(core, job, {
    outcome: timedOut ? "timed_out" : "lease_lost",
    error: timedOut
      ? `attempt timed out after ${job.options.timeoutMs} ms on ${worker}`
      : `lease expired: ${worker} did not answer for ${job.leaseMs} ms`,
    backtrace: undefined,
    output: undefined,
  });
  core.revoke(job, "lost");
  if (timedOut) {
    retryOrDie(core, job, { history, token: 0, finalReason: undefined });
    return;
  }
  const lostLeases = job.lostLeases + 1;
  if (job.attempt >= job.options.maxRetries) {
    core.move(job, "die", {
      history,
      lostLeases,
      token: 0,
      reason: `lease lost in ${lostLeases} attempts in a row (of ${job.attempt}): the job may be killing its workers`,
      finishedAtMs: core.nowMs,
      failedAtMs: core.nowMs,
    });
    return;
  }
  core.move(job, "loseLease", { history, lostLeases, token: 0 });
}
