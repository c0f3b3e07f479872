/**
 * Reads SQLite's write-ahead log before SQLite does. SQLite stops at the first frame that does not match its checksum
 * and silently forgets the rest: right for the torn end of an unfinished commit, wrong for a flipped bit in the middle.
 *
 * We tell them apart by what lies behind the break. One transaction at a time is written and each is fsynced before the
 * next begins, so a crash can leave at most ONE commit frame of the current generation (same salts) behind the last
 * good commit. Two or more prove that frames which were durable are now unreadable.
 */
import { closeSync, existsSync, fstatSync, openSync, readSync } from "node:fs";
import { LogDamaged } from "./log-format.ts";

const headerBytes = 32;
const frameHeaderBytes = 24;
const chunkFrames = 256;

interface WalReport {
  /** Frames of the current generation that SQLite will not use: the torn end of an unfinished commit. */
  readonly tornFrames: number;
}

interface Checksum {
  a: number;
  b: number;
}

/** Throws LogDamaged when frames behind a break prove that durable commits were lost. */
export function checkWal(path: string): WalReport {
  if (!existsSync(path)) return { tornFrames: 0 };
  const fd = openSync(path, "r");
  try {
    return scan(fd, path);
  } finally {
    closeSync(fd);
  }
}

function scan(fd: number, path: string): WalReport {
  const fileBytes = fstatSync(fd).size;
  const header = new Uint32Array(headerBytes / 4);
  if (readSync(fd, header, 0, headerBytes, 0) < headerBytes) return { tornFrames: 0 };
  if (header.every((word) => word === 0)) return { tornFrames: 0 };
  const view = new DataView(header.buffer);
  const swap = (view.getUint32(0) & 1) === 1;
  const sum: Checksum = { a: 0, b: 0 };
  addChecksum(sum, header.subarray(0, 6), swap);
  const pageBytes = view.getUint32(8);
  const isWhole = view.getUint32(24) === sum.a >>> 0 && view.getUint32(28) === sum.b >>> 0;
  if (!isWhole || pageBytes < 512 || pageBytes > 65_536) {
    throw new LogDamaged({}, `the header of ${path} does not match its checksum`);
  }

  const frameWords = (frameHeaderBytes + pageBytes) / 4;
  const chunk = new Uint32Array(frameWords * chunkFrames);
  const chunkView = new DataView(chunk.buffer);
  const salt = [view.getUint32(16), view.getUint32(20)];
  let isBroken = false;
  let tornFrames = 0;
  let commitsBehindBreak = 0;
  for (let at = headerBytes; at < fileBytes; at += chunk.byteLength) {
    const read = readSync(fd, chunk, 0, chunk.byteLength, at);
    for (let word = 0; (word + frameWords) * 4 <= read; word += frameWords) {
      const byte = word * 4;
      const isCurrent =
        chunkView.getUint32(byte + 8) === salt[0] && chunkView.getUint32(byte + 12) === salt[1];
      if (!isBroken) {
        addChecksum(sum, chunk.subarray(word, word + 2), swap);
        addChecksum(sum, chunk.subarray(word + 6, word + frameWords), swap);
        const matches =
          chunkView.getUint32(byte + 16) === sum.a >>> 0 &&
          chunkView.getUint32(byte + 20) === sum.b >>> 0;
        isBroken = !isCurrent || !matches;
      }
      const isCommit = chunkView.getUint32(byte + 4) !== 0;
      if (isBroken && isCurrent) {
        tornFrames++;
        if (isCommit) commitsBehindBreak++;
      } else if (!isBroken) {
        // Good frames count as torn until their commit frame is seen: without it SQLite drops them.
        tornFrames = isCommit ? 0 : tornFrames + 1;
      }
    }
  }
  if (commitsBehindBreak > 1) {
    throw new LogDamaged(
      {},
      `${path} holds ${commitsBehindBreak} commits behind a frame that does not match its checksum`,
    );
  }
  return { tornFrames };
}

/** SQLite's running checksum; `swap` when the file's words are big-endian and ours are not. */
function addChecksum(sum: Checksum, words: Uint32Array, swap: boolean): void {
  let { a, b } = sum;
  for (let i = 0; i < words.length; i += 2) {
    const x = words[i] ?? 0;
    const y = words[i + 1] ?? 0;
    a = (a + (swap ? swapped(x) : x) + b) | 0;
    b = (b + (swap ? swapped(y) : y) + a) | 0;
  }
  sum.a = a;
  sum.b = b;
}

function swapped(word: number): number {
  return (
    (word >>> 24) | ((word >>> 8) & 0xff00) | ((word & 0xff00) << 8) | ((word & 0xff) << 24) | 0
  );
}
