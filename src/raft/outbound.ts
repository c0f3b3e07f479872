/**
 * What a leader sends on its own account: appends, snapshots, heartbeats. Each function decides from
 * the member's progress alone whether and what to send, so it may be called at any time.
 */
import { assert, must } from "../base/assert.ts";
import { type Entry, type NodeId, payloadBytes } from "./message.ts";
import type { Progress } from "./progress.ts";
import { hex, type RaftState } from "./state.ts";
import { isGap } from "./storage.ts";

/** Sends an append, even an empty one, which then carries only the commit index. */
export function sendAppend(raft: RaftState, to: NodeId): void {
  maybeSendAppend(raft, to, true);
}

/** Sends an append if there is something to send and the flow is open. True if it was sent. */
export function maybeSendAppend(raft: RaftState, to: NodeId, sendIfEmpty: boolean): boolean {
  const progress = must(raft.tracker.get(to), "appends go to members");
  if (progress.isPaused) return false;
  const previousIndex = progress.next - 1;
  const previousTerm = raft.log.term(previousIndex);
  if (isGap(previousTerm)) return maybeSendSnapshot(raft, to, progress);
  let entries: readonly Entry[] = [];
  // Into a full window only empty appends go. Their answer is what reopens the window if all the
  // messages in it were lost.
  if (progress.state !== "StateReplicate" || !progress.inflights.isFull) {
    const available = raft.log.entriesFrom(progress.next, raft.config.messageBytesMax);
    if (isGap(available)) return sendIfEmpty && maybeSendSnapshot(raft, to, progress);
    entries = available;
  }
  if (entries.length === 0 && !sendIfEmpty) return false;
  raft.sendTo("MsgApp", to, {
    index: previousIndex,
    logTerm: previousTerm,
    entries,
    commit: raft.log.committed,
  });
  progress.sentEntries(entries.length, payloadBytes(entries));
  progress.sentCommit(raft.log.committed);
  return true;
}

function maybeSendSnapshot(raft: RaftState, to: NodeId, progress: Progress): boolean {
  const { logger } = raft.config;
  if (!progress.recentActive) {
    logger.debug(`ignore sending snapshot to ${hex(to)} since it is not recently active`);
    return false;
  }
  const snapshot = raft.log.snapshot(to);
  if (snapshot === "unavailable") {
    logger.debug(
      `${hex(raft.id)} failed to send snapshot to ${hex(to)} because snapshot is temporarily unavailable`,
    );
    return false;
  }
  const { index, term } = snapshot;
  assert(index > 0, "a log that lost its beginning has a snapshot of it");
  logger.debug(
    `${hex(raft.id)} [firstindex: ${raft.log.firstIndex()}, commit: ${raft.log.committed}] ` +
      `sent snapshot[index: ${index}, term: ${term}] to ${hex(to)} [${progress}]`,
  );
  progress.becomeSnapshot(index);
  logger.debug(`${hex(raft.id)} paused sending replication messages to ${hex(to)} [${progress}]`);
  raft.sendTo("MsgSnap", to, { snapshot });
  return true;
}

export function broadcastAppend(raft: RaftState): void {
  for (const id of raft.tracker.ids) if (id !== raft.id) sendAppend(raft, id);
}

/** Heartbeats carry the read queue's position, so that one round confirms every pending read. */
export function broadcastHeartbeat(raft: RaftState): void {
  const token = raft.reads.position;
  raft.tracker.visit((id, progress) => {
    if (id === raft.id) return;
    // A member may not hold all that is committed; its commit index must not pass what it holds.
    const commit = Math.min(progress.match, raft.log.committed);
    raft.sendTo("MsgHeartbeat", id, { commit, token, beat: raft.now });
    progress.sentCommit(commit);
  });
}

export function sendTimeoutNow(raft: RaftState, to: NodeId): void {
  raft.handedOver = true;
  raft.sendTo("MsgTimeoutNow", to);
}
