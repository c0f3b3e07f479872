/**
 * The bytes of the log: how one work becomes one row, and how a group remembers where its log begins.
 *
 * Row      crc u32 | version u16 | voteLength u16 | group u32 | entryCount u32 | first u64 | last u64 | lastTerm u64 |
 *          sequence u64 | previousCrc u32 | bodyLength u32 | hard term u64 | hard commit u64 | vote | body
 * Entry    kind u8, term u56 | dataLength u32 | data             (the index follows from the position)
 * Group    crc u32 | version u16 | voteLength u16 | group u32 | baseCrc u32 | sequence u64 | baseIndex u64 |
 *          baseTerm u64 | hard term u64 | hard commit u64 | vote
 *
 * Little-endian. `crc` covers everything behind itself; `previousCrc` is the crc of the row before (of the first row:
 * the group's baseCrc), so that a row that is lost or out of place breaks the chain. `sequence` numbers the
 * transactions of the whole database, so that the greatest one present says how much of the history is there. Every
 * row repeats the hard state: a commit touches one page, not two.
 */
import { assert } from "../base/assert.ts";
import type { HardState, LogEntry } from "../base/log.ts";

export const formatVersion = 1;
const rowHeaderBytes = 72;
const groupHeaderBytes = 56;
const entryHeaderBytes = 12;

export const logLimits = {
  /** Groups share one database; the superblock has room for this many. */
  groupMax: 1023,
  voteBytesMax: 255,
  /** One work is one row, held in memory a few times over. */
  workBytesMax: 64 * 1024 * 1024,
  pendingBytesMax: 256 * 1024 * 1024,
  /** One transaction: large enough to share an fsync, small enough to keep latency even. */
  batchBytesMax: 8 * 1024 * 1024,
  /** A checkpoint holds up the next append for about 1 ms per MiB of entries (measured): small and often keeps latency even. */
  checkpointBytes: 2 * 1024 * 1024,
  /**
   * Small commits write the same few pages again and again, so that a checkpoint of them costs little but its fsyncs, and comes
   * seldom. Not larger: until the file has once grown to this, each commit makes the file system note its new length.
   */
  walBytesMax: 6 * 1024 * 1024,
  /** Room for a checkpoint of a full write-ahead log and a compaction beside it. */
  reserveBytes: 16 * 1024 * 1024,
} as const;

const damageAdvice =
  "Do not delete or edit its files. In a cluster, remove this node and let it join again with an empty directory; " +
  "on a single node, restore the last backup.";

/** The files do not hold what was acknowledged. The program must not go on with them. */
export class LogDamaged extends Error {
  override name = "LogDamaged";
  readonly group: number | undefined;
  readonly index: number | undefined;
  readonly detail: string;

  constructor(place: { group?: number | undefined; index?: number | undefined }, detail: string) {
    const group = place.group === undefined ? "" : ` in group ${place.group}`;
    const index = place.index === undefined ? "" : ` at index ${place.index}`;
    super(`The log is damaged${group}${index}: ${detail}. ${damageAdvice}`);
    this.group = place.group;
    this.index = place.index;
    this.detail = detail;
  }
}

/** The database or superblock was written by a newer program. */
export class LogTooNew extends Error {
  override name = "LogTooNew";
  constructor(what: string, found: number) {
    super(
      `${what} has format ${found}, this program reads up to ${formatVersion}. Start the newer program that wrote it.`,
    );
  }
}

/** A read below the first entry: the reader needs a snapshot instead. */
export class LogCompacted extends Error {
  override name = "LogCompacted";
  constructor(group: number, from: number, first: number) {
    super(`Entry ${from} of group ${group} is compacted; the log begins at ${first}.`);
  }
}

export interface Row {
  readonly crc: number;
  readonly group: number;
  readonly first: number;
  readonly last: number;
  readonly lastTerm: number;
  readonly sequence: number;
  readonly previousCrc: number;
  readonly hardState: HardState;
  readonly body: Uint8Array;
}

