/** The four roles and what entering each of them does. The order of calls is part of the behaviour. */
import { assert, must } from "../base/assert.ts";
import { emptyData, type NodeId, none, type Term } from "./message.ts";
import { appendEntries } from "./replication.ts";
import { hex, type RaftState } from "./state.ts";

export function becomeFollower(raft: RaftState, term: Term, leader: NodeId): void {
  raft.reset(term);
  raft.leader = leader;
  raft.role = "follower";
  raft.config.logger.info(`${hex(raft.id)} became follower at term ${raft.term}`);
}

export function becomeCandidate(raft: RaftState): void {
  assert(raft.role !== "leader", "a leader does not campaign");
  raft.reset(raft.term + 1);
  raft.vote = raft.id;
  raft.role = "candidate";
  raft.config.logger.info(`${hex(raft.id)} became candidate at term ${raft.term}`);
}

/** Only the role changes: neither term nor vote, so that asking in vain costs nobody anything. */
export function becomePreCandidate(raft: RaftState): void {
  assert(raft.role !== "leader", "a leader does not campaign");
  raft.tracker.resetVotes();
  // While two pre-candidates still named an old leader each would refuse the other.
  raft.leader = none;
  raft.role = "preCandidate";
  raft.config.logger.info(`${hex(raft.id)} became pre-candidate at term ${raft.term}`);
}

export function becomeLeader(raft: RaftState): void {
  assert(raft.role !== "follower", "only a candidate can win an election");
  raft.reset(raft.term);
  raft.leader = raft.id;
  raft.role = "leader";
  const own = must(raft.tracker.get(raft.id), "a leader is elected by a group it is a member of");
  own.becomeReplicate();
  own.recentActive = true;
  // The inherited tail may hold a membership change. Waiting until all of it is applied is cheaper
  // than reading it.
  raft.pendingConfIndex = raft.log.lastIndex();
  // Entries of earlier terms cannot be committed by counting, so each term starts with one of its own.
  const accepted = appendEntries(raft, [{ type: "EntryNormal", data: emptyData }]);
  assert(accepted, "an empty entry is never refused");
  raft.config.logger.info(`${hex(raft.id)} became leader at term ${raft.term}`);
}
