/**
 * A log in memory: the reference implementation of the storage port, and the model that durable ones
 * are compared with.
 *
 * `#entries[0]` is a marker: it has the index and term of the last entry that was compacted away, or
 * zeroes. A snapshot can be newer than the marker; it is replaced when a newer one is made or
 * installed.
 */
import { assert, must } from "../base/assert.ts";
import {
  type Entry,
  emptyConfState,
  emptyData,
  type HardState,
  type Index,
  isMember,
  type NodeId,
  type Snapshot,
  type Term,
  takeEntries,
} from "./message.ts";
import type { LogGap, LogStorage } from "./storage.ts";

export const emptySnapshot: Snapshot = { index: 0, term: 0, conf: emptyConfState, data: emptyData };

function marker(index: Index, term: Term): Entry {
  return { index, term, type: "EntryNormal", data: emptyData };
}

export class MemoryLog implements LogStorage {
  #hard: HardState = { term: 0, vote: 0, commit: 0 };
  #snapshot = emptySnapshot;
  #entries: Entry[] = [marker(0, 0)];

  get #marker(): Entry {
    return must(this.#entries[0], "the log starts with its marker");
  }

  initialState() {
    return { hard: this.#hard, conf: this.#snapshot.conf };
  }

  firstIndex(): Index {
    return this.#marker.index + 1;
  }

  lastIndex(): Index {
    return this.#marker.index + this.#entries.length - 1;
  }

  term(index: Index): Term | LogGap {
    if (index < this.#marker.index) return "compacted";
    return this.#entries[index - this.#marker.index]?.term ?? "unavailable";
  }

  entries(from: Index, to: Index, bytesMax: number): readonly Entry[] | LogGap {
    if (from <= this.#marker.index) return "compacted";
    if (to > this.lastIndex() + 1) return "unavailable";
    const start = this.#marker.index;
    return takeEntries(this.#entries, from - start, to - start, bytesMax);
  }

  snapshot(to: NodeId): Snapshot | "unavailable" {
    return isMember(this.#snapshot.conf, to) ? this.#snapshot : "unavailable";
  }

  setHardState(hard: HardState): void {
    this.#hard = hard;
  }

  /** Replaces what stands at the same indexes and everything after it. */
  append(entries: readonly Entry[]): void {
    const known = entries.filter((entry) => entry.index > this.#marker.index);
    const [first] = known;
    if (first === undefined) return;
    assert(first.index <= this.lastIndex() + 1, "appended entries leave no hole");
    this.#entries.length = first.index - this.#marker.index;
    for (const entry of known) this.#entries.push(entry);
  }

  /** Replaces log and configuration. A snapshot that is not newer than the last one is refused. */
  installSnapshot(snapshot: Snapshot): "outOfDate" | undefined {
    if (this.#snapshot.index !== 0 && this.#snapshot.index >= snapshot.index) return "outOfDate";
    this.#snapshot = snapshot;
    this.#entries = [marker(snapshot.index, snapshot.term)];
    return undefined;
  }

  /** Takes a snapshot of the local state. The log stays as it is until it is compacted. */
  saveSnapshot(snapshot: Snapshot): void {
    assert(snapshot.index <= this.lastIndex(), "a snapshot covers entries of this log");
    if (snapshot.index > this.#snapshot.index) this.#snapshot = snapshot;
  }

  /** Drops entries up to `index`, which must be applied. */
  compact(index: Index): LogGap | undefined {
    if (index <= this.#marker.index) return "compacted";
    if (index > this.lastIndex()) return "unavailable";
    const dropped = index - this.#marker.index;
    const last = must(this.#entries[dropped], "the index lies within the log");
    this.#entries = [marker(last.index, last.term), ...this.#entries.slice(dropped + 1)];
    return undefined;
  }
}
