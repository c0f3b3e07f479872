/** A copy of what operators and the host want to know of a member, safe to keep. */
import type { ConfState, Index, NodeId, Role, Term } from "./message.ts";
import type { ProgressState } from "./progress.ts";
import type { RaftState } from "./state.ts";

interface MemberStatus {
  readonly id: NodeId;
  readonly state: ProgressState;
  readonly match: Index;
  readonly next: Index;
  readonly isLearner: boolean;
  readonly isPaused: boolean;
  /** Heard from since the last quorum check. */
  readonly isActive: boolean;
  readonly inflightCount: number;
}

export interface RaftStatus {
  readonly id: NodeId;
  readonly term: Term;
  readonly vote: NodeId;
  readonly role: Role;
  readonly leader: NodeId;
  readonly transferee: NodeId;
  readonly first: Index;
  readonly last: Index;
  readonly committed: Index;
  readonly applied: Index;
  readonly uncommittedBytes: number;
  readonly conf: ConfState;
  /** One for each member, in the order of ids. Empty unless this node leads. */
  readonly members: readonly MemberStatus[];
}

export function statusOf(raft: RaftState): RaftStatus {
  const { id, term, vote, role, leader, transferee, log, uncommittedBytes, tracker } = raft;
  const members: MemberStatus[] = [];
  if (role === "leader") {
    tracker.visit((member, progress) => {
      members.push({
        id: member,
        state: progress.state,
        match: progress.match,
        next: progress.next,
        isLearner: progress.isLearner,
        isPaused: progress.isPaused,
        isActive: progress.recentActive,
        inflightCount: progress.inflights.count,
      });
    });
  }
  return {
    id,
    term,
    vote,
    role,
    leader,
    transferee,
    first: log.firstIndex(),
    last: log.lastIndex(),
    committed: log.committed,
    applied: log.applied,
    uncommittedBytes,
    conf: tracker.confState(),
    members,
  };
}
