/**
 * The node's log as the consensus core reads it: what is durable, with the recent entries in memory, because nearly
 * every read is of those (to apply them, to send them on) and the core cannot wait.
 *
 * Invariant: `#recent` is a gapless run of entries that ends at the last durable one.
 */
import { assert } from "../base/assert.ts";
import type { EntryKind, Log, LogEntry } from "../base/log.ts";
import type {
  ConfState,
  Entry,
  EntryType,
  HardState,
  Index,
  NodeId,
  Snapshot,
  Term,
} from "../raft/message.ts";
import type { LogGap, LogStorage } from "../raft/storage.ts";

/** Recent entries kept in memory: enough for a follower that lags by a second or two under load. */
const recentBytesMax = 32 * 1024 * 1024;

/** Kinds of entries in the log; never reused. */
const kindOfType: Readonly<Record<EntryType, EntryKind>> = {
  EntryNormal: 0,
  EntryConfChange: 1,
  EntryConfChangeV2: 3,
};

const typeOfKind = new Map(
  Object.entries(kindOfType).map(([type, kind]) => [kind, type as EntryType]),
);

export interface RaftLogStart {
  readonly applied: Index;
  readonly conf: ConfState;
}

export class RaftLogStorage implements LogStorage {
  readonly #log: Log;
  readonly #group: number;
  readonly #start: RaftLogStart;
  #recent: Entry[] = [];
  #recentBytes = 0;
  #lastIndex: Index;
  #lastTerm: Term;
  snapshotFor: (to: NodeId) => Snapshot | "unavailable" = () => "unavailable";

  constructor(log: Log, group: number, start: RaftLogStart) {
    this.#log = log;
    this.#group = group;
    this.#start = start;
    const bounds = log.bounds(group);
    this.#lastIndex = bounds.last;
    this.#lastTerm = bounds.lastTerm;
  }

  initialState(): { hard: HardState; conf: ConfState } {
    const { term, vote, commit } = this.#log.bounds(this.#group).hardState;
    const hard = { term, vote: Number(vote) || 0, commit: Math.max(commit, this.#start.applied) };
    return { hard, conf: this.#start.conf };
  }

  firstIndex(): Index {
    return this.#log.bounds(this.#group).first;
  }

  lastIndex(): Index {
    return this.#lastIndex;
  }

  term(index: Index): Term | LogGap {
    if (index > this.#lastIndex) return "unavailable";
    if (index === this.#lastIndex) return this.#lastTerm;
    const { first, previousTerm } = this.#log.bounds(this.#group);
    if (index === first - 1) return previousTerm;
    if (index < first) return "compacted";
    const recent = this.#recentAt(index);
    if (recent !== undefined) return recent.term;
    return this.#log.read(this.#group, index, 1)[0]?.term ?? "unavailable";
  }

  entries(from: Index, to: Index, bytesMax: number): readonly Entry[] | LogGap {
    if (from < this.firstIndex()) return "compacted";
    if (to > this.#lastIndex + 1) return "unavailable";
    const oldest = this.#recent[0];
    if (oldest !== undefined && from >= oldest.index) return this.#fromMemory(from, to, bytesMax);
    const found = this.#log.read(this.#group, from, bytesMax).filter((entry) => entry.index < to);
    return found.length === 0 ? "unavailable" : found.map(toEntry);
  }

  snapshot(to: NodeId): Snapshot | "unavailable" {
    return this.snapshotFor(to);
  }

  /** A write of these entries, which replace everything from the first one's index on, is durable. */
  noteDurable(entries: readonly Entry[]): void {
    const first = entries[0];
    const last = entries.at(-1);
    if (first === undefined || last === undefined) return;
    while ((this.#recent.at(-1)?.index ?? -1) >= first.index) {
      this.#recentBytes -= sizeOf(this.#recent.pop() as Entry);
    }
    const before = this.#recent.at(-1);
    if (before !== undefined && before.index + 1 !== first.index) this.#forgetAll();
    for (const entry of entries) {
      this.#recent.push(entry);
      this.#recentBytes += sizeOf(entry);
    }
    this.#lastIndex = last.index;
    this.#lastTerm = last.term;
    this.#shrink();
  }

  /** An installed snapshot stands for the log up to here. */
  noteReset(index: Index, term: Term): void {
    this.#forgetAll();
    this.#lastIndex = index;
    this.#lastTerm = term;
  }

  #fromMemory(from: Index, to: Index, bytesMax: number): readonly Entry[] {
    const start = from - (this.#recent[0]?.index ?? from);
    const end = to - (this.#recent[0]?.index ?? to);
    let bytes = 0;
    let at = start;
    for (; at < end; at++) {
      const entry = this.#recent[at];
      assert(entry !== undefined, "recent entries have no gap");
      bytes += sizeOf(entry);
      if (at > start && bytes > bytesMax) break;
    }
    return this.#recent.slice(start, at);
  }

  #recentAt(index: Index): Entry | undefined {
    const oldest = this.#recent[0];
    return oldest === undefined ? undefined : this.#recent[index - oldest.index];
  }

  /** Half goes at once, so that the array is not moved for every batch. */
  #shrink(): void {
    if (this.#recentBytes <= recentBytesMax && this.#recent.length <= 65_536) return;
    let drop = 0;
    while (
      drop < this.#recent.length - 1 &&
      (this.#recentBytes > recentBytesMax / 2 || this.#recent.length - drop > 32_768)
    ) {
      this.#recentBytes -= sizeOf(this.#recent[drop] as Entry);
      drop++;
    }
    this.#recent.splice(0, drop);
  }

  #forgetAll(): void {
    this.#recent = [];
    this.#recentBytes = 0;
  }
}

/** Roughly what an entry takes in memory and in a message. */
function sizeOf(entry: Entry): number {
  return 32 + entry.data.length;
}

export function toLogEntry(entry: Entry): LogEntry {
  return { index: entry.index, term: entry.term, kind: kindOfType[entry.type], data: entry.data };
}

export function toEntry(entry: LogEntry): Entry {
  const type = typeOfKind.get(entry.kind);
  assert(type !== undefined, `entry ${entry.index} is of the unknown kind ${entry.kind}`);
  return { index: entry.index, term: entry.term, type, data: entry.data };
}
