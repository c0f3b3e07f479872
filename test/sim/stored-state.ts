/** The engine's state in memory, with a digest of everything that was ever written to it, and the means to store it. */
import { CorvoError } from "../../src/base/errors.ts";
import { newestFeatureLevel } from "../../src/engine/feature-levels.ts";
import type { Attempt, Job } from "../../src/engine/job.ts";
import { MemoryState } from "../../src/engine/memory-state.ts";
import type { RecordListener } from "../../src/engine/records.ts";
import type { IdempotencyRecord, Member, QueueRecord } from "../../src/engine/state.ts";
import { emptyConfState } from "../../src/raft/message.ts";
import type { AppliedPoint, StateStore } from "../../src/replica/ports.ts";
import { below } from "../support/seeded-random.ts";
import type { Disk } from "./disk.ts";

export class DigestState extends MemoryState {
  /** Of everything but records, in the order of writing. */
  #ordered = 0;
  /** Of records: several that are put or deleted together may come in any order. */
  #unordered = 0;
  dirtyCount = 0;
  onJob: ((previous: Job | undefined, next: Job) => void) | undefined;
  onRecordPut: RecordListener | undefined;

  /** Two states that were written to in the same way have the same one. */
  get digest(): number {
    return (this.#ordered ^ Math.imul(this.#unordered, 0x9e37_79b1)) >>> 0;
  }

  override putJob(job: Job): void {
    this.onJob?.(this.jobs.get(job.seq), job);
    this.#note(job);
    super.putJob(job);
  }

  override deleteJob(seq: number): void {
    this.#note(seq);
    super.deleteJob(seq);
  }

  override putAttempt(attempt: Attempt): void {
    this.#note(attempt);
    super.putAttempt(attempt);
  }

  override putQueue(queue: QueueRecord): void {
    this.#note(queue.counts);
    super.putQueue(queue);
  }

  override touchQueue(queue?: QueueRecord): void {
    this.#note(queue?.counts);
  }

  override putIdempotency(record: IdempotencyRecord): void {
    this.#mix(record);
    super.putIdempotency(record);
  }

  protected override onRecord(kind: string, key: string, value: unknown): void {
    this.onRecordPut?.(kind, key, value);
    this.dirtyCount++;
    const mark = Bun.hash.xxHash32(JSON.stringify([kind, key, value]));
    this.#unordered = (this.#unordered + mark) >>> 0;
  }

  copy(): DigestState {
    const copy = new DigestState(this);
    copy.#ordered = this.#ordered;
    copy.#unordered = this.#unordered;
    return copy;
  }

  /** By value, record by record. */
  equals(other: DigestState): boolean {
    return Bun.deepEquals(everythingOf(this), everythingOf(other));
  }

  #note(written: unknown): void {
    this.dirtyCount++;
    this.#mix(written);
  }

  #mix(written: unknown): void {
    this.#ordered = Bun.hash.xxHash32(JSON.stringify(written) ?? "", this.#ordered);
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
  readonly state: DigestState;
  readonly point: AppliedPoint;
}

/** Before the first entry, for every machine of a cluster that these nodes found. */
export function emptyState(founders: readonly Member[]): StateImage {
  const state = new DigestState();
  // Every kind of change may be tried from the first entry on.
  state.meta.featureLevel = newestFeatureLevel;
  state.meta.members = founders;
  state.meta.nextMemberId = founders.length + 1;
  return { state, point: { index: 0, conf: emptyConfState } };
}

export class SimStore implements StateStore {
  readonly state: DigestState;
  readonly #disk: Disk;
  readonly #enter: (work: () => void) => void;
  readonly #keep: (image: StateImage) => void;
  #image: StateImage;
  #underWay: StateImage | undefined;

  constructor(
    disk: Disk,
    image: StateImage,
    io: { enter: (work: () => void) => void; keep: (image: StateImage) => void },
  ) {
    this.#disk = disk;
    this.#image = image;
    this.#enter = io.enter;
    this.#keep = io.keep;
    this.state = image.state.copy();
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
    const image = { state: this.state.copy(), point };
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

  /** The process ends: a checkpoint under way may have come through, or not. */
  crash(): void {
    if (this.#underWay !== undefined && below(this.#disk.random, 2) === 0) {
      this.#keep(this.#underWay);
    }
  }
}
