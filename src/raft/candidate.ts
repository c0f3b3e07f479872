/** What a candidate or pre-candidate does with each message. */
import { roleNames } from "./describe.ts";
import { runCampaign } from "./election.ts";
import { handleAppend, handleHeartbeat } from "./follower.ts";
import { type Message, type MessageType, none } from "./message.ts";
import { broadcastAppend } from "./outbound.ts";
import { becomeFollower, becomeLeader } from "./roles.ts";
import { handleSnapshot } from "./snapshot.ts";
import { dropped, hex, ok, type RaftState, type StepResult } from "./state.ts";

export function stepCandidate(raft: RaftState, message: Message): StepResult {
  const { logger } = raft.config;
  // Late answers to the pre-vote of this very term must not count as votes.
  const awaited: MessageType = raft.role === "preCandidate" ? "MsgPreVoteResp" : "MsgVoteResp";
  if (message.type === awaited) {
    countVote(raft, message);
    return ok;
  }
  switch (message.type) {
    case "MsgProp":
      logger.info(`${hex(raft.id)} no leader at term ${raft.term}; dropping proposal`);
      return dropped("noLeader");
    case "MsgReadIndex":
      return dropped("noLeader");
    case "MsgApp":
      becomeFollower(raft, message.term, message.from);
      handleAppend(raft, message);
      return ok;
    case "MsgHeartbeat":
      becomeFollower(raft, message.term, message.from);
      handleHeartbeat(raft, message);
      return ok;
    case "MsgSnap":
      becomeFollower(raft, message.term, message.from);
      handleSnapshot(raft, message);
      return ok;
    case "MsgTimeoutNow":
      logger.debug(
        `${hex(raft.id)} [term ${raft.term} state ${roleNames[raft.role]}] ` +
          `ignored MsgTimeoutNow from ${hex(message.from)}`,
      );
      return ok;
    default:
      return ok;
  }
}

function countVote(raft: RaftState, message: Message): void {
  const { logger } = raft.config;
  const { type, from, reject } = message;
  const self = hex(raft.id);
  const what = reject ? `${type} rejection` : type;
  logger.info(`${self} received ${what} from ${hex(from)} at term ${raft.term}`);
  raft.tracker.recordVote(from, !reject);
  const { granted, rejected, outcome } = raft.tracker.tallyVotes();
  logger.info(`${self} has received ${granted} ${type} votes and ${rejected} vote rejections`);
  if (outcome === "VoteLost") {
    // The answer to a pre-vote may carry a future term; this node stays in its own.
    becomeFollower(raft, raft.term, none);
  } else if (outcome === "VoteWon") {
    if (raft.role === "preCandidate") {
      runCampaign(raft, "election");
    } else {
      // Others may answer before the own disk has the new term. Leading then would be fatal: after
      // a crash this node could win the same term a second time, with another log.
      if (!raft.tracker.hasVoted(raft.id)) return;
      becomeLeader(raft);
      broadcastAppend(raft);
    }
  }
}
