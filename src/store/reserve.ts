/**
 * The reserve file: space that belongs to the log while all is well, so that there is some to give back when the disk
 * is full. Compaction and a clean close need a little room, and must have it exactly then.
 */
import {
  closeSync,
  existsSync,
  fsyncSync,
  openSync,
  rmSync,
  statfsSync,
  statSync,
  writeSync,
} from "node:fs";
import { dirname } from "node:path";

export interface Reserve {
  readonly path: string;
  readonly bytes: number;
}

/** Space that must stay free beside the reserve: a write-ahead log needs to grow a little at once. */
const spareBytes = 1024 * 1024;
const chunk = new Uint8Array(1024 * 1024);

function isReserved(reserve: Reserve): boolean {
  return existsSync(reserve.path) && statSync(reserve.path).size === reserve.bytes;
}

/** Bytes that an ordinary user may still write beside the reserve. */
function freeBytes(reserve: Reserve): number {
  const { bavail, bsize } = statfsSync(dirname(reserve.path));
  return bavail * bsize;
}

/** Bytes that must become free on the disk before the log is written again. */
export function roomNeeded(reserve: Reserve): number {
  return reserve.bytes + spareBytes;
}

/** True when the reserve is in place and there is spare space beside it. */
export function makeReserve(reserve: Reserve): boolean {
  if (isReserved(reserve)) return freeBytes(reserve) >= spareBytes;
  if (freeBytes(reserve) < roomNeeded(reserve)) return false;
  // Real blocks, not a hole: a sparse file would reserve nothing.
  const fd = openSync(reserve.path, "w", 0o600);
  try {
    for (let at = 0; at < reserve.bytes; at += chunk.length) {
      writeSync(fd, chunk, 0, Math.min(chunk.length, reserve.bytes - at), at);
    }
    fsyncSync(fd);
  } catch (error) {
    if (!isDiskFull(error)) throw error;
    releaseReserve(reserve);
    return false;
  } finally {
    closeSync(fd);
  }
  return isReserved(reserve);
}

export function releaseReserve(reserve: Reserve): void {
  rmSync(reserve.path, { force: true });
}

/** Whoever opens a database needs a little room, and on a full disk the reserve is that room. False when there is none even so. */
export function makeRoomToOpen(reserve: Reserve): boolean {
  if (freeBytes(reserve) >= spareBytes) return true;
  releaseReserve(reserve);
  return freeBytes(reserve) >= spareBytes;
}

/** What a start says that finds no room. */
export function noRoomMessage(dir: string): string {
  return `The disk of ${dir} is full: there is no room to open the log and the state. Free at least 1 MiB, then start again.`;
}

/** The one write error that is not the end: SQLite's and the operating system's words for a full disk. */
export function isDiskFull(error: unknown): boolean {
  if (!(error instanceof Error) || !("code" in error)) return false;
  return error.code === "SQLITE_FULL" || error.code === "ENOSPC" || error.code === "EDQUOT";
}
