/** The engine's state in memory, with a digest of everything that was ever written to it, and the means to store it. */
import { must } from "../../src/base/assert.ts";
import { CorvoError } from "../../src/base/errors.ts";
import { newestFeatureLevel } from "../../src/engine/feature-levels.ts";
import type { Attempt, Job } from "../../src/engine/job.ts";
import { copyOf, MemoryState } from "../../src/engine/memory-state.ts";
import type { RecordKind, RecordListener, RecordTable } from "../../src/engine/records.ts";
import type { IdempotencyRecord, Member, QueueRecord, UniqueLock } from "../../src/engine/state.ts";
import { emptyConfState } from "../../src/raft/message.ts";
import type { AppliedPoint, StateStore } from "../../src/replica/ports.ts";
import { below } from "../support/seeded-random.ts";
import { digest, digestRow, isUnchanged } from "./digest.ts";
import type { Disk } from "./disk.ts";

type Write = (to: MemoryState) => void;

export class DigestState extends MemoryState {
  /** Of everything but records, in the order of writing. */
  #ordered = 0;
  /** Of records: several that are put or deleted together may come in any order. */
  #unordered = 0;
  dirtyCount = 0;
  onJob: ((previous: Job | undefined, next: Job) => void) | undefined;
  onRecordPut: RecordListener | undefined;
  /** What was written since an image of it was taken. */
  #writes: Write[] = [];
  /** Queues are changed in place. */
  readonly #touched = new Set<QueueRecord>();

  /** Two states that were written to in the same way have the same one. */
  get digest(): number {
    return (this.#ordered ^ Math.imul(this.#unordered, 0x9e37_79b1)) >>> 0;
  }

  override putJob(job: Job): void {
    this.onJob?.(this.jobs.get(job.seq), job);
    this.#ordered = digestRow(this.#ordered, job);
    this.#wrote((to) => to.putJob(job));
    super.putJob(job);
  }

  override deleteJob(seq: number): void {
    this.#mix(seq);
    this.#wrote((to) => to.deleteJob(seq));
    super.deleteJob(seq);
  }

  override putAttempt(attempt: Attempt): void {
    this.#ordered = digestRow(this.#ordered, attempt);
    this.#wrote((to) => to.putAttempt(attempt));
    super.putAttempt(attempt);
  }

  override deleteAttempt(seq: number, ordinal: number): void {
    this.#writes.push((to) => to.deleteAttempt(seq, ordinal));
    super.deleteAttempt(seq, ordinal);
  }

  override putQueue(queue: QueueRecord): void {
    this.touchQueue(queue);
    this.#writes.push((to) => to.putQueue(queue));
    super.putQueue(queue);
  }

  override touchQueue(queue: QueueRecord): void {
    this.dirtyCount++;
    this.#ordered = digestRow(this.#ordered, queue.counts);
    this.#touched.add(queue);
  }

  override deleteQueue(name: string): void {
    this.#writes.push((to) => to.deleteQueue(name));
    super.deleteQueue(name);
  }

  override putUnique(queue: string, key: string, lock: UniqueLock): void {
    this.#writes.push((to) => to.putUnique(queue, key, lock));
    super.putUnique(queue, key, lock);
  }

  override deleteUnique(queue: string, key: string): void {
    this.#writes.push((to) => to.deleteUnique(queue, key));
    super.deleteUnique(queue, key);
  }

  override putIdempotency(record: IdempotencyRecord): void {
    this.#mix(record);
    this.#writes.push((to) => to.putIdempotency(record));
    super.putIdempotency(record);
  }

  override deleteIdempotency(key: string): void {
    this.#writes.push((to) => to.deleteIdempotency(key));
    super.deleteIdempotency(key);
  }

  protected override onRecord(kind: string, key: string, value: unknown): void {
    this.onRecordPut?.(kind, key, value);
    const mark = digest(digest(digest(0, kind), key), value);
    this.#unordered = (this.#unordered + mark) >>> 0;
    this.#wrote((to) => {
      const table: RecordTable<unknown> = to.records(kind as RecordKind);
      if (value === undefined) table.delete(key);
      else table.put(key, value);
    });
  }

  /** What is to be done to the image that was taken last, to have one of the state as it is now. */
  takeWrites(): readonly Write[] {
    const writes = this.#writes;
    const meta = copyOf(this.meta);
    writes.push((to) => Object.assign(to.meta, copyOf(meta)));
    for (const queue of this.#touched) {
      if (this.getQueue(queue.name) !== queue) continue;
      const copy = copyOf(queue);
      writes.push((to) => to.putQueue(copy));
    }
    this.#touched.clear();
    this.#writes = [];
    return writes;
  }

  /** One whose options are not those that were written any more. */
  findAlteredJob(): Job | undefined {
    return this.jobs.values().find(({ options }) => !isUnchanged(options));
  }

  get digests(): Digests {
    return { ordered: this.#ordered, unordered: this.#unordered };
  }

  set digests({ ordered, unordered }: Digests) {
    this.#ordered = ordered;
    this.#unordered = unordered;
  }

  /** By value, record by record. */
  equals(other: DigestState): boolean {
    return Bun.deepEquals(everythingOf(this), everythingOf(other));
  }

  #wrote(write: Write): void {
    this.dirtyCount++;
    this.#writes.push(write);
  }

  #mix(written: unknown): void {
    this.#ordered = digest(this.#ordered, written);
  }
}

