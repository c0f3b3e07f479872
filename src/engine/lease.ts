/**
 * Who may speak for an attempt. With a token: only the lease it belongs to. Without one (0.3 clients): whoever names an
 * active job. Every refusal says why, so that a worker that was away can tell what happened to its job.
 */
import type { ErrorCode } from "../base/errors.ts";
import { formatTime } from "../base/time.ts";
import type { Core } from "./core.ts";
import type { Attempt, Job } from "./job.ts";
import { engineLimits } from "./limits.ts";
import type { JobOptions } from "./options.ts";
import { type ItemResult, type Rejection, reject } from "./outcome.ts";

interface Leased {
  readonly seq: number;
  readonly token?: number;
}

type Holder =
  | { readonly kind: "holder"; readonly job: Job }
  /** The same token already ended this attempt: a repeated call. */
  | { readonly kind: "repeated"; readonly job: Job }
  | { readonly kind: "refused"; readonly rejection: Rejection };

/** Finds the job of an item and checks that the sender holds its lease. `stateCode` is the code for a wrong state. */
export function findHolder(core: Core, item: Leased, stateCode: ErrorCode): Holder {
  const job = core.state.getJob(item.seq);
  if (job === undefined) return refused(reject("NOT_FOUND", "no such job"));
  if (item.token === undefined) {
    if (job.state === "active") return { kind: "holder", job };
    return refused(reject(stateCode, `the job is ${job.state}, not active`));
  }
  if (job.token === item.token) {
    return { kind: job.state === "active" ? "holder" : "repeated", job };
  }
  return refused(reject("LEASE_LOST", `this lease is over: ${describe(job)}`));
}

function refused(rejection: Rejection): Holder {
  return { kind: "refused", rejection };
}

function describe(job: Job): string {
  switch (job.state) {
    case "active":
      return `the job is active under another lease, held by ${job.workerId ?? "an unnamed worker"} since ${formatTime(job.startedAtMs)}`;
    case "cancelled":
      return "the job was cancelled";
    default:
      return `the job is ${job.state}${job.reason === undefined ? "" : ` (${job.reason})`}`;
  }
}

/** The answer for one job that a change went through for. */
export function done(job: Job, from: Job["state"]): ItemResult {
  return {
    kind: "done",
    state: job.state,
    attempt: job.attempt,
    dueAtMs: job.dueAtMs,
    attemptsLeft: Math.max(0, job.options.maxRetries - job.attempt),
    leaseExpiresAtMs: job.leaseExpiresAtMs,
    from,
  };
}

/** When a lease of this length ends: never after its attempt's time-out, nor after the job's deadline. */
export function leaseEndMs(
  core: Core,
  options: JobOptions,
  lease: { readonly leaseMs: number; readonly startedAtMs: number },
): number {
  let endsAtMs = core.nowMs + lease.leaseMs;
  if (options.timeoutMs > 0) endsAtMs = Math.min(endsAtMs, lease.startedAtMs + options.timeoutMs);
  return options.deadlineAtMs > 0 ? Math.min(endsAtMs, options.deadlineAtMs) : endsAtMs;
}

/** Writes an attempt into the job's history; the caller stores the returned count with the job. */
export function recordAttempt(
  core: Core,
  job: Job,
  entry: Pick<Attempt, "outcome" | "error" | "backtrace" | "output"> &
    Partial<Pick<Attempt, "errorClass">>,
): number {
  core.state.putAttempt({
    seq: job.seq,
    ordinal: job.history,
    attempt: job.attempt,
    outcome: entry.outcome,
    error: entry.error,
    errorClass: entry.errorClass,
    backtrace: entry.backtrace,
    output: entry.output,
    workerId: job.workerId,
    startedAtMs: job.startedAtMs,
    endedAtMs: core.nowMs,
  });
  core.lastError = entry.error;
  core.lastErrorClass = entry.errorClass;
  const oldest = job.history - engineLimits.attemptsKeptMax;
  if (oldest >= 0) core.state.deleteAttempt(job.seq, oldest);
  return job.history + 1;
}
