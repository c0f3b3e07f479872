/**
 * What the log holds. A batch is one log entry: the time and the random seed that the proposer stamped, and the changes
 * that become durable together. `apply` reads nothing else, so every replica computes the same.
 *
 * The encoding is JSON text under the feature level that it needs: measured, the runtime's own JSON is faster than any encoding written
 * in the language itself, and an entry can be read with any tool.
 */
import { assert } from "../base/assert.ts";
import { EntryTooNew, newestFeatureLevel, versionOfLevel } from "./feature-levels.ts";
import type { LimitTarget, LimitValues } from "./limits/setting.ts";
import type { MailChange } from "./mail.ts";
import type { JobOptions } from "./options.ts";
import type { OutboxChange } from "./outbox/changes.ts";
import type { JobFilter } from "./query.ts";
import type { DrainQueue, SetQueueBytes } from "./queue-settings.ts";
import type { RestoreJobs } from "./restored-job.ts";
import type { ScheduleSpec } from "./schedule.ts";
import type { TrimQueue } from "./trim.ts";
import type { Order } from "./worker-orders.ts";

export interface NewJob {
  readonly queue: string;
  readonly payload: string;
  readonly priority?: number;
  readonly delayMs?: number;
  readonly scheduledAtMs?: number;
  readonly expireMs?: number;
  readonly deadlineMs?: number;
  readonly checkpoint?: string;
  readonly options?: Partial<JobOptions>;
}

/** A batch to begin with the jobs of a call. Sealed with them, unless it is open for so long. */
export interface NewBatch {
  readonly openMs?: number;
  readonly name?: string;
  /** Run once when all jobs have ended: if all are completed, if some are not, and in any case. */
  readonly onSuccess?: NewJob;
  readonly onFailure?: NewJob;
  readonly onComplete?: NewJob;
  /** Shard that ids in payloads name. */
  readonly shard: number;
  /** So many other shards add jobs of the same call; the batch is sealed when all have. */
  readonly parts?: number;
}

export interface EnqueueJobs {
  readonly kind: "enqueue";
  readonly jobs: readonly NewJob[];
  /** The batch that these jobs are, or begin. */
  readonly batch?: NewBatch;
  /** Shard that ids of these jobs name; 0 when absent. */
  readonly shard?: number;
  /** Some of these jobs, or what follows from them, have to do with another shard. */
  readonly across?: true;
  /** The batch of another shard that the call began, of which these jobs are a part. */
  readonly partOf?: string;
  /** The same key with the same fingerprint of the call gives the first answer again. */
  readonly idempotency?: { readonly key: string; readonly fingerprint: string };
}

export interface ClaimJobs {
  readonly kind: "claim";
  readonly queues: readonly string[];
  readonly count: number;
  readonly leaseMs: number;
  readonly workerId?: string;
  readonly hostname?: string;
  /** What the worker has of what jobs may require. */
  readonly labels?: readonly string[];
}

/** A job and, when the worker has one, the token of its lease. */
interface Leased {
  readonly seq: number;
  readonly token?: number;
}

export interface AckItem extends Leased {
  /** Ends the chain that the job is a step of, for this reason. */
  readonly exit?: string;
  readonly result?: string;
  readonly checkpoint?: string;
  readonly output?: string;
}
export interface AckJobs {
  readonly kind: "ack";
  readonly items: readonly AckItem[];
}

/** What a worker stops for others too, because what it needs told it to come back later. */
export interface RaisedPause {
  readonly scope: "queue" | "key" | "resource";
  /** Of a resource. */
  readonly name?: string;
  readonly pauseMs: number;
}

export interface FailItem extends Leased {
  readonly pause?: RaisedPause;
  /** The attempt is not spent, and the job is ready again as soon as the pause is over. */
  readonly keepAttempt?: true;
  readonly error: string;
  readonly backtrace?: string;
  readonly retryable?: boolean;
  /** How long until the next attempt, instead of the backoff. */
  readonly delayMs?: number;
  readonly errorClass?: string;
  readonly output?: string;
}
export interface FailJobs {
  readonly kind: "fail";
  readonly items: readonly FailItem[];
}

export interface ReleaseItem extends Leased {
  readonly delayMs?: number;
  readonly pause?: RaisedPause;
}
export interface ReleaseJobs {
  readonly kind: "release";
  readonly items: readonly ReleaseItem[];
}

