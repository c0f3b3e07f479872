/**
 * The bytes of a consensus message.
 *
 *   type u8 | present u16 | the present fields, in the order of their bits
 *
 * A field that is zero, false or empty is absent. Numbers are varints, the two booleans are their presence. Entries are
 * `count, (kind u8, term, index, data)*`; a snapshot is `index, term, conf, data`; responses are `count, message*`. Data
 * passes through byte for byte. Codes and bits are never reused: a change of meaning is a new protocol version, which the
 * handshake agrees on, so a message itself carries none. Decoding never throws; see `ByteReader`.
 */
import {
  type ConfState,
  createMessage,
  type Entry,
  type EntryType,
  emptyConfState,
  type Message,
  type MessageType,
  type Snapshot,
} from "../../raft/message.ts";
import { ByteReader, ByteWriter } from "./bytes.ts";

const typeCodes: Readonly<Record<MessageType, number>> = {
  MsgHup: 1,
  MsgBeat: 2,
  MsgProp: 3,
  MsgApp: 4,
  MsgAppResp: 5,
  MsgVote: 6,
  MsgVoteResp: 7,
  MsgSnap: 8,
  MsgHeartbeat: 9,
  MsgHeartbeatResp: 10,
  MsgUnreachable: 11,
  MsgSnapStatus: 12,
  MsgCheckQuorum: 13,
  MsgTransferLeader: 14,
  MsgTimeoutNow: 15,
  MsgReadIndex: 16,
  MsgReadIndexResp: 17,
  MsgPreVote: 18,
  MsgPreVoteResp: 19,
  MsgStorageAppend: 20,
  MsgStorageAppendResp: 21,
  MsgStorageApply: 22,
  MsgStorageApplyResp: 23,
  MsgForgetLeader: 24,
};

const entryCodes: Readonly<Record<EntryType, number>> = {
  EntryNormal: 0,
  EntryConfChange: 1,
  EntryConfChangeV2: 2,
};

function invert<K extends string>(codes: Readonly<Record<K, number>>): (K | undefined)[] {
  const names: (K | undefined)[] = [];
  for (const [name, code] of Object.entries(codes) as [K, number][]) names[code] = name;
  return names;
}

const typeNames = invert(typeCodes);
const entryNames = invert(entryCodes);

const numberBits = {
  from: 1 << 0,
  to: 1 << 1,
  term: 1 << 2,
  logTerm: 1 << 3,
  index: 1 << 4,
  commit: 1 << 5,
  commitTerm: 1 << 6,
  vote: 1 << 7,
  rejectHint: 1 << 8,
  token: 1 << 9,
} as const;
type NumberField = keyof typeof numberBits;
const numberFields = Object.entries(numberBits) as readonly (readonly [NumberField, number])[];

const rejectBit = 1 << 10;
const forceBit = 1 << 11;
const entriesBit = 1 << 12;
const snapshotBit = 1 << 13;
const responsesBit = 1 << 14;
const knownBits = (1 << 15) - 1;

/** Responses ride inside local work only, one level deep; the bound keeps forged nesting off the stack. */
const depthMax = 4;
const messageBytesMin = 3;
const entryBytesMin = 4;

export function writeMessage(writer: ByteWriter, message: Message): void {
  writer.u8(typeCodes[message.type]);
  const present = presentBits(message);
  writer.u16(present);
  for (const [field, bit] of numberFields) {
    if ((present & bit) !== 0) writer.varint(message[field]);
  }
  if ((present & entriesBit) !== 0) writeEntries(writer, message.entries);
  if (message.snapshot !== undefined) writeSnapshot(writer, message.snapshot);
  if ((present & responsesBit) === 0) return;
  writer.varint(message.responses.length);
  for (const response of message.responses) writeMessage(writer, response);
}

function presentBits(message: Message): number {
  let bits = 0;
  for (const [field, bit] of numberFields) if (message[field] !== 0) bits |= bit;
  if (message.reject) bits |= rejectBit;
  if (message.force) bits |= forceBit;
  if (message.entries.length > 0) bits |= entriesBit;
  if (message.snapshot !== undefined) bits |= snapshotBit;
  if (message.responses.length > 0) bits |= responsesBit;
  return bits;
}

/** After a fault of the reader the message means nothing and must be thrown away. */
export function readMessage(reader: ByteReader, depth = 0): Message {
  const type = typeNames[reader.u8()];
  const present = reader.u16();
  if (type === undefined) reader.fail("a message has an unknown type");
  if ((present & ~knownBits) !== 0) reader.fail("a message has an unknown field");
  if (depth > depthMax) reader.fail(`messages are nested more than ${depthMax} deep`);
  const numbers: Partial<Record<NumberField, number>> = {};
  for (const [field, bit] of numberFields) {
    if ((present & bit) !== 0) numbers[field] = reader.varint();
  }
  return createMessage(type ?? "MsgBeat", numbers.to ?? 0, {
    ...numbers,
    reject: (present & rejectBit) !== 0,
    force: (present & forceBit) !== 0,
    ...((present & entriesBit) !== 0 && { entries: readEntries(reader) }),
    ...((present & snapshotBit) !== 0 && { snapshot: readSnapshot(reader) }),
    ...((present & responsesBit) !== 0 && { responses: readResponses(reader, depth + 1) }),
  });
}

