/**
 * The superblock: what this node has acknowledged, kept outside the database, because SQLite drops the end of its own
 * write-ahead log after a flipped bit and reports nothing.
 *
 * Two slots of 32 KiB are written alternately, each with an fsync, so that one is whole at any time:
 *   crc u32 | magic u32 | version u16 | clean u16 | groupCount u32 | generation u64 | sequence u64 | storeId 36 bytes |
 *   per group: group u32 | last u64 | sequence u64
 * Behind them lies a mark (crc u32 | magic u32 | sequence u64) that is overwritten after every commit WITHOUT an fsync:
 * it is exact after a killed process and may be old or torn after a power cut, when the slots still hold.
 * Everything is written after the commit it speaks of is durable, so a hint is never ahead of an honest disk.
 */
import {
  closeSync,
  existsSync,
  fdatasyncSync,
  fsyncSync,
  openSync,
  readSync,
  renameSync,
  writeSync,
} from "node:fs";
import { dirname } from "node:path";
import { assert } from "../base/assert.ts";
import {
  crcOf,
  formatVersion,
  getU64,
  LogDamaged,
  LogTooNew,
  putU64,
  viewOf,
} from "./log-format.ts";

const slotBytes = 32 * 1024;
const markAt = 2 * slotBytes;
const markBytes = 16;
const headerBytes = 68;
const groupBytes = 20;
const magic = 0x4f56_5243;

interface GroupHint {
  readonly group: number;
  readonly last: number;
  readonly sequence: number;
}

export interface Hint {
  readonly storeId: string;
  /** Number of the newest transaction that was acknowledged when the hint was written. */
  readonly sequence: number;
  /** The groups as of the last fsynced slot, which is at least as new as every checkpoint of the database. */
  readonly groups: readonly GroupHint[];
  readonly clean: boolean;
}

interface Slot extends Hint {
  readonly generation: number;
}

/**
 * Waits for the bytes of a file whose length does not change. Linux then leaves out the file's times, and with them a commit of the
 * file system's journal, which would wait for whatever else is being written to the disk.
 */
const syncData = process.platform === "linux" ? fdatasyncSync : fsyncSync;

