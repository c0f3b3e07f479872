/**
 * The durable log as its users see it: replica and consensus hand in works, the store makes them durable in order.
 * An index is dense within its group and starts at 1. Only what `done` reported without a fault is durable, and only
 * that is visible through `read` and `bounds`.
 */

/** 0 normal, 1 configuration, 2 empty. Larger numbers (up to 255) are stored as they are. */
export type EntryKind = number;

export interface LogEntry {
  readonly index: number;
  readonly term: number;
  readonly kind: EntryKind;
  readonly data: Uint8Array;
}

/** What a replica must never forget besides its entries. `commit` may lag behind. */
export interface HardState {
  readonly term: number;
  readonly vote: string;
  readonly commit: number;
}

/** One atomic unit. Its parts take effect in the order: resetTo, truncateFrom, entries, hardState. */
export interface AppendWork {
  readonly group: number;
  readonly entries: readonly LogEntry[];
  readonly hardState?: HardState;
  /** Removes the entries from this index on. */
  readonly truncateFrom?: number;
  /** Drops every entry: an installed snapshot stands for the log up to and including this index. */
  readonly resetTo?: { readonly index: number; readonly term: number };
}

export type LogFaultKind = "io" | "disk_full" | "overloaded" | "closed";

/**
 * Why a work did not become durable. After `io` the outcome of the work is unknown and the handle is finished; after
 * the other kinds the log holds nothing of it and the same work may be appended again.
 */
export interface LogFault {
  readonly kind: LogFaultKind;
  readonly message: string;
}

export interface LogBounds {
  /** Index of the first entry present, or `last + 1` when there is none. */
  readonly first: number;
  readonly last: number;
  /** Term of the entry before `first`, 0 when `first` is 1. */
  readonly previousTerm: number;
  /** Term of the entry at `last`, or `previousTerm` when there is none. */
  readonly lastTerm: number;
  readonly hardState: HardState;
}

export interface LogSize {
  /** Bytes of the database file. */
  readonly bytes: number;
  /** Of them, those that hold nothing and are written first. */
  readonly freeBytes: number;
  readonly walBytes: number;
  /** Bytes of works that were handed in and are not yet durable. */
  readonly pendingBytes: number;
}

export interface Log {
  /** True from the first full-disk fault until space was found again. */
  readonly readOnly: boolean;
  append(work: AppendWork, done: (fault: LogFault | undefined) => void): void;
  /** Entries from `from` on: at least one if there is one, then as many as fit into `bytesMax` bytes of data. */
  read(group: number, from: number, bytesMax: number): LogEntry[];
  bounds(group: number): LogBounds;
  /** Lets go of the entries up to and including `throughIndex`; the space is freed in the background. */
  compact(group: number, throughIndex: number): void;
  size(): LogSize;
  close(): Promise<void>;
}
