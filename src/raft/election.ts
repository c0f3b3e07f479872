/**
 * Campaigning and voting.
 *
 * With pre-vote a node first asks whether it would win, for a term that it does not enter yet. It
 * enters it, and writes a vote, only after a quorum said yes. So a node that returns from isolation
 * does not depose anybody.
 *
 * Requests and rejections also carry the sender's commit index. Membership counts from when it is
 * applied, and who does not know that a change is committed may neither win by the old rules nor
 * campaign by the new ones, while those who know have the shorter log. The hint lets them know.
 */

import type { Index, Message, MessageType, Term } from "./message.ts";
import { none } from "./message.ts";
import { jointIds } from "./quorum.ts";
import { becomeCandidate, becomePreCandidate } from "./roles.ts";
import { hex, type RaftState } from "./state.ts";

/** A transfer skips the pre-vote and overrides leases: the old leader itself asked for it. */
export type Campaign = "preElection" | "election" | "transfer";

/** Starts a campaign unless this node must not lead. */
export function startElection(raft: RaftState, campaign: Campaign): void {
  const { logger } = raft.config;
  const self = hex(raft.id);
  if (raft.role === "leader") {
    logger.debug(`${self} ignoring MsgHup because already leader`);
    return;
  }
  if (!raft.isPromotable) {
    logger.warn(`${self} is unpromotable and can not campaign`);
    return;
  }
  // Membership counts from when it is applied. Whoever campaigned before that might count the
  // majority of a configuration that the group has already left.
  if (raft.log.hasConfChangeWithin(raft.log.applied + 1, raft.log.committed)) {
    logger.warn(
      `${self} cannot campaign at term ${raft.term} since there are still pending configuration changes to apply`,
    );
    return;
  }
  logger.info(`${self} is starting a new election at term ${raft.term}`);
  runCampaign(raft, campaign);
}

export function runCampaign(raft: RaftState, campaign: Campaign): void {
  const isPreVote = campaign === "preElection";
  if (isPreVote) becomePreCandidate(raft);
  else becomeCandidate(raft);
  const type: MessageType = isPreVote ? "MsgPreVote" : "MsgVote";
  const term = isPreVote ? raft.term + 1 : raft.term;
  const last = raft.log.lastId();
  for (const id of jointIds(raft.tracker.membership.voters)) {
    if (id === raft.id) {
      raft.sendTo(responseType(type), id, { term });
      continue;
    }
    raft.config.logger.info(
      `${hex(raft.id)} [logterm: ${last.term}, index: ${last.index}] ` +
        `sent ${type} request to ${hex(id)} at term ${raft.term}`,
    );
    raft.sendTo(type, id, {
      term,
      index: last.index,
      logTerm: last.term,
      force: campaign === "transfer",
      ...commitHint(raft),
    });
  }
}

/**
 * For how many ticks no vote is given against a leader that was heard from lately. 0: it may be given.
 */
export function remainingLease(raft: RaftState): number {
  const { checkQuorum, electionTicks } = raft.config;
  if (!checkQuorum) return 0;
  const heard = raft.leader === none ? 0 : electionTicks - raft.electionElapsed;
  return Math.max(0, heard, raft.voteFrom - raft.now);
}

export function ignoreForLease(raft: RaftState, message: Message): void {
  raft.config.logger.info(
    `${describeRequest(raft, "ignored", message)}: lease is not expired (remaining ticks: ${remainingLease(raft)})`,
  );
}

/**
 * Grants or refuses a vote. A grant repeats the term of the request: for a pre-vote that is a future
 * term, and an answer with the own, older one would be ignored by the candidate. Learners answer
 * too, because they may have been promoted without having heard of it yet.
 */
export function handleVoteRequest(raft: RaftState, message: Message): void {
  const { type, from, term } = message;
  const isPreVote = type === "MsgPreVote";
  const canVote =
    raft.vote === from ||
    (raft.vote === none && raft.leader === none) ||
    (isPreVote && term > raft.term);
  if (!canVote || !raft.log.isUpToDate({ term: message.logTerm, index: message.index })) {
    rejectVote(raft, message);
    learnCommit(raft, message);
    return;
  }
  raft.config.logger.info(describeRequest(raft, "cast", message));
  raft.sendTo(responseType(type), from, { term });
  if (isPreVote) return;
  raft.electionElapsed = 0;
  raft.vote = from;
}

export function rejectVote(raft: RaftState, message: Message): void {
  raft.config.logger.info(describeRequest(raft, "rejected", message));
  const { term } = raft;
  const fields = { term, reject: true, ...commitHint(raft) };
  raft.sendTo(responseType(message.type), message.from, fields);
}

function commitHint(raft: RaftState): { commit: Index; commitTerm: Term } {
  const { committed } = raft.log;
  return { commit: committed, commitTerm: raft.log.termOrZero(committed) };
}

/**
 * Commits what the sender knows to be committed, if a membership change is among it. An entry that
 * stands in both logs is the same in both, so its position is proof enough. True if it did.
 */
export function learnCommit(raft: RaftState, message: Message): boolean {
  const { commit, commitTerm } = message;
  if (commitTerm === 0 || !raft.log.matches({ index: commit, term: commitTerm })) return false;
  if (!raft.log.hasConfChangeWithin(raft.log.committed + 1, commit)) return false;
  raft.log.commitTo(commit);
  raft.config.logger.info(
    `${hex(raft.id)} learned from ${hex(message.from)} that membership changes up to index ${commit} are committed`,
  );
  return true;
}

function responseType(type: MessageType): "MsgVoteResp" | "MsgPreVoteResp" {
  return type === "MsgPreVote" ? "MsgPreVoteResp" : "MsgVoteResp";
}

function describeRequest(
  raft: RaftState,
  verb: "cast" | "rejected" | "ignored",
  message: Message,
): string {
  const last = raft.log.lastId();
  return (
    `${hex(raft.id)} [logterm: ${last.term}, index: ${last.index}, vote: ${hex(raft.vote)}] ` +
    `${verb} ${message.type} ${verb === "cast" ? "for" : "from"} ${hex(message.from)} ` +
    `[logterm: ${message.logTerm}, index: ${message.index}] at term ${raft.term}`
  );
}
