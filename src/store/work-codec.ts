/**
 * How a batch of works travels from the main thread to the log Worker: one buffer, transferred, not cloned object by
 * object (cloning hundreds of small arrays costs more than the fsync they wait for). The rows inside are already in
 * their final form except for sequence, previousCrc and crc, which the Worker fills in where they lie.
 *
 * Work     group u32 | rowLength u32 | flags u16 | voteLength u16 | truncateFrom u64 | reset index u64 |
 *          reset term u64 | hard term u64 | hard commit u64 | vote | row
 */
import { assert } from "../base/assert.ts";
import type { AppendWork, HardState } from "../base/log.ts";
import { encodeVote, getU64, putU64, rowBytes, viewOf, writeRow } from "./log-format.ts";

const headerBytes = 52;
const hasHardState = 1;
const hasTruncate = 2;
const hasReset = 4;

/** A work, with the hard state that holds once it is done. */
export interface PreparedWork {
  readonly work: AppendWork;
  readonly hard: { readonly state: HardState; readonly vote: Uint8Array };
  readonly rowBytes: number;
  readonly bytes: number;
}

export interface DecodedWork {
  readonly group: number;
  readonly row: Uint8Array | undefined;
  readonly hardState: HardState;
  readonly setsHardState: boolean;
  readonly truncateFrom: number | undefined;
  readonly resetTo: { readonly index: number; readonly term: number } | undefined;
}

export function prepareWork(work: AppendWork, hardState: HardState): PreparedWork {
  const vote = encodeVote(hardState.vote);
  const row = work.entries.length === 0 ? 0 : rowBytes(work.entries, vote);
  return {
    work,
    hard: { state: hardState, vote },
    rowBytes: row,
    bytes: headerBytes + vote.length + row,
  };
}

export function encodeWorks(works: readonly PreparedWork[]): Uint8Array<ArrayBuffer> {
  let size = 0;
  for (const work of works) size += work.bytes;
  const target = new Uint8Array(size);
  const view = viewOf(target);
  let at = 0;
  for (const { work, hard, rowBytes: rowLength, bytes } of works) {
    const flags =
      (work.hardState === undefined ? 0 : hasHardState) |
      (work.truncateFrom === undefined ? 0 : hasTruncate) |
      (work.resetTo === undefined ? 0 : hasReset);
    view.setUint32(at, work.group, true);
    view.setUint32(at + 4, rowLength, true);
    view.setUint16(at + 8, flags, true);
    view.setUint16(at + 10, hard.vote.length, true);
    putU64(view, at + 12, work.truncateFrom ?? 0);
    putU64(view, at + 20, work.resetTo?.index ?? 0);
    putU64(view, at + 28, work.resetTo?.term ?? 0);
    putU64(view, at + 36, hard.state.term);
    putU64(view, at + 44, hard.state.commit);
    target.set(hard.vote, at + headerBytes);
    if (rowLength > 0) {
      const rowAt = at + headerBytes + hard.vote.length;
      writeRow(target.subarray(rowAt, rowAt + rowLength), work.group, work.entries, hard);
    }
    at += bytes;
  }
  assert(at === size, "a batch fills exactly the space that was measured for it");
  return target;
}

export function decodeWorks(bytes: Uint8Array): DecodedWork[] {
  const view = viewOf(bytes);
  const works: DecodedWork[] = [];
  let at = 0;
  while (at < bytes.length) {
    const rowLength = view.getUint32(at + 4, true);
    const flags = view.getUint16(at + 8, true);
    const voteAt = at + headerBytes;
    const rowAt = voteAt + view.getUint16(at + 10, true);
    works.push({
      group: view.getUint32(at, true),
      row: rowLength === 0 ? undefined : bytes.subarray(rowAt, rowAt + rowLength),
      setsHardState: (flags & hasHardState) !== 0,
      hardState: {
        term: getU64(view, at + 36),
        commit: getU64(view, at + 44),
        vote: new TextDecoder().decode(bytes.subarray(voteAt, rowAt)),
      },
      truncateFrom: flags & hasTruncate ? getU64(view, at + 12) : undefined,
      resetTo:
        flags & hasReset
          ? { index: getU64(view, at + 20), term: getU64(view, at + 28) }
          : undefined,
    });
    at = rowAt + rowLength;
  }
  return works;
}
