/**
 * Majority arithmetic over one or two voter sets.
 *
 * During a joint change a decision needs a majority of the incoming and of the outgoing set. An
 * empty set decides nothing and therefore agrees with everything, so that a plain configuration is
 * simply a joint one with an empty half. Voter lists are sorted and free of duplicates.
 */
import { type Index, type NodeId, unbounded } from "./message.ts";

export interface JointVoters {
  readonly incoming: readonly NodeId[];
  readonly outgoing: readonly NodeId[];
}

export type VoteOutcome = "VotePending" | "VoteLost" | "VoteWon";

/** The highest index acknowledged by a majority; a voter without an answer counts as 0. */
export function majorityCommitted(
  voters: readonly NodeId[],
  acked: (id: NodeId) => Index | undefined,
): Index {
  if (voters.length === 0) return unbounded;
  const indexes: Index[] = [];
  // Sorted as it grows: voters are few, and this runs for every answer of a member.
  for (const id of voters) {
    const index = acked(id) ?? 0;
    let at = indexes.length;
    for (; at > 0 && (indexes[at - 1] ?? 0) > index; at -= 1) indexes[at] = indexes[at - 1] ?? 0;
    indexes[at] = index;
  }
  const quorum = Math.floor(voters.length / 2) + 1;
  return indexes[voters.length - quorum] ?? 0;
}

export function jointCommitted(
  voters: JointVoters,
  acked: (id: NodeId) => Index | undefined,
): Index {
  return Math.min(
    majorityCommitted(voters.incoming, acked),
    majorityCommitted(voters.outgoing, acked),
  );
}

export function majorityVote(
  voters: readonly NodeId[],
  votes: ReadonlyMap<NodeId, boolean>,
): VoteOutcome {
  if (voters.length === 0) return "VoteWon";
  let granted = 0;
  let missing = 0;
  for (const id of voters) {
    const vote = votes.get(id);
    if (vote === undefined) missing += 1;
    else if (vote) granted += 1;
  }
  const quorum = Math.floor(voters.length / 2) + 1;
  if (granted >= quorum) return "VoteWon";
  return granted + missing >= quorum ? "VotePending" : "VoteLost";
}

export function jointVote(voters: JointVoters, votes: ReadonlyMap<NodeId, boolean>): VoteOutcome {
  const incoming = majorityVote(voters.incoming, votes);
  const outgoing = majorityVote(voters.outgoing, votes);
  if (incoming === outgoing) return incoming;
  return incoming === "VoteLost" || outgoing === "VoteLost" ? "VoteLost" : "VotePending";
}

/** Every voter of either half, sorted. */
export function jointIds(voters: JointVoters): readonly NodeId[] {
  return sortedIds([...voters.incoming, ...voters.outgoing]);
}

export function isVoter(voters: JointVoters, id: NodeId): boolean {
  return voters.incoming.includes(id) || voters.outgoing.includes(id);
}

/** Sorted, without duplicates: the form in which every list of ids is kept. */
export function sortedIds(ids: Iterable<NodeId>): NodeId[] {
  return [...new Set(ids)].sort((a, b) => a - b);
}

export function describeIds(ids: readonly NodeId[]): string {
  return `(${ids.join(" ")})`;
}

export function describeVoters(voters: JointVoters): string {
  const incoming = describeIds(voters.incoming);
  return voters.outgoing.length > 0 ? `${incoming}&&${describeIds(voters.outgoing)}` : incoming;
}