/** Makes a rename or a new file survive a power cut. */
export function syncDirectory(dir: string): void {
  const fd = openSync(dir, "r");
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

export class Superblock {
  readonly #fd: number;
  readonly #mark = new Uint8Array(markBytes);
  readonly #markView = viewOf(this.#mark);
  #current: Slot;
  /** What was read at open: the hint that the database is held against. */
  readonly found: Hint;

  private constructor(fd: number, slot: Slot, markSequence: number) {
    this.#fd = fd;
    this.#current = slot;
    this.found = { ...slot, sequence: Math.max(slot.sequence, markSequence) };
    this.#markView.setUint32(4, magic, true);
  }

  /** Makes the file of a new store. A crash leaves either no file or a whole one. */
  static create(path: string, storeId: string): void {
    const temporary = `${path}.new`;
    const bytes = new Uint8Array(markAt + markBytes);
    bytes.set(encodeSlot({ storeId, sequence: 0, groups: [], clean: true, generation: 0 }));
    const fd = openSync(temporary, "w", 0o600);
    try {
      writeSync(fd, bytes, 0, bytes.length, 0);
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
    renameSync(temporary, path);
    syncDirectory(dirname(path));
  }

  static open(path: string): Superblock {
    if (!existsSync(path)) throw new LogDamaged({}, `its superblock ${path} is missing`);
    const fd = openSync(path, "r+");
    try {
      const bytes = new Uint8Array(markAt + markBytes);
      readSync(fd, bytes, 0, bytes.length, 0);
      const slots = [0, 1].map((n) =>
        decodeSlot(bytes.subarray(n * slotBytes, (n + 1) * slotBytes)),
      );
      const best = slots.reduce((a, b) => ((b?.generation ?? -1) > (a?.generation ?? -1) ? b : a));
      if (best === undefined) {
        throw new LogDamaged({}, `both slots of its superblock ${path} are unreadable`);
      }
      return new Superblock(fd, best, decodeMark(bytes.subarray(markAt)));
    } catch (error) {
      closeSync(fd);
      throw error;
    }
  }

  /** Notes a durable transaction, without an fsync: about a microsecond after each commit. */
  mark(sequence: number): void {
    putU64(this.#markView, 8, sequence);
    this.#markView.setUint32(0, crcOf(this.#mark.subarray(4)), true);
    writeSync(this.#fd, this.#mark, 0, markBytes, markAt);
  }

  /** True when a slot on disk already says this much. */
  covers(sequence: number): boolean {
    return this.#current.sequence >= sequence && !this.#current.clean;
  }

  /** Writes the older slot and waits until it is on disk. */
  write(hint: Omit<Hint, "storeId">): void {
    const slot = {
      ...hint,
      storeId: this.#current.storeId,
      generation: this.#current.generation + 1,
    };
    assert(hint.sequence >= this.#current.sequence, "the acknowledged history only grows");
    const bytes = encodeSlot(slot);
    const written = writeSync(this.#fd, bytes, 0, bytes.length, (slot.generation % 2) * slotBytes);
    assert(written === bytes.length, "a slot is written whole");
    syncData(this.#fd);
    this.#current = slot;
  }

  close(): void {
    closeSync(this.#fd);
  }
}

function encodeSlot(slot: Slot): Uint8Array {
  const bytes = new Uint8Array(headerBytes + slot.groups.length * groupBytes);
  assert(bytes.length <= slotBytes, "all groups fit into a slot");
  const view = viewOf(bytes);
  view.setUint32(4, magic, true);
  view.setUint16(8, formatVersion, true);
  view.setUint16(10, slot.clean ? 1 : 0, true);
  view.setUint32(12, slot.groups.length, true);
  putU64(view, 16, slot.generation);
  putU64(view, 24, slot.sequence);
  const { written } = new TextEncoder().encodeInto(slot.storeId, bytes.subarray(32, headerBytes));
  assert(written === 36, `a store id has 36 characters, not "${slot.storeId}"`);
  let at = headerBytes;
  for (const hint of slot.groups) {
    view.setUint32(at, hint.group, true);
    putU64(view, at + 4, hint.last);
    putU64(view, at + 12, hint.sequence);
    at += groupBytes;
  }
  view.setUint32(0, crcOf(bytes.subarray(4)), true);
  return bytes;
}

/** Undefined for a slot that was never written or is torn: the other one then counts. */
function decodeSlot(bytes: Uint8Array): Slot | undefined {
  const view = viewOf(bytes);
  const groupCount = view.getUint32(12, true);
  const length = headerBytes + groupCount * groupBytes;
  if (view.getUint32(4, true) !== magic || length > bytes.length) return undefined;
  if (crcOf(bytes.subarray(4, length)) !== view.getUint32(0, true)) return undefined;
  const version = view.getUint16(8, true);
  if (version > formatVersion) throw new LogTooNew("The superblock of the log", version);
  const groups: GroupHint[] = [];
  for (let at = headerBytes; at < length; at += groupBytes) {
    groups.push({
      group: view.getUint32(at, true),
      last: getU64(view, at + 4),
      sequence: getU64(view, at + 12),
    });
  }
  return {
    generation: getU64(view, 16),
    sequence: getU64(view, 24),
    storeId: new TextDecoder().decode(bytes.subarray(32, headerBytes)),
    clean: view.getUint16(10, true) === 1,
    groups,
  };
}

function decodeMark(bytes: Uint8Array): number {
  const view = viewOf(bytes);
  const isWhole =
    view.getUint32(4, true) === magic && crcOf(bytes.subarray(4)) === view.getUint32(0, true);
  return isWhole ? getU64(view, 8) : 0;
}
