/** The change that brings jobs back from a backup. */
import type { Attempt, JobState } from "./job.ts";
import type { JobOptions } from "./options.ts";

/** A run of a job that comes back from a backup. */
export type RestoredAttempt = Omit<
  Attempt,
  "seq" | "ordinal" | "error" | "errorClass" | "backtrace" | "output" | "workerId"
> &
  Partial<Record<"error" | "errorClass" | "backtrace" | "output" | "workerId", string>>;

/** A job as it was. Times that are absent never came. */
export interface RestoredJob {
  /** Left out, it gets a number and a time of creation of its own. */
  readonly seq?: number;
  readonly createdAtMs: number;
  readonly queue: string;
  readonly payload: string;
  readonly state: Exclude<JobState, "active">;
  readonly priority: number;
  readonly options?: Partial<JobOptions>;
  readonly deadlineAtMs?: number;
  readonly dueAtMs?: number;
  readonly scheduledAtMs?: number;
  readonly expireAtMs?: number;
  readonly attempt?: number;
  readonly lostLeases?: number;
  readonly snoozes?: number;
  readonly firstFailedAtMs?: number;
  readonly startedAtMs?: number;
  readonly finishedAtMs?: number;
  readonly failedAtMs?: number;
  readonly workerId?: string;
  readonly hostname?: string;
  readonly checkpoint?: string;
  readonly progress?: string;
  readonly result?: string;
  readonly reason?: string;
  readonly attempts?: readonly RestoredAttempt[];
}

export interface RestoreJobs {
  readonly kind: "restoreJobs";
  readonly jobs: readonly RestoredJob[];
}
