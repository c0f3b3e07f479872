/**
 * A disk with a log on it. What a work changes shows on the image when it is durable, after some time and together with
 * the works that came meanwhile. A crash keeps any number of the first works that were under way. A full disk refuses
 * all that is under way and keeps nothing of it; a broken one ends the handle and keeps any first part.
 */
import { assert } from "../../src/base/assert.ts";
import type {
  AppendWork,
  HardState,
  Log,
  LogBounds,
  LogEntry,
  LogFault,
  LogSize,
} from "../../src/base/log.ts";
import { below, type SeededRandom } from "../support/seeded-random.ts";
import type { EventQueue } from "./virtual-time.ts";

/** The durable part of a log. */
export interface LogImage {
  previousIndex: number;
  previousTerm: number;
  entries: LogEntry[];
  hardState: HardState;
  /** What the superblock says of the end of the log. */
  sealedLast: number;
}

export function emptyLog(): LogImage {
  return {
    previousIndex: 0,
    previousTerm: 0,
    entries: [],
    hardState: { term: 0, vote: "0", commit: 0 },
    sealedLast: 0,
  };
}

/** Checksums as they were when the entries were written. */
const checksums = new WeakMap<LogEntry, number>();

function checksumOf({ index, term, data }: LogEntry): number {
  return Bun.hash.xxHash32(data, Bun.hash.xxHash32(`${index} ${term}`));
}

/** What the program finds when it opens such a log, and refuses to start on. */
export function findDamage(image: LogImage): string | undefined {
  const last = lastOf(image);
  if (last < image.sealedLast) return `it ends at ${last}, ${image.sealedLast} was durable`;
  const bad = image.entries.find((entry) => checksums.get(entry) !== checksumOf(entry));
  return bad === undefined ? undefined : `entry ${bad.index} has another checksum`;
}

/** Flips a bit of an entry, or tears off the end of the log. False when there is nothing to damage. */
export function damageLog(image: LogImage, random: SeededRandom): boolean {
  const { entries } = image;
  const at = below(random, Math.max(1, entries.length));
  const entry = entries[at];
  if (entry === undefined) return false;
  const bits = entry.data.length * 8;
  if (below(random, 2) === 0 || bits === 0) {
    image.entries = entries.slice(0, at);
    return true;
  }
  const data = entry.data.slice();
  const bit = below(random, bits);
  data[bit >> 3] = (data[bit >> 3] ?? 0) ^ (1 << (bit & 7));
  const flipped = { ...entry, data };
  checksums.set(flipped, checksums.get(entry) ?? 0);
  image.entries = entries.with(at, flipped);
  return true;
}

/** How a machine's disk behaves at the moment; changed by faults. */
export interface DiskMood {
  latencyMs: number;
  isFull: boolean;
  /** The next write fails for good. */
  breaksNext: boolean;
  /** Bytes of works that may wait. */
  pendingBytesMax: number;
}

export interface Disk {
  readonly events: EventQueue;
  readonly random: SeededRandom;
  readonly mood: DiskMood;
}

interface Pending {
  readonly work: AppendWork;
  readonly bytes: number;
  readonly done: (fault: LogFault | undefined) => void;
}

export class SimLog implements Log {
  readonly #disk: Disk;
  readonly #image: LogImage;
  readonly #enter: (work: () => void) => void;
  #inFlight: readonly Pending[] = [];
  #queue: Pending[] = [];
  #pendingBytes = 0;
  #plannedLast: number;
  /** Entries after this one will be cut and are not shown. */
  #shownLast = Number.POSITIVE_INFINITY;
  #hard: HardState;
  #bounds: LogBounds | undefined;
  #refusal: LogFault | undefined;
  readOnly = false;
  /** Nothing before this index was written since the checks last asked. */
  #changedFrom = 0;

  constructor(disk: Disk, image: LogImage, enter: (work: () => void) => void) {
    this.#disk = disk;
    this.#image = image;
    this.#enter = enter;
    this.#plannedLast = lastOf(image);
    this.#hard = image.hardState;
  }