export interface GroupRecord {
  readonly group: number;
  /** Everything up to here is compacted or replaced by a snapshot. */
  readonly baseIndex: number;
  readonly baseTerm: number;
  readonly baseCrc: number;
  readonly sequence: number;
  readonly hardState: HardState;
}

export const emptyHardState: HardState = { term: 0, vote: "", commit: 0 };

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true });

export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

export function putU64(view: DataView, at: number, value: number): void {
  view.setUint32(at, value >>> 0, true);
  view.setUint32(at + 4, Math.floor(value / 2 ** 32), true);
}

export function getU64(view: DataView, at: number): number {
  return view.getUint32(at, true) + view.getUint32(at + 4, true) * 2 ** 32;
}

export function crcOf(bytes: Uint8Array): number {
  return Bun.hash.crc32(bytes);
}

/** Seals a row or record: the checksum of everything behind the first four bytes. */
function seal(bytes: Uint8Array): number {
  const crc = crcOf(bytes.subarray(4));
  viewOf(bytes).setUint32(0, crc, true);
  return crc;
}

export function encodeVote(vote: string): Uint8Array {
  const bytes = encoder.encode(vote);
  assert(
    bytes.length <= logLimits.voteBytesMax,
    `a vote has at most voteBytesMax = ${logLimits.voteBytesMax} bytes, this one ${bytes.length}`,
  );
  return bytes;
}

export function rowBytes(entries: readonly LogEntry[], vote: Uint8Array): number {
  let size = rowHeaderBytes + vote.length + entries.length * entryHeaderBytes;
  for (const entry of entries) size += entry.data.length;
  return size;
}

/** Writes a row without its sequence, previousCrc and crc: `linkRow` adds them when the row's place is known. */
export function writeRow(
  target: Uint8Array,
  group: number,
  entries: readonly LogEntry[],
  hard: { readonly state: HardState; readonly vote: Uint8Array },
): void {
  const view = viewOf(target);
  const first = entries[0];
  const last = entries.at(-1);
  assert(first !== undefined && last !== undefined, "a row has at least one entry");
  const bodyAt = rowHeaderBytes + hard.vote.length;
  view.setUint16(4, formatVersion, true);
  view.setUint16(6, hard.vote.length, true);
  view.setUint32(8, group, true);
  view.setUint32(12, entries.length, true);
  putU64(view, 16, first.index);
  putU64(view, 24, last.index);
  putU64(view, 32, last.term);
  view.setUint32(52, target.length - bodyAt, true);
  putU64(view, 56, hard.state.term);
  putU64(view, 64, hard.state.commit);
  target.set(hard.vote, rowHeaderBytes);
  let at = bodyAt;
  for (const entry of entries) {
    putU64(view, at, entry.term);
    view.setUint8(at + 7, entry.kind);
    view.setUint32(at + 8, entry.data.length, true);
    target.set(entry.data, at + entryHeaderBytes);
    at += entryHeaderBytes + entry.data.length;
  }
  assert(at === target.length, "a row fills exactly the space that was measured for it");
}

/** Gives the row its place in history and returns its checksum. */
export function linkRow(row: Uint8Array, sequence: number, previousCrc: number): number {
  const view = viewOf(row);
  putU64(view, 40, sequence);
  view.setUint32(48, previousCrc, true);
  return seal(row);
}

/** Where a row that was just linked belongs. */
export function rowSpan(row: Uint8Array): { first: number; last: number; lastTerm: number } {
  const view = viewOf(row);
  return { first: getU64(view, 16), last: getU64(view, 24), lastTerm: getU64(view, 32) };
}

