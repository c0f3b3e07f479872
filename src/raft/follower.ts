/** What a follower does with each message, and how any node takes appends and heartbeats. */
import { startElection } from "./election.ts";
import { type Message, none } from "./message.ts";
import { handleSnapshot } from "./snapshot.ts";
import { dropped, hex, ok, type RaftState, type StepResult } from "./state.ts";

export function stepFollower(raft: RaftState, message: Message): StepResult {
  switch (message.type) {
    case "MsgProp":
      return forwardProposal(raft, message);
    case "MsgApp":
      followLeader(raft, message);
      handleAppend(raft, message);
      return ok;
    case "MsgHeartbeat":
      followLeader(raft, message);
      handleHeartbeat(raft, message);
      return ok;
    case "MsgSnap":
      followLeader(raft, message);
      handleSnapshot(raft, message);
      return ok;
    case "MsgTransferLeader":
      return forward(raft, message, "leader transfer msg");
    case "MsgReadIndex":
      return forward(raft, message, "index reading msg");
    case "MsgForgetLeader":
      forgetLeader(raft);
      return ok;
    case "MsgTimeoutNow":
      raft.config.logger.info(
        `${hex(raft.id)} [term ${raft.term}] received MsgTimeoutNow from ${hex(message.from)} ` +
          "and starts an election to get leadership.",
      );
      startElection(raft, "transfer");
      return ok;
    case "MsgReadIndexResp":
      raft.readStates.push({ index: message.index, token: message.token });
      return ok;
    default:
      return ok;
  }
}

function followLeader(raft: RaftState, message: Message): void {
  raft.electionElapsed = 0;
  raft.leader = message.from;
}

function forwardProposal(raft: RaftState, message: Message): StepResult {
  const { logger, forwardProposals } = raft.config;
  if (raft.leader === none) {
    logger.info(`${hex(raft.id)} no leader at term ${raft.term}; dropping proposal`);
    return dropped("noLeader");
  }
  if (!forwardProposals) {
    logger.info(
      `${hex(raft.id)} not forwarding to leader ${hex(raft.leader)} at term ${raft.term}; dropping proposal`,
    );
    return dropped("notForwarding");
  }
  raft.send({ ...message, to: raft.leader });
  return ok;
}

function forward(raft: RaftState, message: Message, what: string): StepResult {
  if (raft.leader === none) {
    raft.config.logger.info(`${hex(raft.id)} no leader at term ${raft.term}; dropping ${what}`);
    return dropped("noLeader");
  }
  raft.send({ ...message, to: raft.leader });
  return ok;
}

function forgetLeader(raft: RaftState): void {
  const { logger, readMode } = raft.config;
  if (readMode === "lease") {
    // A lease read trusts that followers stand by the leader for a whole election timeout.
    logger.error("ignoring MsgForgetLeader due to ReadOnlyLeaseBased");
    return;
  }
  if (raft.leader === none) return;
  logger.info(`${hex(raft.id)} forgetting leader ${hex(raft.leader)} at term ${raft.term}`);
  raft.leader = none;
}

export function handleAppend(raft: RaftState, message: Message): void {
  const { from, index, logTerm } = message;
  if (index < raft.log.committed) {
    // Older than what is committed here. Nothing in it can be new.
    raft.sendTo("MsgAppResp", from, { index: raft.log.committed });
    return;
  }
  const previous = { term: logTerm, index };
  const last = raft.log.maybeAppend(previous, message.entries, message.commit);
  if (last !== undefined) {
    raft.sendTo("MsgAppResp", from, { index: last });
    return;
  }
  raft.config.logger.debug(
    `${hex(raft.id)} [logterm: ${raft.log.termOrZero(index)}, index: ${index}] rejected MsgApp ` +
      `[logterm: ${logTerm}, index: ${index}] from ${hex(from)}`,
  );
  // All that the leader has up to `index` is of a term up to `logTerm`. Where this log has a higher
  // term the two cannot meet.
  const hint = raft.log.findConflictByTerm(Math.min(index, raft.log.lastIndex()), logTerm);
  raft.sendTo("MsgAppResp", from, {
    index,
    reject: true,
    rejectHint: hint.index,
    logTerm: hint.term,
  });
}

export function handleHeartbeat(raft: RaftState, message: Message): void {
  raft.log.commitTo(message.commit);
  raft.sendTo("MsgHeartbeatResp", message.from, { token: message.token, beat: message.beat });
}
