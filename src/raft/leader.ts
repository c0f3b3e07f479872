/**
 * What a leader does with each message.
 *
 * It takes proposals and reads, and keeps count of its members: an answer of a node that is not a member
 * means nothing to it. It leads until a higher term, a silent majority, or its own removal ends that.
 */
import { assert } from "../base/assert.ts";
import { screenProposals } from "./membership.ts";
import { type Message, none } from "./message.ts";
import { broadcastAppend, broadcastHeartbeat } from "./outbound.ts";
import { requestRead } from "./reads.ts";
import {
  appendEntries,
  handleAppendResponse,
  handleHeartbeatResponse,
  handleSnapshotStatus,
  handleUnreachable,
  type NewEntry,
} from "./replication.ts";
import { becomeFollower } from "./roles.ts";
import { type DropReason, dropped, hex, ok, type RaftState, type StepResult } from "./state.ts";
import { handleTransfer } from "./transfer.ts";

export type Proposal =
  /** `refused` says why a membership change in the batch was replaced by an empty entry. */
  | { readonly kind: "appended"; readonly refused: string | undefined }
  | { readonly kind: "dropped"; readonly reason: DropReason };

export function stepLeader(raft: RaftState, message: Message): StepResult {
  switch (message.type) {
    case "MsgBeat":
      broadcastHeartbeat(raft);
      return ok;
    case "MsgCheckQuorum":
      checkQuorum(raft);
      return ok;
    case "MsgProp": {
      const proposal = proposeEntries(raft, message.entries);
      return proposal.kind === "dropped" ? dropped(proposal.reason) : ok;
    }
    case "MsgReadIndex":
      return requestRead(raft, message);
    case "MsgForgetLeader":
      return ok;
    default:
      return stepMember(raft, message);
  }
}

/** Appends a batch to the log and sends it to every member. */
export function proposeEntries(raft: RaftState, entries: readonly NewEntry[]): Proposal {
  assert(entries.length > 0, "a proposal has at least one entry");
  // Removed while leading: what it accepted now could only be lost.
  if (raft.tracker.get(raft.id) === undefined) return { kind: "dropped", reason: "notMember" };
  if (raft.transferee !== none) {
    raft.config.logger.debug(
      `${hex(raft.id)} [term ${raft.term}] transfer leadership to ${hex(raft.transferee)} is in progress; dropping proposal`,
    );
    return { kind: "dropped", reason: "transferring" };
  }
  const { pendingConfIndex } = raft;
  const { batch, refused } = screenProposals(raft, entries);
  if (!appendEntries(raft, batch)) {
    raft.pendingConfIndex = pendingConfIndex;
    return { kind: "dropped", reason: "tooManyUncommittedBytes" };
  }
  broadcastAppend(raft);
  return { kind: "appended", refused };
}

/** Steps down if a majority was silent since the last check; silence starts anew for everybody. */
function checkQuorum(raft: RaftState): void {
  if (!raft.tracker.quorumActive()) {
    raft.config.logger.warn(`${hex(raft.id)} stepped down to follower since quorum is not active`);
    becomeFollower(raft, raft.term, none);
  }
  raft.tracker.visit((id, progress) => {
    if (id !== raft.id) progress.recentActive = false;
  });
}

function stepMember(raft: RaftState, message: Message): StepResult {
  const progress = raft.tracker.get(message.from);
  if (progress === undefined) {
    raft.config.logger.debug(`${hex(raft.id)} no progress available for ${hex(message.from)}`);
    return ok;
  }
  switch (message.type) {
    case "MsgAppResp":
      handleAppendResponse(raft, progress, message);
      return ok;
    case "MsgHeartbeatResp":
      handleHeartbeatResponse(raft, progress, message);
      return ok;
    case "MsgSnapStatus":
      handleSnapshotStatus(raft, progress, message);
      return ok;
    case "MsgUnreachable":
      handleUnreachable(raft, progress, message);
      return ok;
    case "MsgTransferLeader":
      handleTransfer(raft, progress, message);
      return ok;
    default:
      return ok;
  }
}