/** Not now: the attempt is not spent, and the job comes again after the delay. */
export interface SnoozeItem extends Leased {
  readonly delayMs: number;
  readonly checkpoint?: string;
}
export interface SnoozeJobs {
  readonly kind: "snooze";
  readonly items: readonly SnoozeItem[];
}

export interface HeartbeatItem extends Leased {
  readonly leaseMs?: number;
  readonly progress?: string;
  readonly checkpoint?: string;
}
export interface HeartbeatJobs {
  readonly kind: "heartbeat";
  readonly items: readonly HeartbeatItem[];
}

export type ManageAction =
  | "retry"
  | "requeue"
  | "cancel"
  | "delete"
  | "move"
  | "hold"
  | "approve"
  | "reject"
  | "changePriority";

/** An operator's action on jobs by id. */
export interface ManageJobs {
  readonly kind: "manage";
  readonly action: ManageAction;
  readonly seqs: readonly number[];
  readonly queue?: string;
  readonly priority?: number;
  readonly reason?: string;
}

export interface PauseQueue {
  readonly kind: "pauseQueue";
  readonly queue: string;
  readonly paused: boolean;
}

/** Options of jobs of a queue that do not give them; none removes them. */
export interface SetQueueDefaults {
  readonly kind: "setQueueDefaults";
  /** They have to do with another shard. */
  readonly across?: true;
  readonly queue: string;
  readonly defaults?: Partial<JobOptions>;
  /** The same in the words of the call. */
  readonly written?: string;
}

/** Begins to run dead jobs of a queue again. `total` is how many the proposer found. */
export interface StartRedrive {
  readonly kind: "startRedrive";
  readonly queue: string;
  readonly filter: JobFilter;
  readonly toQueue?: string;
  readonly perSecond?: number;
  readonly total: number;
  readonly totalExact: boolean;
}

/** The next of them, found by the leader: those after `afterSeq`. */
export interface StepRedrive {
  readonly kind: "stepRedrive";
  readonly queue: string;
  readonly id: number;
  readonly afterSeq: number;
  readonly seqs: readonly number[];
  /** None comes after these. */
  readonly isLast: boolean;
}

export interface CancelRedrive {
  readonly kind: "cancelRedrive";
  readonly queue: string;
}

/** Begins an action on the jobs of these numbers, or on those of a filter. `total` is how many the proposer found. */
export interface StartBulk {
  readonly kind: "startBulk";
  readonly id: string;
  readonly action: ManageAction;
  readonly queue?: string;
  readonly priority?: number;
  readonly reason?: string;
  readonly filter?: JobFilter;
  readonly seqs?: readonly number[];
  readonly total: number;
  readonly totalExact: boolean;
}

/** The next of them, found by the leader: those after `afterSeq`. */
export interface StepBulk {
  readonly kind: "stepBulk";
  readonly id: string;
  readonly number: number;
  readonly afterSeq: number;
  readonly seqs: readonly number[];
  /** None comes after these. */
  readonly isLast: boolean;
}

/** Cancels it, or gives it up for a reason. */
export interface EndBulk {
  readonly kind: "endBulk";
  readonly id: string;
  readonly number?: number;
  readonly error?: string;
}

/** Deletes up to `limit` waiting jobs of a queue; repeated until none is left. */
export interface ClearQueue {
  readonly kind: "clearQueue";
  readonly queue: string;
  readonly limit: number;
}

/** Removes the queue's record; refused while it has jobs. */
export interface DeleteQueue {
  readonly kind: "deleteQueue";
  readonly queue: string;
}

/** Sets a limit in place of the one that the target had. With `only`, no more than that member of it. */
export interface SetLimit {
  readonly kind: "setLimit";
  readonly target: LimitTarget;
  readonly values: LimitValues;
  readonly only?: "concurrency" | "rate";
}

export interface RemoveLimit {
  readonly kind: "removeLimit";
  readonly target: LimitTarget;
}

/** Stops what has to do with a target for a time; 0 lets it go on. */
export interface PauseLimit {
  readonly kind: "pauseLimit";
  readonly target: LimitTarget;
  readonly pauseMs: number;
}

/** Carries out what time alone causes, at most `limit` steps: due jobs, ended leases, ended lives, retention. */
export interface AdvanceTime {
  readonly kind: "advanceTime";
  readonly limit: number;
}

export interface Retention {
  /** How long completed and cancelled jobs are kept, and how many. */
  readonly doneMs: number;
  readonly doneMax: number;
  /** The same for dead jobs. */
  readonly deadMs: number;
  readonly deadMax: number;
}

