/** How finished storage work is reported back to the node that handed it out. */
import {
  appendThread,
  applyThread,
  createMessage,
  type Entry,
  type Message,
  type NodeId,
} from "./message.ts";
import type { AppendWork } from "./ready.ts";

/** What the log writer reports about its own node, if there is anything to report. */
export function appendedMessage(id: NodeId, work: AppendWork): Message | undefined {
  if (work.stable === undefined && work.snapshot === undefined) return undefined;
  return createMessage("MsgStorageAppendResp", id, {
    from: appendThread,
    term: work.term,
    index: work.stable?.index ?? 0,
    logTerm: work.stable?.term ?? 0,
    snapshot: work.snapshot,
  });
}

/** What the state machine reports. Committed entries are beyond terms, so it carries none. */
export function appliedMessage(id: NodeId, entries: readonly Entry[]): Message {
  return createMessage("MsgStorageApplyResp", id, { from: applyThread, entries });
}
