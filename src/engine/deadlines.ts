/**
 * Times at which something happens to jobs, one entry per (time, job). The first entry is always one that counts.
 *
 * Exactness matters beyond speed: the steps of one `advanceTime` are limited, so an entry that no longer counts must not
 * use one up on a replica that remembers it when another, started since, does not. An entry that is taken out of the
 * middle stays in the heap as a tombstone until it comes up, or until tombstones outnumber the rest.
 */
import { assert } from "../base/assert.ts";
import { TimeHeap } from "./time-heap.ts";

/** Below this many tombstones cleaning is not worth a pass. */
const tombstonesMin = 1024;

export class Deadlines {
  readonly #heap = new TimeHeap();
  /** Entries of the heap that were removed. */
  readonly #removed = new Set<string>();

  get size(): number {
    return this.#heap.size - this.#removed.size;
  }

  /** The earliest time; Infinity when there is none. */
  topTime(): number {
    return this.#heap.topTime();
  }

  topKey(): number {
    return this.#heap.topKey();
  }

  /** Adds an entry that is not there. */
  add(timeMs: number, key: number): void {
    if (this.#removed.size > 0 && this.#removed.delete(entryName(timeMs, key))) return;
    this.#heap.push(timeMs, key);
  }

  /** Takes out an entry that is there. */
  remove(timeMs: number, key: number): void {
    if (this.#heap.topKey() === key && this.#heap.topTime() === timeMs) {
      this.#heap.pop();
      this.#dropRemoved();
      return;
    }
    this.#removed.add(entryName(timeMs, key));
    assert(this.#removed.size <= this.#heap.size, "only entries that are there are removed");
    if (this.#removed.size > tombstonesMin && this.#removed.size * 2 > this.#heap.size) {
      this.#heap.prune((entryKey, entryMs) => !this.#removed.has(entryName(entryMs, entryKey)));
      this.#removed.clear();
    }
  }

  #dropRemoved(): void {
    while (this.#removed.size > 0) {
      if (!this.#removed.delete(entryName(this.#heap.topTime(), this.#heap.topKey()))) return;
      this.#heap.pop();
    }
  }
}

function entryName(timeMs: number, key: number): string {
  return `${timeMs} ${key}`;
}
