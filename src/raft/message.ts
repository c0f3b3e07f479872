/**
 * The values that cross the border of the consensus core: entries, snapshots, messages.
 *
 * A message is one flat record with every field present, whatever its type. That keeps objects of
 * one shape on the hot path, makes the peer codec a single list of fields, and lets one function
 * print any message. Field meaning by type is in the table at `Message`.
 *
 * Node ids are positive and never reused. Two reserved ids stand for the local storage threads, so
 * that "this may leave only after the disk has it" is data in a message and not caller discipline.
 */
export type NodeId = number;
export type Term = number;
export type Index = number;

/** No node: no leader known, no vote cast. */
export const none: NodeId = 0;
/** The local log writer, as the sender of its completions. */
export const appendThread: NodeId = Number.MAX_SAFE_INTEGER;
/** The local state machine, as the sender of its completions. */
export const applyThread: NodeId = Number.MAX_SAFE_INTEGER - 1;
/** "No limit" for sizes and "every index" for an empty quorum. */
export const unbounded = Number.MAX_SAFE_INTEGER;

export const emptyData: Uint8Array = new Uint8Array(0);
const noEntries: readonly Entry[] = [];
const noMessages: readonly Message[] = [];

/** `EntryConfChange` is a change of one node, `EntryConfChangeV2` one of any number of nodes. */
export type EntryType = "EntryNormal" | "EntryConfChange" | "EntryConfChangeV2";

export interface Entry {
  readonly term: Term;
  readonly index: Index;
  readonly type: EntryType;
  readonly data: Uint8Array;
}

/** The identity of an entry: two logs that agree on it agree on everything before it. */
export interface EntryId {
  readonly term: Term;
  readonly index: Index;
}

/** A membership as it is stored with a snapshot. Every list is sorted. */
export interface ConfState {
  readonly voters: readonly NodeId[];
  readonly votersOutgoing: readonly NodeId[];
  readonly learners: readonly NodeId[];
  readonly learnersNext: readonly NodeId[];
  readonly autoLeave: boolean;
}

export const emptyConfState: ConfState = {
  voters: [],
  votersOutgoing: [],
  learners: [],
  learnersNext: [],
  autoLeave: false,
};

/** A node that is staged as a learner still votes in the outgoing half. */
export function isMember(conf: ConfState, id: NodeId): boolean {
  return [conf.voters, conf.learners, conf.votersOutgoing].some((ids) => ids.includes(id));
}

/** `data` is opaque here: usually the name of a file that the transport sends, not the state. */
export interface Snapshot {
  readonly index: Index;
  readonly term: Term;
  readonly conf: ConfState;
  readonly data: Uint8Array;
}

/** What must survive a restart, beside the entries. */
export interface HardState {
  readonly term: Term;
  readonly vote: NodeId;
  readonly commit: Index;
}

export type Role = "follower" | "candidate" | "leader" | "preCandidate";

/** What is worth telling the host about, and is never stored. */
export interface SoftState {
  readonly leader: NodeId;
  readonly role: Role;
}

/** A confirmed read: serve it once the state machine has applied `index`. */
export interface ReadState {
  readonly index: Index;
  readonly token: number;
}

export type MessageType =
  | "MsgHup"
  | "MsgBeat"
  | "MsgProp"
  | "MsgApp"
  | "MsgAppResp"
  | "MsgVote"
  | "MsgVoteResp"
  | "MsgSnap"
  | "MsgHeartbeat"
  | "MsgHeartbeatResp"
  | "MsgUnreachable"
  | "MsgSnapStatus"
  | "MsgCheckQuorum"
  | "MsgTransferLeader"
  | "MsgTimeoutNow"
  | "MsgReadIndex"
  | "MsgReadIndexResp"
  | "MsgPreVote"
  | "MsgPreVoteResp"
  | "MsgStorageAppend"
  | "MsgStorageAppendResp"
  | "MsgStorageApply"
  | "MsgStorageApplyResp"
  | "MsgForgetLeader";

/**
 * | type | index, logTerm | other fields |
 * | --- | --- | --- |
 * | MsgApp | the entry before `entries` | commit |
 * | MsgAppResp | last matching index, or on rejection the refused `index` with a hint | reject, rejectHint |
 * | MsgVote, MsgPreVote | end of the candidate's log | commit, commitTerm; force: leases do not apply |
 * | MsgVoteResp, MsgPreVoteResp | - | reject; on rejection commit, commitTerm |
 * | MsgHeartbeat, its response | - | commit; token: position in the leader's read queue; beat: the leader's tick |
 * | MsgReadIndex, its response | response: the index to wait for | token: chosen by the reader |
 * | MsgTransferLeader | - | from: the node that shall lead |
 * | MsgStorageAppendResp | end of the log that is now durable | snapshot: now installed |
 * | MsgStorageApplyResp | - | entries: now applied |
 */
export interface Message {
  readonly type: MessageType;
  readonly from: NodeId;
  readonly to: NodeId;
  /** 0 marks a message without a term: local ones, forwarded proposals and read requests. */
  readonly term: Term;
  readonly logTerm: Term;
  readonly index: Index;
  readonly commit: Index;
  readonly commitTerm: Term;
  readonly vote: NodeId;
  readonly reject: boolean;
  readonly rejectHint: Index;
  readonly force: boolean;
  readonly token: number;
  readonly beat: number;
  readonly entries: readonly Entry[];
  readonly snapshot: Snapshot | undefined;
  readonly responses: readonly Message[];
}

