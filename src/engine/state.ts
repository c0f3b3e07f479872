/**
 * The port on which the engine keeps its records: typed tables with get, put and delete by key, all synchronous.
 * `MemoryState` is the reference; `store/sqlite-state.ts` is a write-back cache over SQLite. Which one is used, and how
 * much it caches, must not be visible in any outcome.
 */
import type { JobRef } from "./chains.ts";
import type { Retention } from "./change.ts";
import type { EventTail } from "./event-tail.ts";
import type { Attempt, Job, JobState } from "./job.ts";
import type { JobOptions } from "./options.ts";
import type { EnqueueResult } from "./outcome.ts";
import type { RecordKind, RecordTable, RecordTypes } from "./records.ts";

/** Finished jobs are kept in two classes, each with its own retention. */
export const retentionClasses = ["done", "dead"] as const;
export type RetentionClass = (typeof retentionClasses)[number];

export function retentionClassOf(state: JobState): RetentionClass {
  return state === "dead" ? "dead" : "done";
}

/** Jobs of one class that finished one after the other; removed together when the last is too old. */
export interface Bucket {
  /** Finish number of its first job; identifies it. */
  readonly first: number;
  readonly startMs: number;
  /** When its last job finished. */
  endMs: number;
  /** Jobs in it that still exist. */
  count: number;
}

/** A node of the cluster as the others reach it. */
export interface Member {
  readonly id: number;
  readonly uuid: string;
  readonly httpUrl: string;
  readonly peerAddress: string;
  readonly version: string;
  /** Stays a learner until an operator promotes it. */
  readonly standby: boolean;
}

/** Numbers and settings that belong to the whole state machine. Mutated in place by the engine only. */
export interface Meta {
  /** Next value of the counter that gives sequence numbers and places in line. */
  nextNumber: number;
  nextToken: number;
  /** Number of the next life-cycle event. */
  nextEvent: number;
  /** Time of the last applied batch. */
  nowMs: number;
  retention: Retention;
  /** Nodes of the cluster, by number. */
  members: readonly Member[];
  nextMemberId: number;
  /** Which changes the log may hold (`feature-levels.ts`). Only rises. */
  featureLevel: number;
  /** Jobs with a smaller number are not counted in the bytes of their queues; undefined while none is. */
  bytesFrom: number | undefined;
  readonly nextFinish: Record<RetentionClass, number>;
  /** Finished jobs with a smaller finish number no longer exist. */
  readonly floor: Record<RetentionClass, number>;
  readonly buckets: Record<RetentionClass, Bucket[]>;
  /** Finished jobs that exist; the sum over the buckets. */
  readonly kept: Record<RetentionClass, number>;
}

export type Counts = Record<JobState, number>;

export interface FinishedCounts {
  completed: number;
  cancelled: number;
  dead: number;
  /** Of their payloads and results; undefined when there are none. */
  bytes?: number | undefined;
}

/** A queue and its counters. Mutated in place by the engine, which then calls `touchQueue`. */
export interface QueueRecord {
  readonly name: string;
  readonly createdAtMs: number;
  paused: boolean;
  /** Unfinished jobs with a lane, which a start has to read; undefined when there are none, as before there were lanes. */
  lanedJobs: number | undefined;
  readonly counts: Counts;
  /** Of the payloads and results of its jobs; undefined when there are none. */
  bytes: number | undefined;
  /** Per class and bucket: how many finished jobs of each final state this queue has in it. */
  readonly finished: Record<RetentionClass, Map<number, FinishedCounts>>;
}

export interface UniqueLock {
  readonly seq: number;
  readonly untilMs: number;
}

export interface IdempotencyRecord {
  readonly key: string;
  readonly fingerprint: string;
  readonly expiresAtMs: number;
  readonly results: readonly EnqueueResult[];
  /** The batch that the call began. */
  readonly batch?: JobRef;
}

/** What the in-memory order is rebuilt from at start. */
export interface LiveJob {
  readonly seq: number;
  readonly queue: string;
  readonly state: JobState;
  readonly priority: number;
  readonly order: number;
  readonly dueAtMs: number;
  readonly expireAtMs: number;
  readonly token: number;
  readonly leaseExpiresAtMs: number;
  /** The defaults when they do not matter for the order. */
  readonly options: JobOptions;
}

export interface State {
  readonly meta: Meta;
  /** What happened lately. Follows from the changes, but is no part of what replicas must agree on. */
  readonly events: EventTail;

  getJob(seq: number): Job | undefined;
  /** Inserts or replaces. */
  putJob(job: Job): void;
  /** The job, which was put just now, may have a smaller number than some that were put before. */
  noteRestored(seq: number): void;
  /** Removes the job with its attempts. */
  deleteJob(seq: number): void;

  putAttempt(attempt: Attempt): void;
  deleteAttempt(seq: number, ordinal: number): void;

  getQueue(name: string): QueueRecord | undefined;
  putQueue(queue: QueueRecord): void;
  touchQueue(queue: QueueRecord): void;
  deleteQueue(name: string): void;
  queues(): Iterable<QueueRecord>;
  readonly queueCount: number;

  getUnique(queue: string, key: string): UniqueLock | undefined;
  putUnique(queue: string, key: string, lock: UniqueLock): void;
  deleteUnique(queue: string, key: string): void;

  getIdempotency(key: string): IdempotencyRecord | undefined;
  putIdempotency(record: IdempotencyRecord): void;
  deleteIdempotency(key: string): void;
  /** The record that was put first. */
  oldestIdempotency(): IdempotencyRecord | undefined;
  readonly idempotencyCount: number;

  /** The records of a kind that belong to no single job. */
  records<Kind extends RecordKind>(kind: Kind): RecordTable<RecordTypes[Kind]>;

  /** Forgets the finished jobs of a class below a finish number, with their attempts. */
  purgeFinished(kind: RetentionClass, below: number): void;

  /** Every unfinished job; pending ones in growing `order` within their queue and priority. */
  liveJobs(): Iterable<LiveJob>;
}

export function createMeta(): Meta {
  return {
    nextNumber: 1,
    nextToken: 1,
    nextEvent: 1,
    nowMs: 0,
    retention: {
      doneMs: 168 * 3_600_000,
      doneMax: 100_000_000,
      deadMs: 168 * 3_600_000,
      deadMax: 100_000_000,
    },
    members: [],
    nextMemberId: 1,
    featureLevel: 1,
    bytesFrom: undefined,
    nextFinish: { done: 1, dead: 1 },
    floor: { done: 0, dead: 0 },
    buckets: { done: [], dead: [] },
    kept: { done: 0, dead: 0 },
  };
}

export function createQueue(name: string, createdAtMs: number): QueueRecord {
  return {
    name,
    createdAtMs,
    paused: false,
    lanedJobs: undefined,
    bytes: undefined,
    counts: {
      pending: 0,
      scheduled: 0,
      active: 0,
      retrying: 0,
      completed: 0,
      dead: 0,
      cancelled: 0,
      held: 0,
    },
    finished: { done: new Map(), dead: new Map() },
  };
}
