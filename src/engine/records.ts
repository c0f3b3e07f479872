/**
 * Tables of records that belong to no single job: what jobs wait for, batches, limits, schedules. One table per kind,
 * values found by key, all of them in memory. A kind is one line of `RecordTypes`; storage, snapshots and hash follow.
 *
 * Values are never changed in place: a changed record is put again, which is how the state knows what to store. The
 * order of `entries` differs between replicas, so no outcome may depend on it. Whoever puts records bounds their number.
 */

import type { Work } from "./aftermath.ts";
import type { JobBatch } from "./batches.ts";
import type { Bulk, BulkIds } from "./bulk.ts";
import type { Chain } from "./chains.ts";
import type { Awaited, Blocked, Watchers } from "./dependencies.ts";
import type { IncomingSettings } from "./incoming.ts";
import type { FollowUp, KeyHold } from "./key-holds.ts";
import type { LimitSetting, LimitState } from "./limits/setting.ts";
import type { Turn } from "./limits/turns.ts";
import type { Mail } from "./mail.ts";
import type { Delivery } from "./outbox/delivery.ts";
import type { DeliveryStats, Webhook } from "./outbox/webhook.ts";
import type { PostMark } from "./post.ts";
import type { QueueSettings } from "./queue-settings.ts";
import type { Redrive } from "./redrive.ts";
import type { RestoredNote } from "./restore.ts";
import type { ScheduleRecord, ScheduleRun } from "./schedule.ts";
import type { Subscription } from "./subscriptions.ts";
import type { Followers, Tie } from "./ties.ts";
import type { FinishedBlobs, KeptBlob } from "./values.ts";
import type { WorkerOrder } from "./worker-orders.ts";

/** What a table of each kind holds. The names are on disk. */
export interface RecordTypes {
  keyHolds: KeyHold;
  followUps: FollowUp;
  /** Work that a change gave rise to and no batch has done yet; keys are in the order of coming. */
  aftermath: Work;
  /** By the number of a job that waits for others. */
  blocked: Blocked;
  /** By the number of a finished job that others wait for still. */
  awaited: Awaited;
  /** By the number of the chain's first job. */
  chain: Chain;
  /** By a number of its own, which no job has. */
  batch: JobBatch;
  /** By the number of an unfinished job that belongs to a batch or is cancelled with its parent. */
  tie: Tie;
  schedule: ScheduleRecord;
  /** By the name of the queue. */
  redrive: Redrive;
  /** By the id of the action. */
  bulk: Bulk;
  /** By the number of the action and that of the chunk. */
  bulkIds: BulkIds;
  restored: RestoredNote;
  /** By the name of the queue. */
  queueSettings: QueueSettings;
  /** Key: number of the schedule and place in its history. */
  scheduleRun: ScheduleRun;
  /** By hash. */
  blobs: KeptBlob;
  /** By class and finish number of a job with blobs. */
  finishedBlobs: FinishedBlobs;
  limits: LimitSetting;
  limitStates: LimitState;
  turns: Turn;
  /** Messages to other shards; key: shard and number. */
  mail: Mail;
  /** By the number of the other shard. */
  mailMarks: PostMark;
  /** By the number of a job that other shards wait for. */
  watchers: Watchers;
  /** By the number of a job or batch with which jobs of other shards are cancelled. */
  followers: Followers;
  /** By the number of a job that waits to be counted in a batch of another shard: the id of the batch. */
  joining: string;
  /** How many shards have not said yet what holds; none when all have. */
  reunion: number;
  webhook: Webhook;
  /** By the id of the webhook, or `callbacksId`. */
  deliveryStats: DeliveryStats;
  /** By a number of its own. */
  delivery: Delivery;
  /** By the name of the queue. */
  incoming: IncomingSettings;
  subscription: Subscription;
  /** By worker id. */
  workerOrder: WorkerOrder;
}

export type RecordKind = keyof RecordTypes & string;

export interface RecordTable<Value> {
  readonly size: number;
  get(key: string): Value | undefined;
  has(key: string): boolean;
  /** Inserts or replaces. */
  put(key: string, value: Value): void;
  delete(key: string): void;
  entries(): Iterable<readonly [string, Value]>;
}

/** One record of any kind, as it is stored and hashed. */
export interface AnyRecord {
  readonly kind: string;
  readonly key: string;
  readonly value: unknown;
}

/** Called for each change, with undefined when the record was deleted. */
export type RecordListener = (kind: string, key: string, value: unknown) => void;

export class Records {
  readonly #tables = new Map<string, MemoryTable>();
  readonly #onChange: RecordListener;

  constructor(onChange: RecordListener = () => {}) {
    this.#onChange = onChange;
  }

  table<Kind extends RecordKind>(kind: Kind): RecordTable<RecordTypes[Kind]> {
    // The one place where the kind decides the type of the values.
    return this.#open(kind) as unknown as RecordTable<RecordTypes[Kind]>;
  }

  /** Takes in a stored record without reporting a change. */
  load(record: AnyRecord): void {
    this.#open(record.kind).values.set(record.key, record.value);
  }

  *all(): Iterable<AnyRecord> {
    for (const [kind, { values }] of this.#tables) {
      for (const [key, value] of values) yield { kind, key, value };
    }
  }

  #open(kind: string): MemoryTable {
    let table = this.#tables.get(kind);
    if (table === undefined) {
      table = new MemoryTable(kind, this.#onChange);
      this.#tables.set(kind, table);
    }
    return table;
  }
}

class MemoryTable implements RecordTable<unknown> {
  readonly values = new Map<string, unknown>();
  readonly #kind: string;
  readonly #onChange: RecordListener;

  constructor(kind: string, onChange: RecordListener) {
    this.#kind = kind;
    this.#onChange = onChange;
  }

  get size(): number {
    return this.values.size;
  }

  get(key: string): unknown {
    return this.values.get(key);
  }

  has(key: string): boolean {
    return this.values.has(key);
  }

  put(key: string, value: unknown): void {
    this.values.set(key, value);
    this.#onChange(this.#kind, key, value);
  }

  delete(key: string): void {
    if (this.values.delete(key)) this.#onChange(this.#kind, key, undefined);
  }

  entries(): Iterable<readonly [string, unknown]> {
    return this.values.entries();
  }
}
