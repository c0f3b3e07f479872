/** How a leader answers read requests, its own and those that followers pass on. */
import { type Index, type Message, type NodeId, none } from "./message.ts";
import { broadcastHeartbeat } from "./outbound.ts";
import { jointCommitted } from "./quorum.ts";
import { dropped, ok, type RaftState, type StepResult } from "./state.ts";

export function requestRead(raft: RaftState, request: Message): StepResult {
  const { pendingReadsMax } = raft.config;
  if (raft.reads.length + raft.earlyReads.length >= pendingReadsMax) return dropped("tooManyReads");
  // Until an entry of this term is committed the commit index may lag behind what an earlier
  // leader acknowledged. That holds for a group of one after a restart, too.
  if (!raft.hasCommittedInTerm) {
    raft.earlyReads.push(request);
    return ok;
  }
  admitRead(raft, request);
  return ok;
}

/** Takes up the reads that waited for the first commit of the term. */
export function releaseEarlyReads(raft: RaftState): void {
  if (raft.earlyReads.length === 0 || !raft.hasCommittedInTerm) return;
  const requests = raft.earlyReads;
  raft.earlyReads = [];
  for (const request of requests) admitRead(raft, request);
}

export function acknowledgeReads(raft: RaftState, message: Message): void {
  if (message.token === 0) return;
  raft.reads.acknowledge(message.from, message.token);
  for (const read of raft.reads.takeConfirmed(raft.tracker.membership.voters)) {
    answerRead(raft, read.request, read.index);
  }
}

function admitRead(raft: RaftState, request: Message): void {
  const index = raft.log.committed;
  if (raft.tracker.isOnlyVoter(raft.id) || hasLease(raft)) {
    answerRead(raft, request, index);
    return;
  }
  raft.reads.add({ request, index });
  raft.reads.acknowledge(raft.id, raft.reads.position);
  broadcastHeartbeat(raft);
}

/**
 * Whether a quorum answered heartbeats that were sent so lately that it cannot have elected another
 * leader since. Whoever answers gives no vote for an election timeout after hearing the heartbeat,
 * thus after it was sent. A quarter of that is left for clocks that run at different speed, two ticks
 * for the fractions at both ends. Once somebody was told to take over, votes are given regardless.
 */
function hasLease(raft: RaftState): boolean {
  const { readMode, electionTicks } = raft.config;
  if (readMode !== "lease" || raft.handedOver) return false;
  const leaseTicks = Math.max(0, Math.floor(electionTicks * 0.75) - 2);
  const oldest = Math.max(1, raft.now - leaseTicks);
  const { membership } = raft.tracker;
  const acked = (id: NodeId) => (id === raft.id ? raft.now : raft.tracker.get(id)?.ackedBeat);
  return jointCommitted(membership.voters, acked) >= oldest;
}

function answerRead(raft: RaftState, request: Message, index: Index): void {
  if (request.from === none || request.from === raft.id) {
    raft.readStates.push({ index, token: request.token });
    return;
  }
  raft.sendTo("MsgReadIndexResp", request.from, { index, token: request.token });
}
