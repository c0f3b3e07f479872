/**
 * The tail of the log that the disk does not have yet, and a snapshot that is not installed yet.
 *
 * Entries stay here until their write is confirmed, so that reads of the log never see the disk in
 * the middle of a change. `entries[i]` has index `offset + i`; entries below `offsetInProgress` have
 * been handed out for writing. `offset` may lie below the end of the durable log: then the next
 * write replaces what is there.
 *
 * Invariants: offset <= offsetInProgress <= offset + entries.length.
 */
import { assert, fail } from "../base/assert.ts";
import type { RaftLogger } from "./config.ts";
import {
  type Entry,
  type EntryId,
  type Index,
  type Snapshot,
  type Term,
  takeEntries,
} from "./message.ts";

export class Unstable {
  offset: Index;
  offsetInProgress: Index;
  snapshot: Snapshot | undefined;
  snapshotInProgress = false;
  #entries: Entry[] = [];
  readonly #logger: RaftLogger;

  constructor(offset: Index, logger: RaftLogger) {
    this.offset = offset;
    this.offsetInProgress = offset;
    this.#logger = logger;
  }

  get length(): number {
    return this.#entries.length;
  }

  firstIndex(): Index | undefined {
    return this.snapshot === undefined ? undefined : this.snapshot.index + 1;
  }

  lastIndex(): Index | undefined {
    if (this.#entries.length > 0) return this.offset + this.#entries.length - 1;
    return this.snapshot?.index;
  }

  term(index: Index): Term | undefined {
    if (index < this.offset) {
      return this.snapshot?.index === index ? this.snapshot.term : undefined;
    }
    return this.#entries[index - this.offset]?.term;
  }

  /** Entries that were not handed out for writing yet. */
  nextEntries(): readonly Entry[] {
    return this.#entries.slice(this.offsetInProgress - this.offset);
  }

  get hasNextEntries(): boolean {
    return this.offset + this.#entries.length > this.offsetInProgress;
  }

  nextSnapshot(): Snapshot | undefined {
    return this.snapshotInProgress ? undefined : this.snapshot;
  }

  acceptInProgress(): void {
    this.offsetInProgress = this.offset + this.#entries.length;
    if (this.snapshot !== undefined) this.snapshotInProgress = true;
  }

  /**
   * Forgets entries up to `id`, which the disk now has. Only to be called when no write that is
   * still under way can replace them.
   */
  stableTo(id: EntryId): void {
    const term = this.term(id.index);
    if (term === undefined) {
      this.#logger.info(`entry at index ${id.index} missing from unstable log; ignoring`);
      return;
    }
    if (id.index < this.offset) {
      this.#logger.info(`entry at index ${id.index} matched unstable snapshot; ignoring`);
      return;
    }
    if (term !== id.term) {
      this.#logger.info(
        `entry at (index,term)=(${id.index},${id.term}) mismatched with ` +
          `entry at (${id.index},${term}) in unstable log; ignoring`,
      );
      return;
    }
    this.#entries = this.#entries.slice(id.index + 1 - this.offset);
    this.offset = id.index + 1;
    this.offsetInProgress = Math.max(this.offsetInProgress, this.offset);
  }

  stableSnapshotTo(index: Index): void {
    if (this.snapshot?.index !== index) return;
    this.snapshot = undefined;
    this.snapshotInProgress = false;
  }

  restore(snapshot: Snapshot): void {
    this.offset = snapshot.index + 1;
    this.offsetInProgress = this.offset;
    this.#entries = [];
    this.snapshot = snapshot;
    this.snapshotInProgress = false;
  }

  /** Adds entries at the end, or in place of those from the first one's index on. */
  truncateAndAppend(entries: readonly Entry[]): void {
    const first = entries[0];
    if (first === undefined) return;
    const from = first.index;
    assert(from <= this.offset + this.#entries.length, "appended entries leave no hole");
    if (from === this.offset + this.#entries.length) {
      for (const entry of entries) this.#entries.push(entry);
      return;
    }
    if (from <= this.offset) {
      this.#logger.info(`replace the unstable entries from index ${from}`);
      this.#entries = [...entries];
      this.offset = from;
      this.offsetInProgress = from;
      return;
    }
    this.#logger.info(`truncate the unstable entries before index ${from}`);
    this.#entries = [...this.#entries.slice(0, from - this.offset), ...entries];
    this.offsetInProgress = Math.min(this.offsetInProgress, from);
  }

  /** Entries of [from, to), all of which are here, cut to `bytesMax`. */
  slice(from: Index, to: Index, bytesMax: number): readonly Entry[] {
    const end = this.offset + this.#entries.length;
    if (from < this.offset || from > to || to > end) {
      fail(`unstable entries [${from}, ${to}) lie within [${this.offset}, ${end})`);
    }
    return takeEntries(this.#entries, from - this.offset, to - this.offset, bytesMax);
  }
}
