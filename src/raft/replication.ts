/**
 * The leader's side of replication: taking entries into its log, following each member's progress
 * from the answers, and committing what a quorum has.
 */
import { type Entry, type Message, type NodeId, payloadBytes } from "./message.ts";
import { broadcastAppend, maybeSendAppend, sendAppend, sendTimeoutNow } from "./outbound.ts";
import type { Progress } from "./progress.ts";
import { acknowledgeReads, releaseEarlyReads } from "./reads.ts";
import { hex, type RaftState } from "./state.ts";

export type NewEntry = Pick<Entry, "type" | "data">;

/** Appends to the leader's own log. False if too much is uncommitted already. */
export function appendEntries(raft: RaftState, batch: readonly NewEntry[]): boolean {
  const last = raft.log.lastIndex();
  const entries = batch.map(
    ({ type, data }, position): Entry => ({
      term: raft.term,
      index: last + 1 + position,
      type,
      data,
    }),
  );
  if (!reserveUncommitted(raft, entries)) {
    raft.config.logger.warn(
      `${hex(raft.id)} appending new entries to log would exceed uncommitted entry size limit; dropping proposal`,
    );
    return false;
  }
  const index = raft.log.append(entries);
  // The leader acknowledges its own entries like any member, when its disk has them.
  raft.sendTo("MsgAppResp", raft.id, { index });
  return true;
}

/** True if the commit index moved; the caller then tells the members. */
export function maybeCommit(raft: RaftState): boolean {
  return raft.log.maybeCommit({ term: raft.term, index: raft.tracker.committed() });
}

function reserveUncommitted(raft: RaftState, entries: readonly Entry[]): boolean {
  const bytes = payloadBytes(entries);
  // An empty tail takes any one proposal, and empty entries (the first of a term, the end of a
  // joint configuration) are never refused: a group must not lock itself out by its own limit.
  const exceeds = raft.uncommittedBytes + bytes > raft.config.uncommittedBytesMax;
  if (raft.uncommittedBytes > 0 && bytes > 0 && exceeds) return false;
  raft.uncommittedBytes += bytes;
  return true;
}

/** Gives back the bytes of entries that were applied. May undercount after a change of term. */
export function releaseUncommitted(raft: RaftState, entries: readonly Entry[]): void {
  raft.uncommittedBytes = Math.max(0, raft.uncommittedBytes - payloadBytes(entries));
}

export function handleAppendResponse(raft: RaftState, progress: Progress, message: Message): void {
  progress.recentActive = true;
  if (message.reject) handleRejection(raft, progress, message);
  else handleAcknowledgement(raft, progress, message);
}

/**
 * Finds the next place to probe. The member says where its log may meet ours, with the term it has
 * there. All our positions with a higher term are excluded too, because terms never fall along a
 * log; so each probe settles at least one whole term.
 */
function handleRejection(raft: RaftState, progress: Progress, message: Message): void {
  const { logger } = raft.config;
  const { from, index, rejectHint, logTerm } = message;
  logger.debug(
    `${hex(raft.id)} received MsgAppResp(rejected, hint: (index ${rejectHint}, term ${logTerm})) ` +
      `from ${hex(from)} for index ${index}`,
  );
  const hint = logTerm > 0 ? raft.log.findConflictByTerm(rejectHint, logTerm).index : rejectHint;
  if (!progress.maybeDecrease(index, hint)) return;
  logger.debug(`${hex(raft.id)} decreased progress of ${hex(from)} to [${progress}]`);
  if (progress.state === "StateReplicate") progress.becomeProbe();
  sendAppend(raft, from);
}

function handleAcknowledgement(raft: RaftState, progress: Progress, message: Message): void {
  const { from, index } = message;
  // A probing member that is already caught up acknowledges nothing new, but may leave probing.
  const endsProbe = progress.match === index && progress.state === "StateProbe";
  if (!progress.maybeUpdate(index) && !endsProbe) return;
  advanceState(raft, progress, message);
  if (maybeCommit(raft)) {
    releaseEarlyReads(raft);
    broadcastAppend(raft);
  } else if (from !== raft.id && progress.canBumpCommit(raft.log.committed)) {
    sendAppend(raft, from);
  }
  if (from !== raft.id) sendBacklog(raft, from);
  if (from === raft.transferee && progress.match === raft.log.lastIndex()) {
    raft.config.logger.info(
      `${hex(raft.id)} sent MsgTimeoutNow to ${hex(from)} after received MsgAppResp`,
    );
    sendTimeoutNow(raft, from);
  }
}

function advanceState(raft: RaftState, progress: Progress, message: Message): void {
  if (progress.state === "StateProbe") {
    progress.becomeReplicate();
  } else if (progress.state === "StateReplicate") {
    progress.inflights.freeTo(message.index);
  } else if (progress.match + 1 >= raft.log.firstIndex()) {
    // Whatever snapshot the member installed, ours or one from elsewhere: its log meets ours again.
    raft.config.logger.debug(
      `${hex(raft.id)} recovered from needing snapshot, resumed sending replication messages ` +
        `to ${hex(message.from)} [${progress}]`,
    );
    progress.becomeProbe();
    progress.becomeReplicate();
  }
}

/** An acknowledgement may have made room for several messages: fill the window again. */
function sendBacklog(raft: RaftState, to: NodeId): void {
  let sent = true;
  while (sent) sent = maybeSendAppend(raft, to, false);
}

export function handleHeartbeatResponse(
  raft: RaftState,
  progress: Progress,
  message: Message,
): void {
  progress.recentActive = true;
  progress.paused = false;
  progress.ackedBeat = Math.max(progress.ackedBeat, message.beat);
  // The empty append to a caught-up probing member is what lets it return to replication.
  if (progress.match < raft.log.lastIndex() || progress.state === "StateProbe") {
    sendAppend(raft, message.from);
  }
  acknowledgeReads(raft, message);
}

export function handleSnapshotStatus(raft: RaftState, progress: Progress, message: Message): void {
  if (progress.state !== "StateSnapshot") return;
  // After a failure probing must not start behind a snapshot that never arrived.
  if (message.reject) progress.pendingSnapshot = 0;
  progress.becomeProbe();
  raft.config.logger.debug(
    `${hex(raft.id)} snapshot ${message.reject ? "failed" : "succeeded"}, resumed sending ` +
      `replication messages to ${hex(message.from)} [${progress}]`,
  );
  // Success: wait for the acknowledgement. Failure: wait for a heartbeat before trying again.
  progress.paused = true;
}

export function handleUnreachable(raft: RaftState, progress: Progress, message: Message): void {
  // Most likely an append was lost with the connection, so its successors would be refused.
  if (progress.state === "StateReplicate") progress.becomeProbe();
  raft.config.logger.debug(
    `${hex(raft.id)} failed to send message to ${hex(message.from)} because it is unreachable [${progress}]`,
  );
}
