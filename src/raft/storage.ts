/**
 * The port through which the core reads its own durable log. It never writes here: writes leave the
 * core as work in `Ready`.
 *
 * Reads are synchronous, so an implementation keeps the recent tail in memory. It answers with
 * `compacted` for what a snapshot has replaced and with `unavailable` for what it does not have.
 * Any other failure is thrown and ends the node.
 */
import type { ConfState, Entry, HardState, Index, NodeId, Snapshot, Term } from "./message.ts";

export type LogGap = "compacted" | "unavailable";

export interface LogStorage {
  /** What the last run left behind. */
  initialState(): { readonly hard: HardState; readonly conf: ConfState };
  /** First index that `entries` can return. The term of the entry before it is still known. */
  firstIndex(): Index;
  lastIndex(): Index;
  /** Term of an entry in [firstIndex - 1, lastIndex]. */
  term(index: Index): Term | LogGap;
  /** Entries of [from, to), cut to `bytesMax` but never to less than one entry. */
  entries(from: Index, to: Index, bytesMax: number): readonly Entry[] | LogGap;
  /**
   * A snapshot to send to this member, or `unavailable` while none is ready; the core then asks
   * again later. The member must be in its configuration, or it will throw the snapshot away: one
   * that is older than the member's joining is of no use and has to be made anew.
   */
  snapshot(to: NodeId): Snapshot | "unavailable";
}

export function isGap<T extends object | number>(value: T | LogGap): value is LogGap {
  return typeof value === "string";
}
