/**
 * One canonical text for everything that crosses the core's border. Transcripts compare it and
 * operators read it in bug reports, so a change here changes every expected output.
 *
 * Indexes and terms are decimal, ids in messages are hexadecimal, the two storage threads appear by
 * name. An entry reads `term/index type payload`.
 */

import { appendedMessage, appliedMessage } from "./completion.ts";
import { decodeConfChange, describeNodeChanges } from "./conf-change.ts";
import {
  appendThread,
  applyThread,
  type ConfState,
  createMessage,
  type Entry,
  type HardState,
  type Message,
  type NodeId,
  none,
  type ReadState,
  type Role,
  type Snapshot,
  type SoftState,
} from "./message.ts";
import type { AppendWork, ApplyWork, Ready } from "./ready.ts";
import type { SyncBatch } from "./sync-node.ts";

export const roleNames: Record<Role, string> = {
  follower: "StateFollower",
  candidate: "StateCandidate",
  leader: "StateLeader",
  preCandidate: "StatePreCandidate",
};

function describeSoftState(soft: SoftState): string {
  return `Lead:${soft.leader} State:${roleNames[soft.role]}`;
}

function describeHardState(hard: HardState): string {
  const vote = hard.vote === none ? "" : ` Vote:${hard.vote}`;
  return `Term:${hard.term}${vote} Commit:${hard.commit}`;
}

export function describeConfState(conf: ConfState): string {
  const list = (ids: readonly NodeId[]) => `[${ids.join(" ")}]`;
  return (
    `Voters:${list(conf.voters)} VotersOutgoing:${list(conf.votersOutgoing)} ` +
    `Learners:${list(conf.learners)} LearnersNext:${list(conf.learnersNext)} ` +
    `AutoLeave:${conf.autoLeave}`
  );
}

function describeSnapshot(snapshot: Snapshot): string {
  return `Index:${snapshot.index} Term:${snapshot.term} ConfState:${describeConfState(snapshot.conf)}`;
}

function describeEntry(entry: Entry): string {
  const payload = describePayload(entry);
  return `${entry.term}/${entry.index} ${entry.type}${payload === "" ? "" : ` ${payload}`}`;
}

/** One line per entry. */
export function describeEntries(entries: readonly Entry[]): string {
  return entries.map((entry) => `${describeEntry(entry)}\n`).join("");
}

function describePayload(entry: Entry): string {
  if (entry.type === "EntryNormal") return quote(entry.data);
  const change = decodeConfChange(entry.data);
  return change === undefined ? "malformed" : describeNodeChanges(change.changes);
}

const escapes = new Map([
  ["\n", "\\n"],
  ["\r", "\\r"],
  ["\t", "\\t"],
  ['"', '\\"'],
  ["\\", "\\\\"],
]);

/** The payload as a string literal; bytes that are no text appear as \x.. */
function quote(data: Uint8Array): string {
  let text = "";
  for (const byte of data) {
    const character = String.fromCharCode(byte);
    const isPlain = byte >= 0x20 && byte < 0x7f;
    const code = `\\x${byte.toString(16).padStart(2, "0")}`;
    text += escapes.get(character) ?? (isPlain ? character : code);
  }
  return `"${text}"`;
}

export function describeMessage(message: Message, indent = ""): string {
  const { from, to, type, term, logTerm, index, entries, snapshot, responses } = message;
  let text = `${indent}${target(from)}->${target(to)} ${type} Term:${term} Log:${logTerm}/${index}`;
  if (message.reject) text += ` Rejected (Hint: ${message.rejectHint})`;
  // In votes the commit index is a hint and says nothing about the message's own effect.
  if (message.commit !== 0 && message.commitTerm === 0) text += ` Commit:${message.commit}`;
  if (message.vote !== none) text += ` Vote:${message.vote}`;
  if (type === "MsgReadIndex" || type === "MsgReadIndexResp") text += ` Token:${message.token}`;
  const [first] = entries;
  if (first !== undefined && entries.length === 1) {
    text += ` Entries:[${describeEntry(first)}]`;
  } else if (entries.length > 1) {
    const lines = entries.map((entry) => `\n${indent}  ${describeEntry(entry)}`);
    text += ` Entries:[${lines.join("")}\n${indent}]`;
  }
  if (snapshot !== undefined && snapshot.index > 0) {
    text += `\n${indent}  Snapshot: ${describeSnapshot(snapshot)}`;
  }
  if (responses.length > 0) {
    const lines = responses.map((response) => `\n${describeMessage(response, `${indent}  `)}`);
    text += ` Responses:[${lines.join("")}\n${indent}]`;
  }
  return text;
}

function target(id: NodeId): string {
  if (id === none) return "None";
  if (id === appendThread) return "AppendThread";
  if (id === applyThread) return "ApplyThread";
  return id.toString(16);
}

/** Work for the log writer, written as a message to it with the responses that wait for it. */
export function appendWorkMessage(id: NodeId, work: AppendWork): Message {
  const done = appendedMessage(id, work);
  return createMessage("MsgStorageAppend", appendThread, {
    from: id,
    term: work.hard?.term ?? 0,
    vote: work.hard?.vote ?? none,
    commit: work.hard?.commit ?? 0,
    entries: work.entries,
    snapshot: work.snapshot,
    responses: done === undefined ? work.after : [...work.after, done],
  });
}

export function applyWorkMessage(id: NodeId, work: ApplyWork): Message {
  return createMessage("MsgStorageApply", applyThread, {
    from: id,
    entries: work.entries,
    responses: [appliedMessage(id, work.entries)],
  });
}

export function describeReady(id: NodeId, ready: Ready): string {
  const { soft, reads, append, apply } = ready;
  const messages = [...ready.messages];
  if (append !== undefined) messages.push(appendWorkMessage(id, append));
  if (apply !== undefined) messages.push(applyWorkMessage(id, apply));
  return describeBatch({
    soft,
    hard: append?.hard,
    reads,
    entries: append?.entries ?? [],
    snapshot: append?.snapshot,
    committed: apply?.entries ?? [],
    messages,
    mustSync: append !== undefined && (append.entries.length > 0 || append.newTermOrVote),
  });
}

export function describeBatch(batch: SyncBatch): string {
  let text = "";
  if (batch.soft !== undefined) text += `${describeSoftState(batch.soft)}\n`;
  if (batch.hard !== undefined) text += `HardState ${describeHardState(batch.hard)}\n`;
  if (batch.reads.length > 0) text += `ReadStates ${describeReads(batch.reads)}\n`;
  if (batch.entries.length > 0) text += `Entries:\n${describeEntries(batch.entries)}`;
  if (batch.snapshot !== undefined) text += `Snapshot ${describeSnapshot(batch.snapshot)}\n`;
  if (batch.committed.length > 0) {
    text += `CommittedEntries:\n${describeEntries(batch.committed)}`;
  }
  if (batch.messages.length > 0) {
    const lines = batch.messages.map((message) => `${describeMessage(message)}\n`);
    text += `Messages:\n${lines.join("")}`;
  }
  return text === "" ? "<empty Ready>" : `Ready MustSync=${batch.mustSync}:\n${text}`;
}

function describeReads(reads: readonly ReadState[]): string {
  return `[${reads.map(({ index, token }) => `{${index} ${token}}`).join(" ")}]`;
}