interface Digests {
  readonly ordered: number;
  readonly unordered: number;
}

/**
 * A state as it was at a moment: an earlier one and what was written since. It is put together when a process opens it,
 * which few ever are.
 */
export class StoredState {
  readonly #digests: Digests;
  #state: MemoryState | undefined;
  #previous: StoredState | undefined;
  #writes: readonly Write[] = [];

  private constructor(state: MemoryState | undefined, digests: Digests) {
    this.#state = state;
    this.#digests = digests;
  }

  static of(state: DigestState): StoredState {
    return new StoredState(new MemoryState(state), state.digests);
  }

  /** As the state is now, which was opened from this one or had an image taken after this one was. */
  next(state: DigestState): StoredState {
    const next = new StoredState(undefined, state.digests);
    next.#previous = this;
    next.#writes = state.takeWrites();
    return next;
  }

  open(): DigestState {
    const state = new DigestState(this.#whole());
    state.digests = this.#digests;
    return state;
  }

  #whole(): MemoryState {
    const line: StoredState[] = [];
    let from: StoredState = this;
    while (from.#state === undefined) {
      line.push(from);
      from = must(from.#previous, "a state that is not whole follows another one");
    }
    if (line.length === 0) return from.#state;
    const state = new MemoryState(from.#state);
    for (const { writes } of line.toReversed()) for (const write of writes) write(state);
    this.#state = state;
    this.#previous = undefined;
    this.#writes = [];
    return state;
  }

  get writes(): readonly Write[] {
    return this.#writes;
  }
}

/** Idempotency records in the order in which they are forgotten; everything else in any. */
function everythingOf(state: DigestState): unknown[] {
  const { meta, jobs, attempts, uniques } = state;
  const contents = state.contents();
  const queues = new Map([...contents.queues()].map((queue) => [queue.name, queue]));
  const records = new Map(
    [...contents.records()].map(({ kind, key, value }) => [`${kind}\n${key}`, value]),
  );
  return [meta, jobs, attempts, uniques, queues, [...contents.idempotency()], records];
}

/** As for the log, a disk that hangs does so for some seconds. */
const checkpointMsMax = 8000;

export interface StateImage {
  readonly state: StoredState;
  readonly point: AppliedPoint;
}

/** Before the first entry, for every machine of a cluster that these nodes found. */
export function emptyState(founders: readonly Member[]): StateImage {
  const state = new DigestState();
  // Every kind of change may be tried from the first entry on.
  state.meta.featureLevel = newestFeatureLevel;
  state.meta.members = founders;
  state.meta.nextMemberId = founders.length + 1;
  return { state: StoredState.of(state), point: { index: 0, conf: emptyConfState } };
}

export class SimStore implements StateStore {
  readonly state: DigestState;
  readonly #disk: Disk;
  readonly #enter: (work: () => void) => void;
  readonly #keep: (image: StateImage) => void;
  readonly #onCheckpoint: (point: AppliedPoint, digest: number) => void;
  #image: StateImage;
  /** The image that was taken last, stored or not. */
  #taken: StoredState;
  #underWay: StateImage | undefined;

  constructor(
    disk: Disk,
    image: StateImage,
    io: {
      enter: (work: () => void) => void;
      keep: (image: StateImage) => void;
      onCheckpoint: (point: AppliedPoint, digest: number) => void;
    },
  ) {
    this.#disk = disk;
    this.#image = image;
    this.#enter = io.enter;
    this.#keep = io.keep;
    this.#onCheckpoint = io.onCheckpoint;
    this.state = image.state.open();
    this.#taken = image.state;
  }

  get stored(): AppliedPoint {
    return this.#image.point;
  }

  get storedImage(): StateImage {
    return this.#image;
  }

  get dirtyCount(): number {
    return this.state.dirtyCount;
  }

  checkpoint(point: AppliedPoint): Promise<void> {
    this.#onCheckpoint(point, this.state.digest);
    this.#taken = this.#taken.next(this.state);
    const image = { state: this.#taken, point };
    const taken = this.state.dirtyCount;
    this.state.dirtyCount = 0;
    this.#underWay = image;
    const { events, random, mood } = this.#disk;
    return new Promise((resolve, reject) => {
      const delayMs = Math.min(1 + mood.latencyMs * below(random, 20), checkpointMsMax);
      events.after(delayMs, () =>
        this.#enter(() => {
          this.#underWay = undefined;
          if (mood.isFull) {
            this.state.dirtyCount += taken;
            reject(new CorvoError("READ_ONLY", "no space left"));
            return;
          }
          this.#image = image;
          this.#keep(image);
          resolve();
        }),
      );
    });
  }

  /** What a process would come up with if all were stored now. */
  reopened(): DigestState {
    this.#taken = this.#taken.next(this.state);
    return this.#taken.open();
  }

  /** The process ends: a checkpoint under way may have come through, or not. */
  crash(): void {
    if (this.#underWay !== undefined && below(this.#disk.random, 2) === 0) {
      this.#keep(this.#underWay);
    }
  }
}