export function createMessage(
  type: MessageType,
  to: NodeId,
  fields: Partial<Omit<Message, "type" | "to">> = {},
): Message {
  return {
    type,
    from: fields.from ?? none,
    to,
    term: fields.term ?? 0,
    logTerm: fields.logTerm ?? 0,
    index: fields.index ?? 0,
    commit: fields.commit ?? 0,
    commitTerm: fields.commitTerm ?? 0,
    vote: fields.vote ?? none,
    reject: fields.reject ?? false,
    rejectHint: fields.rejectHint ?? 0,
    force: fields.force ?? false,
    token: fields.token ?? 0,
    beat: fields.beat ?? 0,
    entries: fields.entries ?? noEntries,
    snapshot: fields.snapshot,
    responses: fields.responses ?? noMessages,
  };
}

const localTypes: ReadonlySet<MessageType> = new Set<MessageType>([
  "MsgHup",
  "MsgBeat",
  "MsgUnreachable",
  "MsgSnapStatus",
  "MsgCheckQuorum",
  "MsgStorageAppend",
  "MsgStorageAppendResp",
  "MsgStorageApply",
  "MsgStorageApplyResp",
]);

const responseTypes: ReadonlySet<MessageType> = new Set<MessageType>([
  "MsgAppResp",
  "MsgVoteResp",
  "MsgHeartbeatResp",
  "MsgUnreachable",
  "MsgReadIndexResp",
  "MsgPreVoteResp",
  "MsgStorageAppendResp",
  "MsgStorageApplyResp",
]);

/** Types that only this node may feed itself; from the network they are refused. */
export function isLocalType(type: MessageType): boolean {
  return localTypes.has(type);
}

export function isResponseType(type: MessageType): boolean {
  return responseTypes.has(type);
}

export function isLocalThread(id: NodeId): boolean {
  return id === appendThread || id === applyThread;
}

/**
 * Whether a message from the network can mean anything: what a peer of another version or a damaged
 * frame may contain must never trip an assertion further in.
 */
export function isWellFormed(message: Message): boolean {
  const { type, index, logTerm, entries, snapshot } = message;
  const isCounted =
    isCount(message.from) &&
    isCount(message.term) &&
    isCount(message.token) &&
    isCount(message.beat) &&
    isCount(index) &&
    isCount(logTerm) &&
    isCount(message.commit) &&
    isCount(message.commitTerm) &&
    isCount(message.rejectHint) &&
    (snapshot === undefined || (isCount(snapshot.index) && isCount(snapshot.term)));
  if (!isCounted) return false;
  if (type === "MsgSnap") return snapshot !== undefined && snapshot.index > 0;
  if (type === "MsgProp") return entries.length > 0;
  if (type !== "MsgApp") return true;
  let lastIndex = index;
  let lastTerm = logTerm;
  for (const entry of entries) {
    if (entry.index !== lastIndex + 1 || entry.term < lastTerm) return false;
    if (entry.term > message.term) return false;
    lastIndex = entry.index;
    lastTerm = entry.term;
  }
  return true;
}

function isCount(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0;
}

function varintBytes(value: number): number {
  let bytes = 1;
  for (let rest = value; rest >= 128; rest = Math.floor(rest / 128)) bytes += 1;
  return bytes;
}

/** The size of an entry in a compact encoding, which is what every size limit counts. */
function entryBytes(entry: Entry): number {
  const header = 4 + varintBytes(entry.term) + varintBytes(entry.index);
  const length = entry.data.length;
  return length === 0 ? header : header + 1 + varintBytes(length) + length;
}

export function entriesBytes(entries: readonly Entry[]): number {
  let bytes = 0;
  for (const entry of entries) bytes += entryBytes(entry);
  return bytes;
}

/** Payload bytes alone: an empty entry weighs nothing and so can never be refused. */
export function payloadBytes(entries: readonly Entry[]): number {
  let bytes = 0;
  for (const entry of entries) bytes += entry.data.length;
  return bytes;
}

/**
 * The entries at [from, to) of a list, cut to `bytesMax` but never to less than one. Looks no further
 * than it takes, because what a slow member still needs can be much longer than one message.
 */
export function takeEntries(
  entries: readonly Entry[],
  from: number,
  to: number,
  bytesMax: number,
): readonly Entry[] {
  let bytes = 0;
  for (let position = from; position < to; position += 1) {
    const entry = entries[position];
    if (entry === undefined) return entries.slice(from, position);
    bytes += entryBytes(entry);
    if (position > from && bytes > bytesMax) return entries.slice(from, position);
  }
  return entries.slice(from, to);
}

/** An untouched log has no hard state to write. */
export function isEmptyHardState(hard: HardState): boolean {
  return hard.term === 0 && hard.vote === none && hard.commit === 0;
}

export function equalHardStates(a: HardState, b: HardState): boolean {
  return a.term === b.term && a.vote === b.vote && a.commit === b.commit;
}
