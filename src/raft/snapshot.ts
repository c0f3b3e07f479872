/** Receiving a snapshot: when it is of use, and how it replaces the log and the membership. */
import { must } from "../base/assert.ts";
import { describeConfState } from "./describe.ts";
import { installConfState } from "./membership.ts";
import { isMember, type Message, none, type Snapshot } from "./message.ts";
import { becomeFollower } from "./roles.ts";
import { hex, type RaftState } from "./state.ts";

export function handleSnapshot(raft: RaftState, message: Message): void {
  const snapshot = must(message.snapshot, "a MsgSnap carries a snapshot");
  const restored = restore(raft, snapshot);
  raft.config.logger.info(
    `${hex(raft.id)} [commit: ${raft.log.committed}] ${restored ? "restored" : "ignored"} snapshot ` +
      `[index: ${snapshot.index}, term: ${snapshot.term}]`,
  );
  const index = restored ? raft.log.lastIndex() : raft.log.committed;
  raft.sendTo("MsgAppResp", message.from, { index });
}

/** False if the snapshot brings nothing new or is not for this node. */
function restore(raft: RaftState, snapshot: Snapshot): boolean {
  const { logger } = raft.config;
  const self = hex(raft.id);
  if (snapshot.index <= raft.log.committed) return false;
  if (raft.role !== "follower") {
    logger.warn(`${self} attempted to restore snapshot as leader; should never happen`);
    becomeFollower(raft, raft.term + 1, none);
    return false;
  }
  if (!isMember(snapshot.conf, raft.id)) {
    logger.warn(
      `${self} attempted to restore snapshot but it is not in the ConfState ` +
        `${describeConfState(snapshot.conf)}; should never happen`,
    );
    return false;
  }
  if (raft.log.matches(snapshot)) {
    // The log holds all of it already; only the commit index was behind.
    logger.info(`${describeTail(raft)} fast-forwarded commit to ${describe(snapshot)}`);
    raft.log.commitTo(snapshot.index);
    return false;
  }
  raft.log.restore(snapshot);
  installConfState(raft, snapshot.conf, snapshot.index);
  logger.info(`${describeTail(raft)} restored ${describe(snapshot)}`);
  return true;
}

function describe(snapshot: Snapshot): string {
  return `snapshot [index: ${snapshot.index}, term: ${snapshot.term}]`;
}

function describeTail(raft: RaftState): string {
  const last = raft.log.lastId();
  return `${hex(raft.id)} [commit: ${raft.log.committed}, lastindex: ${last.index}, lastterm: ${last.term}]`;
}
