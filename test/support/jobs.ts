import type { Attempt, Job } from "../../src/engine/job.ts";
import { defaultOptions } from "../../src/engine/options.ts";

/** A pending job of queue "a" that was just enqueued, changed by `patch`. */
export function buildJob(patch: Partial<Job> & { readonly seq: number }): Job {
  return {
    createdAtMs: 1_700_000_000_000 + patch.seq,
    queue: "a",
    payload: '{"n":1}',
    options: defaultOptions,
    state: "pending",
    priority: 2,
    order: patch.seq,
    dueAtMs: 0,
    scheduledAtMs: 0,
    expireAtMs: 0,
    attempt: 0,
    history: 0,
    lostLeases: 0,
    snoozes: 0,
    firstFailedAtMs: 0,
    token: 0,
    leaseMs: 0,
    leaseExpiresAtMs: 0,
    workerId: undefined,
    hostname: undefined,
    startedAtMs: 0,
    finishedAtMs: 0,
    failedAtMs: 0,
    finish: 0,
    checkpoint: undefined,
    progress: undefined,
    result: undefined,
    reason: undefined,
    ...patch,
  };
}

/** The first attempt of a job, which failed. */
export function buildAttempt(patch: Partial<Attempt> & { readonly seq: number }): Attempt {
  return {
    ordinal: 0,
    attempt: 1,
    outcome: "failed",
    error: "boom",
    errorClass: undefined,
    backtrace: undefined,
    output: "out",
    workerId: "w",
    startedAtMs: 1,
    endedAtMs: 2,
    ...patch,
  };
}