  append(work: AppendWork, done: (fault: LogFault | undefined) => void): void {
    const bytes = work.entries.reduce((sum, entry) => sum + entry.data.length + 32, 64);
    const { pendingBytesMax } = this.#disk.mood;
    const isTooMuch = this.#pendingBytes > 0 && this.#pendingBytes + bytes > pendingBytesMax;
    const overload: LogFault = {
      kind: "overloaded",
      message: `pendingBytesMax is ${pendingBytesMax}`,
    };
    const refusal = this.#refusal ?? (isTooMuch ? overload : undefined);
    if (refusal !== undefined) {
      done(refusal);
      return;
    }
    this.#plan(work);
    this.#pendingBytes += bytes;
    const hardState = work.hardState ?? this.#hard;
    this.#hard = hardState;
    this.#queue.push({ work: { ...work, hardState }, bytes, done });
    if (this.#inFlight.length === 0) this.#flush();
  }

  read(_group: number, from: number, bytesMax: number): LogEntry[] {
    const { first, last } = this.bounds();
    const found: LogEntry[] = [];
    let bytes = 0;
    for (let index = Math.max(from, first); index <= last; index++) {
      const entry = this.#image.entries[index - first] as LogEntry;
      bytes += entry.data.length;
      if (found.length > 0 && bytes > bytesMax) break;
      found.push(entry);
    }
    return found;
  }

  /** Asked several times for each message, so one object stands for as long as it is right. */
  bounds(): LogBounds {
    const { previousIndex, previousTerm, entries, hardState } = this.#image;
    const first = previousIndex + 1;
    const last = Math.min(this.#shownLast, previousIndex + entries.length);
    const lastTerm = entries[last - first]?.term ?? previousTerm;
    const known = this.#bounds;
    const isEnd = known?.last === last && known.lastTerm === lastTerm;
    const isStart = known?.first === first && known.previousTerm === previousTerm;
    if (isEnd && isStart && known.hardState === hardState) return known;
    this.#bounds = { first, last, previousTerm, lastTerm, hardState };
    return this.#bounds;
  }

  compact(_group: number, throughIndex: number): void {
    const { first, last } = this.bounds();
    assert(throughIndex <= last, `compaction through ${throughIndex} of a log to ${last}`);
    if (throughIndex < first) return;
    const image = this.#image;
    const gone = image.entries.splice(0, throughIndex - image.previousIndex);
    image.previousIndex = throughIndex;
    image.previousTerm = gone.at(-1)?.term ?? image.previousTerm;
  }

  /** The lowest index that was written since the last call. */
  takeChangedFrom(): number {
    const from = this.#changedFrom;
    this.#changedFrom = Number.POSITIVE_INFINITY;
    return from;
  }

  size(): LogSize {
    return { bytes: 0, freeBytes: 0, walBytes: 0, pendingBytes: this.#pendingBytes };
  }

  async close(): Promise<void> {
    this.#refusal ??= { kind: "closed", message: "the log is closed" };
  }

  /** The process ends here and now. */
  crash(): void {
    this.#refusal = { kind: "closed", message: "the process is gone" };
    this.#keepSome([...this.#inFlight, ...this.#queue]);
  }

  #keepSome(works: readonly Pending[]): void {
    const kept = below(this.#disk.random, works.length + 1);
    for (const { work } of works.slice(0, kept)) writeWork(this.#image, work);
  }

  #plan(work: AppendWork): void {
    if (work.resetTo !== undefined) this.#plannedLast = work.resetTo.index;
    if (work.truncateFrom !== undefined && work.truncateFrom <= this.#plannedLast) {
      assert(work.truncateFrom > this.#image.previousIndex, "nothing compacted is cut");
      this.#plannedLast = work.truncateFrom - 1;
      this.#shownLast = Math.min(this.#shownLast, this.#plannedLast);
    }
    for (const { index } of work.entries) {
      assert(index === this.#plannedLast + 1, `entry ${index} after ${this.#plannedLast}`);
      this.#plannedLast = index;
    }
  }

  #flush(): void {
    if (this.#queue.length === 0) return;
    this.#inFlight = this.#queue;
    this.#queue = [];
    const { latencyMs } = this.#disk.mood;
    const delayMs = (latencyMs * (1 + below(this.#disk.random, 100))) / 50;
    this.#disk.events.after(delayMs, () => this.#enter(() => this.#complete()));
  }

  #complete(): void {
    if (this.#refusal !== undefined) return;
    const { mood } = this.#disk;
    if (mood.breaksNext) {
      mood.breaksNext = false;
      this.#keepSome(this.#inFlight);
      this.#refusal = { kind: "io", message: "the disk broke" };
      this.#fail(this.#refusal);
    } else if (mood.isFull) {
      this.readOnly = true;
      this.#fail({ kind: "disk_full", message: "no space left" });
    } else {
      this.readOnly = false;
      this.#commit();
    }
  }

  #commit(): void {
    const batch = this.#inFlight;
    for (const { work, bytes } of batch) {
      const first = work.resetTo === undefined ? work.entries[0]?.index : 0;
      const from = Math.min(first ?? this.#changedFrom, work.truncateFrom ?? this.#changedFrom);
      this.#changedFrom = Math.min(this.#changedFrom, from);
      writeWork(this.#image, work);
      this.#pendingBytes -= bytes;
    }
    this.#shownLast = Number.POSITIVE_INFINITY;
    for (const { work } of this.#queue) {
      if (work.truncateFrom === undefined) continue;
      this.#shownLast = Math.min(this.#shownLast, work.truncateFrom - 1);
    }
    this.#inFlight = [];
    this.#flush();
    for (const { done } of batch) done(undefined);
  }

  #fail(fault: LogFault): void {
    const failed = [...this.#inFlight, ...this.#queue];
    this.#inFlight = [];
    this.#queue = [];
    this.#pendingBytes = 0;
    this.#plannedLast = lastOf(this.#image);
    this.#shownLast = Number.POSITIVE_INFINITY;
    this.#hard = this.#image.hardState;
    for (const { done } of failed) done(fault);
  }
}

function lastOf(image: LogImage): number {
  return image.previousIndex + image.entries.length;
}

export function writeWork(image: LogImage, work: AppendWork): void {
  if (work.resetTo !== undefined) {
    image.previousIndex = work.resetTo.index;
    image.previousTerm = work.resetTo.term;
    image.entries = [];
  }
  if (work.truncateFrom !== undefined) {
    image.entries.length = Math.min(
      image.entries.length,
      work.truncateFrom - image.previousIndex - 1,
    );
  }
  for (const entry of work.entries) {
    if (!checksums.has(entry)) checksums.set(entry, checksumOf(entry));
    image.entries.push(entry);
  }
  image.sealedLast = lastOf(image);
  if (work.hardState !== undefined) image.hardState = work.hardState;
}
