/**
 * The replicated log as this member sees it: durable storage below, the unstable tail above.
 *
 * Four positions: applied <= applying <= committed <= last. `committed` is known to be on a quorum;
 * `applying` was handed to the state machine; `applied` was confirmed by it. How much may lie
 * between the last two is bounded in bytes, across all batches that are under way.
 */
import { assert, fail } from "../base/assert.ts";
import { isConfChangeType } from "./conf-change.ts";
import type { RaftConfig, RaftLogger } from "./config.ts";
import {
  type Entry,
  type EntryId,
  entriesBytes,
  type Index,
  type NodeId,
  type Snapshot,
  type Term,
  unbounded,
} from "./message.ts";
import { isGap, type LogGap, type LogStorage } from "./storage.ts";
import { Unstable } from "./unstable.ts";

export class RaftLog {
  readonly unstable: Unstable;
  committed: Index;
  applying: Index;
  applied: Index;
  readonly #storage: LogStorage;
  readonly #logger: RaftLogger;
  readonly #applyingBytesMax: number;
  #applyingBytes = 0;
  #applyingPaused = false;

  constructor(config: Pick<RaftConfig, "storage" | "logger" | "applyingBytesMax">) {
    this.#storage = config.storage;
    this.#logger = config.logger;
    this.#applyingBytesMax = config.applyingBytesMax;
    this.unstable = new Unstable(config.storage.lastIndex() + 1, config.logger);
    const compacted = config.storage.firstIndex() - 1;
    this.committed = compacted;
    this.applying = compacted;
    this.applied = compacted;
  }

  toString(): string {
    const { offset, offsetInProgress, length } = this.unstable;
    return (
      `committed=${this.committed}, applied=${this.applied}, applying=${this.applying}, ` +
      `unstable.offset=${offset}, unstable.offsetInProgress=${offsetInProgress}, ` +
      `len(unstable.Entries)=${length}`
    );
  }

  firstIndex(): Index {
    return this.unstable.firstIndex() ?? this.#storage.firstIndex();
  }

  lastIndex(): Index {
    return this.unstable.lastIndex() ?? this.#storage.lastIndex();
  }

  lastId(): EntryId {
    const index = this.lastIndex();
    const term = this.term(index);
    if (isGap(term)) fail(`the term of the last entry ${index} is known`);
    return { term, index };
  }

  /** The term of an entry from firstIndex - 1 to the end. */
  term(index: Index): Term | LogGap {
    const unstable = this.unstable.term(index);
    if (unstable !== undefined) return unstable;
    if (index + 1 < this.firstIndex()) return "compacted";
    if (index > this.lastIndex()) return "unavailable";
    return this.#storage.term(index);
  }

  termOrZero(index: Index): Term {
    const term = this.term(index);
    return isGap(term) ? 0 : term;
  }

  matches(id: EntryId): boolean {
    return this.term(id.index) === id.term;
  }

  /** Whether a log that ends with `id` holds at least as much as this one: term first, then length. */
  isUpToDate(id: EntryId): boolean {
    const last = this.lastId();
    return id.term > last.term || (id.term === last.term && id.index >= last.index);
  }

  /**
   * Appends what is new in `entries`, which follow `previous` in the leader's log. Undefined if this
   * log does not contain `previous`; otherwise the last index now known to be equal.
   */
  maybeAppend(previous: EntryId, entries: readonly Entry[], commit: Index): Index | undefined {
    if (!this.matches(previous)) return undefined;
    const last = previous.index + entries.length;
    const conflict = this.#findConflict(entries);
    if (conflict !== undefined) {
      if (conflict <= this.committed) {
        fail(`entry ${conflict} conflicts with a committed entry (committed ${this.committed})`);
      }
      this.append(entries.slice(conflict - previous.index - 1));
    }
    this.commitTo(Math.min(commit, last));
    return last;
  }

  append(entries: readonly Entry[]): Index {
    const first = entries[0];
    if (first !== undefined) {
      if (first.index <= this.committed) {
        fail(`entry ${first.index} would replace a committed entry (committed ${this.committed})`);
      }
      this.unstable.truncateAndAppend(entries);
    }
    return this.lastIndex();
  }

  /**
   * A guess where this log meets another one of which only one entry is known: the highest position
   * up to `index` whose term is not above `term`. Skips whole terms, so that logs with long tails
   * of different terms meet after a number of tries bounded by the number of terms.
   */
  findConflictByTerm(index: Index, term: Term): EntryId {
    for (let position = index; position > 0; position -= 1) {
      const own = this.term(position);
      if (isGap(own)) return { index: position, term: 0 };
      if (own <= term) return { index: position, term: own };
    }
    return { index: 0, term: 0 };
  }

  commitTo(index: Index): void {
    if (index <= this.committed) return;
    const last = this.lastIndex();
    if (index > last) {
      fail(
        `commit index ${index} lies beyond the log (last ${last}): the log lost entries ` +
          "that it had acknowledged; rejoin this node with an empty data directory",
      );
    }
    this.committed = index;
  }

  /** Commits by counting, which is allowed only for an entry of the leader's own term. */
  maybeCommit(id: EntryId): boolean {
    if (id.index <= this.committed || id.term === 0 || !this.matches(id)) return false;
    this.commitTo(id.index);
    return true;
  }

