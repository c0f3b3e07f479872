/**
 * The protocol's three inputs: build a member from its storage, `step` a message, `tick` the clock.
 *
 * `step` first settles whose term is newer, because that rule is the same for every message, and
 * then leaves the message to the chapter of the current role. All inputs are synchronous and have
 * no effect outside this object; what has to be written or sent is collected for `Ready`.
 */
import { assert } from "../base/assert.ts";
import { stepCandidate } from "./candidate.ts";
import { type RaftConfig, type RaftOptions, resolveConfig } from "./config.ts";
import {
  handleVoteRequest,
  ignoreForLease,
  learnCommit,
  rejectVote,
  remainingLease,
  startElection,
} from "./election.ts";
import { stepFollower } from "./follower.ts";
import { proposeEntries, stepLeader } from "./leader.ts";
import { installConfState } from "./membership.ts";
import {
  createMessage,
  emptyData,
  entriesBytes,
  type Index,
  type Message,
  none,
} from "./message.ts";
import { jointIds } from "./quorum.ts";
import { releaseUncommitted } from "./replication.ts";
import { becomeFollower } from "./roles.ts";
import { hex, ok, RaftState, type StepResult } from "./state.ts";
import { describeMembership } from "./tracker.ts";

export function createRaft(options: RaftOptions): RaftState {
  const config = resolveConfig(options);
  const raft = new RaftState(config);
  const last = raft.log.lastId();
  const { hard, conf } = config.storage.initialState();
  installConfState(raft, conf, Math.max(config.applied, raft.log.applied));
  raft.term = hard.term;
  raft.vote = hard.vote;
  if (config.readMode === "lease" && hard.term > 0) raft.voteFrom = raft.now + config.electionTicks;
  assert(
    hard.commit <= last.index && config.applied <= last.index,
    `node ${raft.id}: the log ends at ${last.index} but ${hard.commit} was committed and ` +
      `${config.applied} applied; it lost entries, so rejoin with an empty data directory`,
  );
  // A commit index alone is not synced, so the state machine and the start of the log may have
  // outlived it. What was applied or compacted was committed.
  raft.log.commitTo(Math.max(hard.commit, config.applied));
  if (config.applied > 0) raft.log.appliedTo(config.applied, 0);
  becomeFollower(raft, raft.term, none);
  logStart(config, raft);
  return raft;
}

function logStart(config: RaftConfig, raft: RaftState): void {
  const last = raft.log.lastId();
  const peers = jointIds(raft.tracker.membership.voters).map(hex).join(",");
  config.logger.info(
    `newRaft ${hex(raft.id)} [peers: [${peers}], term: ${raft.term}, commit: ${raft.log.committed}, ` +
      `applied: ${raft.log.applied}, lastindex: ${last.index}, lastterm: ${last.term}]`,
  );
}

export function tick(raft: RaftState): void {
  raft.now += 1;
  raft.electionElapsed += 1;
  if (raft.role !== "leader") {
    if (raft.isPromotable && raft.electionElapsed >= raft.randomizedElectionTicks) {
      raft.electionElapsed = 0;
      step(raft, createMessage("MsgHup", none, { from: raft.id }));
    }
    return;
  }
  raft.heartbeatElapsed += 1;
  if (raft.electionElapsed >= raft.config.electionTicks) {
    raft.electionElapsed = 0;
    if (raft.config.checkQuorum) {
      step(raft, createMessage("MsgCheckQuorum", none, { from: raft.id }));
    }
    // A transfer that took this long has failed: this node leads on.
    raft.transferee = none;
  }
  if (!isLeader(raft)) return;
  if (raft.heartbeatElapsed >= raft.config.heartbeatTicks) {
    raft.heartbeatElapsed = 0;
    step(raft, createMessage("MsgBeat", none, { from: raft.id }));
  }
}

function isLeader(raft: RaftState): boolean {
  return raft.role === "leader";
}

export function step(raft: RaftState, message: Message): StepResult {
  if (message.term > raft.term) {
    if (!acceptHigherTerm(raft, message)) return ok;
  } else if (message.term !== 0 && message.term < raft.term) {
    answerLowerTerm(raft, message);
    return ok;
  }
  switch (message.type) {
    case "MsgHup":
      startElection(raft, raft.config.preVote ? "preElection" : "election");
      return ok;
    case "MsgVote":
    case "MsgPreVote":
      handleVoteRequest(raft, message);
      return ok;
    case "MsgStorageAppendResp":
      if (message.index !== 0) {
        raft.log.unstable.stableTo({ term: message.logTerm, index: message.index });
      }
      snapshotInstalled(raft, message);
      return ok;
    case "MsgStorageApplyResp":
      entriesApplied(raft, message);
      return ok;
    default:
      return stepRole(raft, message);
  }
}