/** Reads a row and verifies its checksum and its lengths; throws LogDamaged. */
export function readRow(bytes: Uint8Array, group: number, index: number): Row {
  const damaged = (detail: string) => new LogDamaged({ group, index }, detail);
  // A flipped bit can turn the column into text or a number.
  if (!(bytes instanceof Uint8Array)) throw damaged("a row is not made of bytes");
  if (bytes.length < rowHeaderBytes) throw damaged(`a row has only ${bytes.length} bytes`);
  const view = viewOf(bytes);
  const crc = view.getUint32(0, true);
  if (crcOf(bytes.subarray(4)) !== crc) throw damaged("a row does not match its checksum");
  const version = view.getUint16(4, true);
  if (version > formatVersion) throw new LogTooNew("A row of the log", version);
  const voteLength = view.getUint16(6, true);
  const bodyAt = rowHeaderBytes + voteLength;
  if (bodyAt + view.getUint32(52, true) !== bytes.length) throw damaged("a row has a wrong length");
  if (view.getUint32(8, true) !== group) throw damaged("a row belongs to another group");
  const first = getU64(view, 16);
  const last = getU64(view, 24);
  if (last !== index || last - first + 1 !== view.getUint32(12, true)) {
    throw damaged(`a row claims to hold the entries ${first} to ${last}`);
  }
  return {
    crc,
    group,
    first,
    last,
    lastTerm: getU64(view, 32),
    sequence: getU64(view, 40),
    previousCrc: view.getUint32(48, true),
    hardState: {
      term: getU64(view, 56),
      commit: getU64(view, 64),
      vote: decoder.decode(bytes.subarray(rowHeaderBytes, bodyAt)),
    },
    body: bytes.subarray(bodyAt),
  };
}

/** The entries of a verified row. Their data are views of the row. */
export function entriesOf(row: Row): LogEntry[] {
  const view = viewOf(row.body);
  const entries: LogEntry[] = [];
  let at = 0;
  for (let index = row.first; index <= row.last; index++) {
    assert(at + entryHeaderBytes <= row.body.length, "a row that matches its checksum is whole");
    const dataLength = view.getUint32(at + 8, true);
    const term = view.getUint32(at, true) + (view.getUint32(at + 4, true) & 0xff_ff_ff) * 2 ** 32;
    const dataAt = at + entryHeaderBytes;
    const data = row.body.subarray(dataAt, dataAt + dataLength);
    entries.push({ index, term, kind: view.getUint8(at + 7), data });
    at = dataAt + dataLength;
  }
  assert(at === row.body.length, "a row that matches its checksum has no surplus");
  return entries;
}

export function encodeGroup(record: GroupRecord): Uint8Array {
  const vote = encodeVote(record.hardState.vote);
  const bytes = new Uint8Array(groupHeaderBytes + vote.length);
  const view = viewOf(bytes);
  view.setUint16(4, formatVersion, true);
  view.setUint16(6, vote.length, true);
  view.setUint32(8, record.group, true);
  view.setUint32(12, record.baseCrc, true);
  putU64(view, 16, record.sequence);
  putU64(view, 24, record.baseIndex);
  putU64(view, 32, record.baseTerm);
  putU64(view, 40, record.hardState.term);
  putU64(view, 48, record.hardState.commit);
  bytes.set(vote, groupHeaderBytes);
  seal(bytes);
  return bytes;
}

export function decodeGroup(bytes: Uint8Array, group: number): GroupRecord {
  const damaged = (detail: string) => new LogDamaged({ group }, detail);
  if (!(bytes instanceof Uint8Array)) throw damaged("its record is not made of bytes");
  if (bytes.length < groupHeaderBytes) throw damaged(`its record has only ${bytes.length} bytes`);
  const view = viewOf(bytes);
  if (crcOf(bytes.subarray(4)) !== view.getUint32(0, true)) {
    throw damaged("its record does not match its checksum");
  }
  const version = view.getUint16(4, true);
  if (version > formatVersion) throw new LogTooNew("A group of the log", version);
  if (view.getUint32(8, true) !== group) throw damaged("its record belongs to another group");
  return {
    group,
    baseCrc: view.getUint32(12, true),
    sequence: getU64(view, 16),
    baseIndex: getU64(view, 24),
    baseTerm: getU64(view, 32),
    hardState: {
      term: getU64(view, 40),
      commit: getU64(view, 48),
      vote: decoder.decode(bytes.subarray(groupHeaderBytes)),
    },
  };
}
