/**
 * The job record and its life-cycle. Every change of state in the program is one of the transitions below, and goes
 * through `Core.move`, so counters, ordering and leases cannot disagree with the records.
 */
import type { JobOptions } from "./options.ts";

export const jobStates = [
  "pending",
  "scheduled",
  "active",
  "retrying",
  "completed",
  "dead",
  "cancelled",
  "held",
] as const;
export type JobState = (typeof jobStates)[number];

/** Numbers of the states on disk; never reused. */
export const stateCode: Readonly<Record<JobState, number>> = {
  pending: 0,
  scheduled: 1,
  active: 2,
  retrying: 3,
  completed: 4,
  dead: 5,
  cancelled: 6,
  held: 7,
};

export type Transition =
  | "claim"
  | "ack"
  | "retryLater"
  | "putBack"
  | "die"
  | "dieSilent"
  | "release"
  | "releaseLater"
  | "snooze"
  | "loseLease"
  | "becomeDue"
  | "expire"
  | "abandon"
  | "cancel"
  | "runAgain"
  | "requeue"
  | "hold"
  | "approve"
  | "reject"
  | "quarantine"
  | "takeTurn"
  | "takeTurnLater"
  | "replace"
  | "replaceLater";

interface TransitionRule {
  readonly from: readonly JobState[];
  readonly to: JobState;
}

/**
 * The whole life-cycle. Transitions between the same states differ in their cause, which events tell. `putBack` is a failure
 * that does not count; `dieSilent` the last of the leases that were lost; `expire` is the end of the time to live, `abandon` that of a job whose dependency failed; `runAgain`
 * is the operator's retry; `quarantine` keeps a job from killing more workers; `takeTurn` ends the wait for a unique key;
 * `replace` makes a waiting job that of a later enqueue.
 */
export const lifecycle: Readonly<Record<Transition, TransitionRule>> = {
  claim: { from: ["pending"], to: "active" },
  ack: { from: ["active"], to: "completed" },
  retryLater: { from: ["active"], to: "retrying" },
  putBack: { from: ["active"], to: "pending" },
  die: { from: ["active"], to: "dead" },
  dieSilent: { from: ["active"], to: "dead" },
  release: { from: ["active"], to: "pending" },
  releaseLater: { from: ["active"], to: "retrying" },
  snooze: { from: ["active"], to: "retrying" },
  loseLease: { from: ["active"], to: "pending" },
  becomeDue: { from: ["scheduled", "retrying"], to: "pending" },
  expire: { from: ["pending", "scheduled", "retrying", "held"], to: "dead" },
  abandon: { from: ["pending", "scheduled", "retrying", "held"], to: "dead" },
  cancel: { from: ["pending", "scheduled", "retrying", "active", "held"], to: "cancelled" },
  runAgain: { from: ["dead", "cancelled", "completed", "scheduled", "retrying"], to: "pending" },
  requeue: { from: ["dead"], to: "pending" },
  hold: { from: ["pending", "scheduled", "retrying", "active"], to: "held" },
  approve: { from: ["held"], to: "pending" },
  reject: { from: ["held"], to: "dead" },
  quarantine: { from: ["active"], to: "held" },
  takeTurn: { from: ["held"], to: "pending" },
  takeTurnLater: { from: ["held"], to: "scheduled" },
  replace: { from: ["pending", "scheduled", "retrying"], to: "pending" },
  replaceLater: { from: ["pending", "scheduled", "retrying"], to: "scheduled" },
};

export function canMove(state: JobState, transition: Transition): boolean {
  return lifecycle[transition].from.includes(state);
}

export function isFinished(state: JobState): boolean {
  return state === "completed" || state === "dead" || state === "cancelled";
}

export interface Job {
  /** Row key, and the order of creation. */
  readonly seq: number;
  readonly createdAtMs: number;
  readonly queue: string;
  /** JSON text exactly as it was sent. */
  readonly payload: string;
  readonly options: JobOptions;
  readonly state: JobState;
  /** 0 (first) to 9. */
  readonly priority: number;
  /** Place in the line of ready jobs; smaller is earlier. 0 unless pending, and while it waits for dependencies. */
  readonly order: number;
  /** When a scheduled or retrying job becomes ready; 0 otherwise. */
  readonly dueAtMs: number;
  /** The time the producer asked for; 0 when none. */
  readonly scheduledAtMs: number;
  /** When it is dead if it still waits: the end of its time to start or its deadline, whichever is first; 0 when neither. */
  readonly expireAtMs: number;
  /** Runs so far that count. */
  readonly attempt: number;
  /** Attempt records written so far; the key of the next one. */
  readonly history: number;
  /** Leases in a row that ended without a word from the worker. */
  readonly lostLeases: number;
  /** Times that a worker put it off. */
  readonly snoozes: number;
  /** When the first attempt failed; 0 before. */
  readonly firstFailedAtMs: number;
  /** Token of the live lease while active; of the attempt that ended the job afterwards; 0 when a lease was lost. */
  readonly token: number;
  /** Length of the live lease; 0 unless active. */
  readonly leaseMs: number;
  /** Invariant: 0 unless active; never later than the attempt's deadline. */
  readonly leaseExpiresAtMs: number;
  readonly workerId: string | undefined;
  readonly hostname: string | undefined;
  readonly startedAtMs: number;
  readonly finishedAtMs: number;
  readonly failedAtMs: number;
  /** Order of finishing within its retention class; 0 unless finished. */
  readonly finish: number;
  readonly checkpoint: string | undefined;
  readonly progress: string | undefined;
  readonly result: string | undefined;
  /** Why the job is held or dead. */
  readonly reason: string | undefined;
}

/** A job that is not finished yet: whoever makes one hands it on as a `Job`. */
export type JobDraft = { -readonly [Member in keyof Job]: Job[Member] };

/**
 * A copy to change. Every claim and ack makes one, and with its members written out it costs a fraction of what spreading
 * costs; all jobs have the same members in the same order, so code that reads them stays fast, too.
 */
export function draftOf(job: Job): JobDraft {
  return {
    seq: job.seq,
    createdAtMs: job.createdAtMs,
    queue: job.queue,
    payload: job.payload,
    options: job.options,
    state: job.state,
    priority: job.priority,
    order: job.order,
    dueAtMs: job.dueAtMs,
    scheduledAtMs: job.scheduledAtMs,
    expireAtMs: job.expireAtMs,
    attempt: job.attempt,
    history: job.history,
    lostLeases: job.lostLeases,
    snoozes: job.snoozes,
    firstFailedAtMs: job.firstFailedAtMs,
    token: job.token,
    leaseMs: job.leaseMs,
    leaseExpiresAtMs: job.leaseExpiresAtMs,
    workerId: job.workerId,
    hostname: job.hostname,
    startedAtMs: job.startedAtMs,
    finishedAtMs: job.finishedAtMs,
    failedAtMs: job.failedAtMs,
    finish: job.finish,
    checkpoint: job.checkpoint,
    progress: job.progress,
    result: job.result,
    reason: job.reason,
  };
}

/** One attempt that left something to show. */
export interface Attempt {
  readonly seq: number;
  /** Position in the job's history. */
  readonly ordinal: number;
  readonly attempt: number;
  readonly outcome:
    | "completed"
    | "failed"
    | "timed_out"
    | "lease_lost"
    | "expired"
    | "cancelled"
    | "dependency_failed";
  readonly error: string | undefined;
  readonly errorClass: string | undefined;
  readonly backtrace: string | undefined;
  readonly output: string | undefined;
  readonly workerId: string | undefined;
  readonly startedAtMs: number;
  readonly endedAtMs: number;
}
