/**
 * Jobs and queues as backups of single queues and `GET /api/v1/admin/backup` write them: what clients see, and under `corvo` what
 * only the engine knows, as JSON text. The one is for people and for readers of 0.3 documents, the other brings everything back
 * (`restored.ts`).
 */
import type { ResultOf } from "../api/operation.ts";
import type { Operations } from "../api/operations.ts";
import { formatTime } from "../base/time.ts";
import { type Attempt, isFinished, type Job, type JobState } from "../engine/job.ts";
import type { LimitSetting } from "../engine/limits/setting.ts";
import { type JobOptions, packOptions } from "../engine/options.ts";
import type { QueueContents } from "../engine/query.ts";
import type { QueueSettings, SetQueueBytes } from "../engine/queue-settings.ts";
import type { RestoredAttempt, RestoredJob } from "../engine/restored-job.ts";
import type { ScheduleSpec } from "../engine/schedule.ts";
import { type JobView, jobView } from "./views.ts";

type QueueView = Pick<ResultOf<Operations["getQueue"]>, "name" | "paused" | "created_at">;

/** What comes back of a queue besides its jobs. */
export interface RestoredQueue {
  readonly draining: boolean;
  readonly defaults?: Partial<JobOptions>;
  readonly written?: string;
  readonly bytes?: Pick<SetQueueBytes, "maxBytes" | "keepBytes">;
  readonly limits: readonly Omit<LimitSetting, "revision">[];
  readonly schedules: readonly {
    readonly name: string;
    readonly paused: boolean;
    readonly spec: ScheduleSpec;
  }[];
}

export type JobLine = JobView & { corvo: string };
export type QueueLine = QueueView & { draining: boolean; corvo: string };

export function jobLine(id: string, job: Job, attempts: readonly Attempt[]): JobLine {
  return { ...jobView(id, job, attempts), corvo: JSON.stringify(recordOf(job, attempts)) };
}

export function queueLine({ name, createdAtMs, paused, ...records }: QueueContents): QueueLine {
  const { settings, limits, schedules } = records;
  const restored: RestoredQueue = {
    draining: settings?.draining === true,
    ...(settings?.defaults === undefined ? {} : { defaults: settings.defaults }),
    ...(settings?.written === undefined ? {} : { written: settings.written }),
    ...(settings === undefined ? {} : { bytes: bytesOf(settings) }),
    limits: limits.map(({ revision: _, ...limit }) => limit),
    schedules: schedules.map((schedule) => ({
      name: schedule.name,
      paused: schedule.paused,
      spec: schedule.spec,
    })),
  };
  return {
    name,
    paused,
    draining: restored.draining,
    created_at: formatTime(createdAtMs),
    corvo: JSON.stringify(restored),
  };
}

function bytesOf({ maxBytes, keepBytes }: QueueSettings): NonNullable<RestoredQueue["bytes"]> {
  return {
    ...(maxBytes === undefined ? {} : { maxBytes }),
    ...(keepBytes === undefined ? {} : { keepBytes }),
  };
}

/** What the line of the job says anyway. */
type InView = "payload" | "checkpoint" | "progress" | "result";
export type JobRecord = Omit<RestoredJob, InView>;

/** Ties to jobs that may not come back, and what has a member of its own. */
const left = [
  "batchId",
  "dependsOn",
  "onDependencyFailure",
  "cascadeCancel",
  "chainId",
  "chainStep",
  "chain",
  "schedule",
  "deadOf",
  "deadlineAtMs",
] as const satisfies readonly (keyof JobOptions)[];

function recordOf(job: Job, attempts: readonly Attempt[]): JobRecord {
  const { seq, createdAtMs, queue, priority } = job;
  const options: Record<string, unknown> = { ...packOptions(job.options) };
  for (const name of left) delete options[name];
  return compact({
    ...{ seq, createdAtMs, queue, priority },
    ...stateOf(job),
    options: Object.keys(options).length === 0 ? undefined : (options as Partial<JobOptions>),
    deadlineAtMs: job.options.deadlineAtMs,
    dueAtMs: job.dueAtMs,
    scheduledAtMs: job.scheduledAtMs,
    expireAtMs: job.expireAtMs,
    attempt: job.attempt,
    lostLeases: job.lostLeases,
    snoozes: job.snoozes,
    firstFailedAtMs: job.firstFailedAtMs,
    startedAtMs: job.startedAtMs,
    finishedAtMs: job.finishedAtMs,
    failedAtMs: job.failedAtMs,
    workerId: job.workerId,
    hostname: job.hostname,
    attempts: attempts.length === 0 ? undefined : attempts.map(attemptOf),
  });
}

type StateAndReason = Pick<RestoredJob, "state"> & { readonly reason: string | undefined };

function stateOf(job: Job): StateAndReason {
  const { dependsOn, chainId, batchId } = job.options;
  const isReady = job.state === "active" || (job.state === "pending" && job.order > 0);
  const tie =
    dependsOn !== undefined && !isReady
      ? "other jobs that it depends on"
      : chainId !== undefined
        ? "a chain"
        : batchId !== undefined
          ? "a batch"
          : undefined;
  return restoredState(job.state, tie, job.reason);
}

/** An unfinished job must not run without those that it waits for, or that wait for it: `tie` says who they are. */
export function restoredState(
  state: JobState,
  tie: string | undefined,
  reason: string | undefined,
): StateAndReason {
  if (!isFinished(state) && tie !== undefined) {
    return { state: "held", reason: `restored without ${tie}` };
  }
  return { state: state === "active" ? "pending" : state, reason };
}

function attemptOf({ seq: _seq, ordinal: _ordinal, ...attempt }: Attempt): RestoredAttempt {
  return compact(attempt);
}

/** Without what is absent or never was: the reader has the same for it. */
function compact<T extends object>(
  value: {
    readonly [Key in keyof T]: T[Key] | undefined;
  },
): T {
  return Object.fromEntries(
    Object.entries(value).filter(([key, one]) => one !== undefined && (one !== 0 || isKept(key))),
  ) as T;
}

function isKept(key: string): boolean {
  return ["priority", "attempt", "startedAtMs", "endedAtMs"].includes(key);
}
