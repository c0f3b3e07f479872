/**
 * Changes of membership. A configuration counts from the moment its entry is applied, on every
 * member by itself. So at most one change may be proposed and unapplied at a time, and a node with
 * an unapplied change does not campaign.
 */
import { assert } from "../base/assert.ts";
import { type ChangeBase, changeMembership, type Layout, restoreMembership } from "./changer.ts";
import {
  type ConfChange,
  decodeConfChange,
  describeConfChange,
  isConfChangeType,
} from "./conf-change.ts";
import { type ConfState, type Entry, emptyData, type Index, none } from "./message.ts";
import { broadcastAppend, maybeSendAppend } from "./outbound.ts";
import { isVoter, type JointVoters, sortedIds } from "./quorum.ts";
import { maybeCommit, type NewEntry } from "./replication.ts";
import { becomeFollower } from "./roles.ts";
import { hex, type RaftState } from "./state.ts";
import { describeMembership, emptyMembership, isJoint } from "./tracker.ts";

function changeBase(raft: RaftState): ChangeBase {
  const { membership, progress, inflightMessagesMax, inflightBytesMax } = raft.tracker;
  const lastIndex = raft.log.lastIndex();
  return { membership, progress, lastIndex, inflightMessagesMax, inflightBytesMax };
}

/**
 * Checks the membership changes of a batch before it is appended. A change that is not possible now
 * is replaced by an empty entry, so that the positions of the others stay as proposed.
 */
export function screenProposals(
  raft: RaftState,
  batch: readonly NewEntry[],
): { readonly batch: readonly NewEntry[]; readonly refused: string | undefined } {
  if (!batch.some((entry) => isConfChangeType(entry.type))) return { batch, refused: undefined };
  let refused: string | undefined;
  const screened = batch.map((entry, position): NewEntry => {
    if (!isConfChangeType(entry.type)) return entry;
    const change = decodeConfChange(entry.data);
    const reason = change === undefined ? "malformed conf change" : findRefusal(raft, change);
    if (reason === undefined) {
      raft.pendingConfIndex = raft.log.lastIndex() + position + 1;
      return entry;
    }
    refused = reason;
    raft.config.logger.info(
      `${hex(raft.id)} ignoring conf change ${change === undefined ? "" : describeConfChange(change)} ` +
        `at config ${describeMembership(raft.tracker.membership)}: ${reason}`,
    );
    return { type: "EntryNormal", data: emptyData };
  });
  return { batch: screened, refused };
}

function findRefusal(raft: RaftState, change: ConfChange): string | undefined {
  if (!raft.config.validateConfChanges) return undefined;
  if (raft.pendingConfIndex > raft.log.applied) {
    return (
      `possible unapplied conf change at index ${raft.pendingConfIndex} ` +
      `(applied to ${raft.log.applied})`
    );
  }
  const joint = isJoint(raft.tracker.membership);
  const leaves = change.changes.length === 0;
  if (joint && !leaves) return "must transition out of joint config first";
  if (!joint && leaves) return "not in joint state; refusing empty conf change";
  // Once it is in the log every member must be able to apply it, so try it out first.
  const result = changeMembership(changeBase(raft), change);
  return result.kind === "refused" ? result.reason : undefined;
}

/**
 * Makes a committed change effective on this node. Returns the configuration for the snapshot, or
 * undefined if a newer snapshot has replaced the configuration meanwhile.
 */
export function applyConfChange(raft: RaftState, entry: Entry): ConfState | undefined {
  if (entry.index <= raft.confIndex) return undefined;
  const layout = layoutAfter(raft, entry);
  raft.confIndex = entry.index;
  return switchMembership(raft, layout);
}

/** Who will vote once a committed change that is not applied here yet is. */
export function votersAfter(raft: RaftState, entry: Entry): JointVoters {
  return layoutAfter(raft, entry).membership.voters;
}

function layoutAfter(raft: RaftState, entry: Entry): Layout {
  const change = decodeConfChange(entry.data);
  assert(change !== undefined, `the membership change at index ${entry.index} can be read`);
  const result = changeMembership(changeBase(raft), change);
  assert(
    result.kind === "changed",
    `a committed membership change can be applied: ${describeConfChange(change)} at ` +
      `${describeMembership(raft.tracker.membership)}: ${result.kind === "refused" ? result.reason : ""}`,
  );
  return result.layout;
}

/** Installs the configuration of a restart or a snapshot in place of the current one. */
export function installConfState(raft: RaftState, conf: ConfState, index: Index): void {
  const base = { ...changeBase(raft), membership: emptyMembership, progress: new Map() };
  const result = restoreMembership(base, conf);
  assert(
    result.kind === "changed",
    `a stored configuration can be restored: ${result.kind === "refused" ? result.reason : ""}`,
  );
  raft.confIndex = index;
  const restored = switchMembership(raft, result.layout);
  assert(equalConfStates(conf, restored), "a restored configuration is the stored one");
}

function switchMembership(raft: RaftState, layout: Layout): ConfState {
  raft.tracker.install(layout.membership, layout.progress);
  raft.config.logger.info(
    `${hex(raft.id)} switched to configuration ${describeMembership(layout.membership)}`,
  );
  const conf = raft.tracker.confState();
  const own = raft.tracker.get(raft.id);
  if (raft.role !== "leader") return conf;
  if (own === undefined || own.isLearner) {
    // Without the option it keeps leading, without counting itself, until somebody replaces it.
    if (raft.config.stepDownOnRemoval) becomeFollower(raft, raft.term, none);
    return conf;
  }
  if (conf.voters.length === 0) return conf;
  if (maybeCommit(raft)) {
    // A smaller quorum can commit at once what the larger one was still waiting for.
    broadcastAppend(raft);
  } else {
    // New members need not wait for the next heartbeat to be probed.
    for (const id of raft.tracker.ids) if (id !== raft.id) maybeSendAppend(raft, id, false);
  }
  if (raft.transferee !== none && !isVoter(layout.membership.voters, raft.transferee)) {
    raft.transferee = none;
  }
  return conf;
}

function equalConfStates(a: ConfState, b: ConfState): boolean {
  const text = (conf: ConfState) =>
    [conf.voters, conf.votersOutgoing, conf.learners, conf.learnersNext]
      .map((ids) => sortedIds(ids).join(" "))
      .concat(String(conf.autoLeave))
      .join("/");
  return text(a) === text(b);
}