function readResponses(reader: ByteReader, depth: number): readonly Message[] {
  const responses: Message[] = [];
  for (let left = reader.count(messageBytesMin); left > 0; left -= 1) {
    responses.push(readMessage(reader, depth));
    if (reader.fault !== undefined) break;
  }
  return responses;
}

function writeEntries(writer: ByteWriter, entries: readonly Entry[]): void {
  writer.varint(entries.length);
  for (const entry of entries) {
    writer.u8(entryCodes[entry.type]);
    writer.varint(entry.term);
    writer.varint(entry.index);
    writer.bytes(entry.data);
  }
}

function readEntries(reader: ByteReader): readonly Entry[] {
  const entries: Entry[] = [];
  for (let left = reader.count(entryBytesMin); left > 0; left -= 1) {
    const type = entryNames[reader.u8()];
    if (type === undefined) reader.fail("an entry has an unknown kind");
    const term = reader.varint();
    const index = reader.varint();
    entries.push({ term, index, type: type ?? "EntryNormal", data: reader.bytes() });
    if (reader.fault !== undefined) break;
  }
  return entries;
}

function writeSnapshot(writer: ByteWriter, snapshot: Snapshot): void {
  writer.varint(snapshot.index);
  writer.varint(snapshot.term);
  const { conf } = snapshot;
  for (const ids of [conf.voters, conf.votersOutgoing, conf.learners, conf.learnersNext]) {
    writer.varint(ids.length);
    for (const id of ids) writer.varint(id);
  }
  writer.u8(conf.autoLeave ? 1 : 0);
  writer.bytes(snapshot.data);
}

function readSnapshot(reader: ByteReader): Snapshot {
  const index = reader.varint();
  const term = reader.varint();
  return { index, term, conf: readConf(reader), data: reader.bytes() };
}

function readConf(reader: ByteReader): ConfState {
  const voters = readIds(reader);
  const votersOutgoing = readIds(reader);
  const learners = readIds(reader);
  const learnersNext = readIds(reader);
  const autoLeave = reader.u8();
  if (autoLeave > 1) reader.fail("a truth value is neither 0 nor 1");
  if (reader.fault !== undefined) return emptyConfState;
  return { voters, votersOutgoing, learners, learnersNext, autoLeave: autoLeave === 1 };
}

function readIds(reader: ByteReader): readonly number[] {
  const ids: number[] = [];
  for (let left = reader.count(1); left > 0; left -= 1) ids.push(reader.varint());
  return ids;
}

/** One message alone, as the description that travels with a snapshot file. */
export function encodeMessage(message: Message): Uint8Array {
  const writer = new ByteWriter(256);
  writeMessage(writer, message);
  return writer.written().slice();
}

export type Decoded<T> =
  | { readonly kind: "value"; readonly value: T }
  | { readonly kind: "fault"; readonly message: string };

export function decodeMessage(bytes: Uint8Array): Decoded<Message> {
  const reader = new ByteReader(bytes);
  const message = readMessage(reader);
  if (reader.fault === undefined && reader.remaining > 0)
    reader.fail("something follows the message");
  if (reader.fault !== undefined) return { kind: "fault", message: reader.fault };
  return { kind: "value", value: message };
}

/** Messages of one group. */
export interface GroupMessages {
  readonly group: number;
  readonly messages: readonly Message[];
}

/** Reads a batch: `(group, count, message*)*` up to the end. */
export function decodeBatch(bytes: Uint8Array): Decoded<readonly GroupMessages[]> {
  const reader = new ByteReader(bytes);
  const batch: GroupMessages[] = [];
  while (reader.remaining > 0) {
    const group = reader.varint();
    const messages: Message[] = [];
    for (let left = reader.count(messageBytesMin); left > 0; left -= 1) {
      messages.push(readMessage(reader));
      if (reader.fault !== undefined) break;
    }
    batch.push({ group, messages });
  }
  if (reader.fault !== undefined) return { kind: "fault", message: reader.fault };
  return { kind: "value", value: batch };
}

/** Writes one run of a batch. */
export function writeRun(writer: ByteWriter, group: number, messages: readonly Message[]): void {
  writer.varint(group);
  writer.varint(messages.length);
  for (const message of messages) writeMessage(writer, message);
}