function stepRole(raft: RaftState, message: Message): StepResult {
  if (raft.role === "leader") return stepLeader(raft, message);
  if (message.reject && learnCommit(raft, message)) {
    // Whoever has a change to apply does not campaign.
    becomeFollower(raft, raft.term, raft.leader);
    return ok;
  }
  if (raft.role === "follower") return stepFollower(raft, message);
  return stepCandidate(raft, message);
}

/** Enters the newer term, where the message is proof of one. False if it is to be ignored. */
function acceptHigherTerm(raft: RaftState, message: Message): boolean {
  const { type, from, term } = message;
  const asksForVote = type === "MsgVote" || type === "MsgPreVote";
  if (asksForVote && !message.force && remainingLease(raft) > 0) {
    ignoreForLease(raft, message);
    return false;
  }
  // A pre-vote and its grant talk about a term that nobody has entered yet.
  if (type === "MsgPreVote" || (type === "MsgPreVoteResp" && !message.reject)) return true;
  raft.config.logger.info(
    `${hex(raft.id)} [term: ${raft.term}] received a ${type} message with higher term ` +
      `from ${hex(from)} [term: ${term}]`,
  );
  const isFromLeader = type === "MsgApp" || type === "MsgHeartbeat" || type === "MsgSnap";
  becomeFollower(raft, term, isFromLeader ? from : none);
  return true;
}

function answerLowerTerm(raft: RaftState, message: Message): void {
  const { logger, checkQuorum, preVote } = raft.config;
  const { type, from, term } = message;
  if ((checkQuorum || preVote) && (type === "MsgHeartbeat" || type === "MsgApp")) {
    // This node once reached a higher term alone. Votes no longer carry it to the others, so the
    // old leader must learn it here, or this node would stay out for ever.
    raft.sendTo("MsgAppResp", from);
  } else if (type === "MsgPreVote") {
    // Silence could deadlock a high-term node with a short log and a low-term one with a long log.
    rejectVote(raft, message);
  } else if (type === "MsgStorageAppendResp") {
    if (message.index !== 0) {
      // Since that write began the same indexes may have been written twice more, the last time
      // with equal entries (A, B, A). Only a completion of the current term says what is on disk.
      logger.info(
        `${hex(raft.id)} [term: ${raft.term}] ignored entry appends from a ${type} message ` +
          `with lower term [term: ${term}]`,
      );
    }
    // A snapshot is committed state: it is valid in every term.
    snapshotInstalled(raft, message);
  } else {
    logger.info(
      `${hex(raft.id)} [term: ${raft.term}] ignored a ${type} message with lower term ` +
        `from ${hex(from)} [term: ${term}]`,
    );
  }
}

function snapshotInstalled(raft: RaftState, message: Message): void {
  if (message.snapshot === undefined) return;
  const { index } = message.snapshot;
  raft.log.unstable.stableSnapshotTo(index);
  appliedTo(raft, index, 0);
}

function entriesApplied(raft: RaftState, message: Message): void {
  const last = message.entries.at(-1);
  if (last === undefined) return;
  appliedTo(raft, last.index, entriesBytes(message.entries));
  releaseUncommitted(raft, message.entries);
}

function appliedTo(raft: RaftState, index: Index, bytes: number): void {
  const applied = Math.max(index, raft.log.applied);
  raft.log.appliedTo(applied, bytes);
  const { membership } = raft.tracker;
  if (!membership.autoLeave || applied < raft.pendingConfIndex || raft.role !== "leader") return;
  // If a transfer blocks the proposal it is made again with the next applied entry.
  const proposal = proposeEntries(raft, [{ type: "EntryConfChangeV2", data: emptyData }]);
  const text = describeMembership(membership);
  if (proposal.kind === "dropped") {
    raft.config.logger.debug(
      `not initiating automatic transition out of joint configuration ${text}: raft proposal dropped`,
    );
  } else {
    raft.config.logger.info(`initiating automatic transition out of joint configuration ${text}`);
  }
}