  /** Committed entries to apply next. Without `allowUnstable` only what the local disk has. */
  nextCommitted(allowUnstable: boolean): readonly Entry[] {
    if (!this.hasNextCommitted(allowUnstable)) return [];
    const entries = this.slice(
      this.applying + 1,
      this.#appliableTo(allowUnstable) + 1,
      this.#applyingBytesMax - this.#applyingBytes,
    );
    assert(!isGap(entries), "entries that are committed and not applied are still in the log");
    return entries;
  }

  hasNextCommitted(allowUnstable: boolean): boolean {
    if (this.#applyingPaused || this.unstable.snapshot !== undefined) return false;
    return this.applying < this.#appliableTo(allowUnstable);
  }

  acceptApplying(entries: readonly Entry[], allowUnstable: boolean): void {
    const last = entries.at(-1);
    if (last === undefined) return;
    assert(last.index <= this.committed, "only committed entries are applied");
    this.applying = last.index;
    this.#applyingBytes += entriesBytes(entries);
    // A batch that was cut short means that the next entry would have crossed the bound.
    this.#applyingPaused =
      this.#applyingBytes >= this.#applyingBytesMax ||
      last.index < this.#appliableTo(allowUnstable);
  }

  appliedTo(index: Index, bytes: number): void {
    if (index < this.applied || index > this.committed) {
      fail(`applied index ${index} lies within ${this.applied} and ${this.committed}`);
    }
    // A snapshot also ends whatever was handed out before it and will never be reported.
    const isIdle = index >= this.applying;
    this.applied = index;
    this.applying = Math.max(this.applying, index);
    this.#applyingBytes = isIdle ? 0 : Math.max(0, this.#applyingBytes - bytes);
    this.#applyingPaused = this.#applyingBytes >= this.#applyingBytesMax;
  }

  snapshot(to: NodeId): Snapshot | "unavailable" {
    return this.unstable.snapshot ?? this.#storage.snapshot(to);
  }

  restore(snapshot: Snapshot): void {
    const { index, term } = snapshot;
    this.#logger.info(`log [${this}] starts to restore snapshot [index: ${index}, term: ${term}]`);
    this.committed = index;
    this.unstable.restore(snapshot);
  }

  entriesFrom(index: Index, bytesMax: number): readonly Entry[] | LogGap {
    const last = this.lastIndex();
    return index > last ? [] : this.slice(index, last + 1, bytesMax);
  }

  /** Entries of [from, to), cut to `bytesMax` but never to less than one entry. */
  slice(from: Index, to: Index, bytesMax: number): readonly Entry[] | LogGap {
    if (from > to) fail(`slice [${from}, ${to}) is a range`);
    if (from < this.firstIndex()) return "compacted";
    if (to > this.lastIndex() + 1) fail(`slice [${from}, ${to}) ends within the log`);
    if (from === to) return [];
    const { offset } = this.unstable;
    if (from >= offset) return this.unstable.slice(from, to, bytesMax);
    const stop = Math.min(to, offset);
    const stored = this.#storage.entries(from, stop, bytesMax);
    if (stored === "compacted") return stored;
    if (isGap(stored)) fail(`entries [${from}, ${stop}) are in storage`);
    if (stored.length === 0 || stored.length > stop - from) {
      fail(
        `storage returns 1 to ${stop - from} entries of [${from}, ${stop}), not ${stored.length}`,
      );
    }
    if (to <= offset || stored.length < stop - from) return stored;
    const rest = bytesMax - entriesBytes(stored);
    const next = rest > 0 ? this.unstable.slice(offset, to, rest) : [];
    // A first entry comes whatever its size; here it is not the first.
    const fits = entriesBytes(next) <= rest;
    return fits ? [...stored, ...next] : stored;
  }

  /** Whether a membership change stands at an index of [from, to]. Reads in bounded pages. */
  hasConfChangeWithin(from: Index, to: Index): boolean {
    let next = from;
    while (next <= to) {
      const page = this.slice(next, to + 1, this.#applyingBytesMax);
      assert(!isGap(page) && page.length > 0, `entries [${next}, ${to}] are in the log`);
      if (page.some((entry) => isConfChangeType(entry.type))) return true;
      next += page.length;
    }
    return false;
  }

  /** Every entry that is still in the log, from an index on. For checks and tests. */
  allEntries(from = this.firstIndex()): readonly Entry[] {
    const entries = this.entriesFrom(from, unbounded);
    assert(!isGap(entries), "the log can be read from its first index");
    return entries;
  }

  #appliableTo(allowUnstable: boolean): Index {
    return allowUnstable ? this.committed : Math.min(this.committed, this.unstable.offset - 1);
  }

  /** The first index where `entries` differ from, or go beyond, this log. */
  #findConflict(entries: readonly Entry[]): Index | undefined {
    for (const { index, term } of entries) {
      if (this.term(index) === term) continue;
      if (index <= this.lastIndex()) {
        this.#logger.info(
          `found conflict at index ${index} ` +
            `[existing term: ${this.termOrZero(index)}, conflicting term: ${term}]`,
        );
      }
      return index;
    }
    return undefined;
  }
}