/** Settings that every replica must share. */
export interface Configure {
  readonly kind: "configure";
  readonly retention: Retention;
}

/** A node of the cluster, known to all: the same uuid keeps its number, a new one gets the next. */
export interface AdmitMember {
  readonly kind: "admitMember";
  readonly uuid: string;
  readonly httpUrl: string;
  readonly peerAddress: string;
  readonly version: string;
}

/** Forgets a node that is no longer part of consensus. Its number is never given again. */
export interface ForgetMember {
  readonly kind: "forgetMember";
  readonly id: number;
}

/** A standby is a learner that is not promoted by itself. */
/** What an operator asks of a worker; without an order it may take jobs again. */
export interface OrderWorker {
  readonly kind: "orderWorker";
  readonly workerId: string;
  readonly order?: Order;
}

export interface SetStandby {
  readonly kind: "setStandby";
  readonly id: number;
  readonly standby: boolean;
}

export interface SetSchedule {
  readonly kind: "setSchedule";
  readonly name: string;
  /** Its jobs have to do with another shard. */
  readonly across?: true;
  readonly spec: ScheduleSpec;
}

export interface DeleteSchedule {
  readonly kind: "deleteSchedule";
  readonly name: string;
}

export interface PauseSchedule {
  readonly kind: "pauseSchedule";
  readonly name: string;
  readonly paused: boolean;
}

/** Adds a job of the schedule now. */
export interface RunSchedule {
  readonly kind: "runSchedule";
  readonly name: string;
}

/** Due times that the leader computed for a schedule of this version, all those after `afterMs` up to the last. */
export interface PlanSchedule {
  readonly kind: "planSchedule";
  readonly name: string;
  readonly version: number;
  readonly afterMs: number;
  readonly dueMs: readonly number[];
  /** None comes after them. */
  readonly ends: boolean;
  /** Due times before the first one that passed too long ago to be fired, and the last of them. */
  readonly missed: number;
  readonly missedToMs: number;
}

/** No further jobs may join the batch. */
export interface SealBatch {
  readonly kind: "sealBatch";
  readonly batch: number;
}

/** Cancels the unfinished jobs of a batch, and seals it. */
export interface CancelBatch {
  readonly kind: "cancelBatch";
  readonly batch: number;
  readonly reason?: string;
}

/** From here on the log may hold changes of this level (`feature-levels.ts`). */
export interface RaiseFeatureLevel {
  readonly kind: "raiseFeatureLevel";
  readonly level: number;
}

export type Change =
  | EnqueueJobs
  | ClaimJobs
  | AckJobs
  | FailJobs
  | ReleaseJobs
  | SnoozeJobs
  | HeartbeatJobs
  | ManageJobs
  | PauseQueue
  | DrainQueue
  | StartRedrive
  | StepRedrive
  | CancelRedrive
  | StartBulk
  | StepBulk
  | EndBulk
  | RestoreJobs
  | SetQueueDefaults
  | SetQueueBytes
  | TrimQueue
  | ClearQueue
  | DeleteQueue
  | SetLimit
  | RemoveLimit
  | PauseLimit
  | AdvanceTime
  | Configure
  | AdmitMember
  | ForgetMember
  | SetStandby
  | OrderWorker
  | SetSchedule
  | DeleteSchedule
  | PauseSchedule
  | RunSchedule
  | PlanSchedule
  | SealBatch
  | CancelBatch
  | OutboxChange
  | MailChange
  | RaiseFeatureLevel;

export interface Batch {
  /** Stamped by the proposer; never smaller than that of the batch before. */
  readonly nowMs: number;
  /** 32 random bits for jitter. */
  readonly seed: number;
  readonly changes: readonly Change[];
}

/**
 * The first line says which feature level a reader needs and, above level 1, which version knows it. A program of level 1
 * takes it for the version of the encoding and ends at any other than `1`.
 */
export function encodeBatch(batch: Batch, level: number): string {
  const head = level === 1 ? "1" : `${level} ${versionOfLevel(level)}`;
  return `${head}\n${JSON.stringify(batch)}`;
}

export function decodeBatch(text: string): Batch {
  const newline = text.indexOf("\n");
  const [level = "", version] = text.slice(0, newline).split(" ", 2);
  assert(/^[1-9]\d{0,5}$/.test(level), `log entry that begins with "${text.slice(0, 8)}"`);
  if (Number(level) > newestFeatureLevel) {
    throw new EntryTooNew(Number(level), version ?? "a later version");
  }
  return JSON.parse(text.slice(newline + 1)) as Batch;
}
