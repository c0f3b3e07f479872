/**
 * Handing leadership to a named voter: stop taking proposals, bring it up to date, then tell it to
 * campaign at once. Given up after one election timeout, or when the target leaves the group.
 */
import { type Message, none } from "./message.ts";
import { sendAppend, sendTimeoutNow } from "./outbound.ts";
import type { Progress } from "./progress.ts";
import { hex, type RaftState } from "./state.ts";

/** `message.from` is the node that shall lead. */
export function handleTransfer(raft: RaftState, progress: Progress, message: Message): void {
  const { logger } = raft.config;
  const self = hex(raft.id);
  const target = message.from;
  if (progress.isLearner) {
    logger.debug(`${self} is learner. Ignored transferring leadership`);
    return;
  }
  if (raft.transferee === target) {
    logger.info(
      `${self} [term ${raft.term}] transfer leadership to ${hex(target)} is in progress, ` +
        `ignores request to same node ${hex(target)}`,
    );
    return;
  }
  if (raft.transferee !== none) {
    const previous = raft.transferee;
    raft.transferee = none;
    logger.info(
      `${self} [term ${raft.term}] abort previous transferring leadership to ${hex(previous)}`,
    );
  }
  if (target === raft.id) {
    logger.debug(`${self} is already leader. Ignored transferring leadership to self`);
    return;
  }
  logger.info(`${self} [term ${raft.term}] starts to transfer leadership to ${hex(target)}`);
  // The transfer gets one whole election timeout from now.
  raft.electionElapsed = 0;
  raft.transferee = target;
  if (progress.match === raft.log.lastIndex()) {
    sendTimeoutNow(raft, target);
    logger.info(
      `${self} sends MsgTimeoutNow to ${hex(target)} immediately as ${hex(target)} already has up-to-date log`,
    );
  } else {
    sendAppend(raft, target);
  }
}
