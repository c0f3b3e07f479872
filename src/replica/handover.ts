/** When a leader is of no use any more although others hear it, and who should lead instead. */
import { type Index, type NodeId, none } from "../raft/message.ts";
import type { RaftState } from "../raft/state.ts";

/**
 * A leader whose oldest write is this many ticks old gives its role away: its network may be fine, so nobody else would notice that
 * nothing is acknowledged any more. One election timeout, as long as a dead leader would have been missed.
 */
const stuckTicks = 20;

export interface LogTrouble {
  /** How long the oldest write has had no answer. */
  readonly waitedTicks: number;
  /** First entry that a full disk has refused, if it did. */
  readonly refused: Index | undefined;
}

/**
 * A log that hangs may answer yet, so its leader waits a while. One whose disk is full knows at once; but so may the
 * others be, and would pass the role around: only who has stored what this node could not is asked that early.
 */
export function successorOf(
  raft: RaftState,
  { waitedTicks, refused }: LogTrouble,
): { readonly id: NodeId; readonly why: string } | undefined {
  if (raft.role !== "leader" || raft.transferee !== none) return undefined;
  const best = furthestInTouch(raft);
  if (best === undefined) return undefined;
  const { id, match } = best;
  if (refused !== undefined && match >= refused) {
    return { id, why: "the disk of this node is full" };
  }
  if (waitedTicks < stuckTicks) return undefined;
  return { id, why: "the log of this node has not answered within an election timeout" };
}

/** The other voter in touch that has most of the log. */
function furthestInTouch({
  id: own,
  tracker,
}: RaftState): { id: NodeId; match: Index } | undefined {
  let best: { id: NodeId; match: Index } | undefined;
  for (const id of tracker.ids) {
    const progress = tracker.get(id);
    if (id === own || progress === undefined || progress.isLearner) continue;
    if (!progress.recentActive) continue;
    if (best === undefined || progress.match > best.match) best = { id, match: progress.match };
  }
  return best;
}
