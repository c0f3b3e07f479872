/** The reference implementation of `State`: plain memory, nothing clever. Every other one is compared with it. */
import { assert } from "../base/assert.ts";
import { EventTail } from "./event-tail.ts";
import { type Attempt, isFinished, type Job } from "./job.ts";
import { type RecordKind, Records, type RecordTable, type RecordTypes } from "./records.ts";
import {
  createMeta,
  type IdempotencyRecord,
  type LiveJob,
  type Meta,
  type QueueRecord,
  type RetentionClass,
  retentionClassOf,
  type State,
  type UniqueLock,
} from "./state.ts";
import type { StateContents } from "./state-hash.ts";

export class MemoryState implements State {
  readonly meta: Meta;
  readonly events: EventTail;
  readonly jobs: Map<number, Job>;
  /** Per job, by ordinal. */
  readonly attempts: Map<number, ReadonlyMap<number, Attempt>>;
  readonly #queues: Map<string, QueueRecord>;
  readonly uniques: Map<string, UniqueLock>;
  readonly #idempotency: Map<string, IdempotencyRecord>;
  readonly #records = new Records((kind, key, value) => this.onRecord(kind, key, value));

  /** Empty, or a copy. The engine changes numbers and queues in place and replaces all other records, so those are shared. */
  constructor(from?: MemoryState) {
    this.meta = from === undefined ? createMeta() : copyOf(from.meta);
    this.events = new EventTail(this.meta.nextEvent, false);
    this.jobs = new Map(from?.jobs);
    this.attempts = new Map(from?.attempts);
    this.#queues = from === undefined ? new Map() : copyOf(from.#queues);
    this.uniques = new Map(from?.uniques);
    this.#idempotency = from === undefined ? new Map() : new Map(from.#idempotency);
    for (const record of from?.contents().records() ?? []) this.#records.load(record);
  }

  getJob(seq: number): Job | undefined {
    return this.jobs.get(seq);
  }

  noteRestored(): void {}

  putJob(job: Job): void {
    this.jobs.set(job.seq, job);
  }

  deleteJob(seq: number): void {
    this.jobs.delete(seq);
    this.attempts.delete(seq);
  }

  putAttempt(attempt: Attempt): void {
    const ofJob = new Map(this.attempts.get(attempt.seq)).set(attempt.ordinal, attempt);
    this.attempts.set(attempt.seq, ofJob);
  }

  deleteAttempt(seq: number, ordinal: number): void {
    const ofJob = new Map(this.attempts.get(seq));
    if (ofJob.delete(ordinal)) this.attempts.set(seq, ofJob);
  }

  getQueue(name: string): QueueRecord | undefined {
    return this.#queues.get(name);
  }

  putQueue(queue: QueueRecord): void {
    this.#queues.set(queue.name, queue);
  }

  touchQueue(_queue: QueueRecord): void {}

  deleteQueue(name: string): void {
    this.#queues.delete(name);
  }

  queues(): Iterable<QueueRecord> {
    return this.#queues.values();
  }

  get queueCount(): number {
    return this.#queues.size;
  }

  getUnique(queue: string, key: string): UniqueLock | undefined {
    return this.uniques.get(uniqueName(queue, key));
  }

  putUnique(queue: string, key: string, lock: UniqueLock): void {
    this.uniques.set(uniqueName(queue, key), lock);
  }

  deleteUnique(queue: string, key: string): void {
    this.uniques.delete(uniqueName(queue, key));
  }

  getIdempotency(key: string): IdempotencyRecord | undefined {
    return this.#idempotency.get(key);
  }

  putIdempotency(record: IdempotencyRecord): void {
    this.#idempotency.set(record.key, record);
  }

  deleteIdempotency(key: string): void {
    this.#idempotency.delete(key);
  }

  oldestIdempotency(): IdempotencyRecord | undefined {
    return this.#idempotency.values().next().value;
  }

  get idempotencyCount(): number {
    return this.#idempotency.size;
  }

  records<Kind extends RecordKind>(kind: Kind): RecordTable<RecordTypes[Kind]> {
    return this.#records.table(kind);
  }

  /** Hears of every changed record; for those who derive from this class. */
  protected onRecord(_kind: string, _key: string, _value: unknown): void {}

  contents(): StateContents {
    return {
      meta: this.meta,
      jobs: () => this.jobs.values(),
      attempts: () => [...this.attempts.values()].flatMap((ofJob) => [...ofJob.values()]),
      queues: () => this.#queues.values(),
      uniques: () => [...this.uniques].map(([name, lock]) => ({ ...splitUnique(name), lock })),
      idempotency: () => this.#idempotency.values(),
      records: () => this.#records.all(),
    };
  }

  purgeFinished(kind: RetentionClass, below: number): void {
    for (const job of this.jobs.values()) {
      if (!isFinished(job.state) || retentionClassOf(job.state) !== kind) continue;
      if (job.finish < below) this.deleteJob(job.seq);
    }
  }

  liveJobs(): Iterable<LiveJob> {
    return [...this.jobs.values()]
      .filter((job) => !isFinished(job.state))
      .sort((one, other) => one.order - other.order);
  }
}

/** The reverse of `uniqueName`. */
export function splitUnique(name: string): { queue: string; key: string } {
  const at = name.indexOf("\n");
  assert(at > 0, "a unique lock's name holds its queue");
  return { queue: name.slice(0, at), key: name.slice(at + 1) };
}

/** Queue names contain no line break, so the pair cannot be ambiguous. */
export function uniqueName(queue: string, key: string): string {
  return `${queue}\n${key}`;
}

/** Of plain members, lists and maps, which is all that records are made of; `structuredClone` goes through bytes. */
export function copyOf<Value>(value: Value): Value {
  const copied = (part: unknown): unknown => {
    if (typeof part !== "object" || part === null) return part;
    if (Array.isArray(part)) return part.map(copied);
    if (part instanceof Map) return new Map([...part].map(([key, item]) => [key, copied(item)]));
    const copy: Record<string, unknown> = {};
    for (const name in part) copy[name] = copied((part as Record<string, unknown>)[name]);
    return copy;
  };
  return copied(value) as Value;
}
