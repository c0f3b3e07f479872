/** What a leader knows of the logs of the others. */
import type { NodeId } from "../raft/message.ts";
import type { RaftState } from "../raft/state.ts";

/** A member this close behind catches up with the rest within one round trip. */
const caughtUpLagEntries = 64;

/** May a learner vote, as far as its log goes? */
export function isCaughtUp(raft: RaftState, id: NodeId): boolean {
  const progress = raft.tracker.get(id);
  if (progress === undefined) return false;
  if (!progress.recentActive || progress.state !== "StateReplicate") return false;
  return raft.log.lastIndex() - progress.match <= caughtUpLagEntries;
}

/** The voters besides this node, the longest log first. */
export function otherVoters(raft: RaftState, voters: readonly NodeId[]): NodeId[] {
  const matchOf = (id: NodeId) => raft.tracker.get(id)?.match ?? 0;
  return voters.filter((id) => id !== raft.id).sort((one, other) => matchOf(other) - matchOf(one));
}
