/**
 * The work that the core hands to its host. A host takes one `Ready`, starts its parts, and may take
 * the next one before they are done.
 *
 * - `messages` leave at once, in order, unreliably.
 * - `append` goes to the log writer. Appends are written in the order in which they were handed
 *   out. When one is durable, it is passed to `RaftNode.appended`, which returns the messages that
 *   were waiting for it. Not before: they are votes and acknowledgements.
 * - `apply` goes to the state machine, in order, and then to `RaftNode.applied`.
 */
import type {
  Entry,
  EntryId,
  HardState,
  Message,
  ReadState,
  Snapshot,
  SoftState,
  Term,
} from "./message.ts";

export interface AppendWork {
  /** The term in which it was handed out. */
  readonly term: Term;
  /** Absent if term, vote and commit are as they were. */
  readonly hard: HardState | undefined;
  /** Replaces log and state, before the entries are added. All of one work is written or nothing. */
  readonly snapshot: Snapshot | undefined;
  /** They replace everything in the durable log from the first one's index on. */
  readonly entries: readonly Entry[];
  /** The hard state has a new term or vote, and not only a new commit index, which may be lost. */
  readonly newTermOrVote: boolean;
  /** The end of the unstable log that is durable once this is; absent if there is none. */
  readonly stable: EntryId | undefined;
  /** To be released when this and every earlier write is durable. Some are for this node itself. */
  readonly after: readonly Message[];
}

export interface ApplyWork {
  readonly entries: readonly Entry[];
}

export interface Ready {
  readonly soft: SoftState | undefined;
  readonly reads: readonly ReadState[];
  readonly append: AppendWork | undefined;
  readonly apply: ApplyWork | undefined;
  readonly messages: readonly Message[];
}

/** Whether the work has to reach the disk, or only keep its place behind what has to. */
export function mustSync(work: AppendWork): boolean {
  return work.entries.length > 0 || work.snapshot !== undefined || work.newTermOrVote;
}
