/** From conditions on the time of creation and on the id to bounds of the sequence number. */
import type { Database } from "bun:sqlite";
import { formatJobId } from "../base/ids.ts";
import type { JobFilter } from "../engine/query.ts";

/** Conditions on creation and id, as bounds of the sequence number: both grow together. */
export function seqBounds(db: Database, filter: JobFilter): SeqBounds {
  let lowSeq = 0;
  let highSeq = Number.MAX_SAFE_INTEGER;
  const above = (seq: number) => {
    lowSeq = Math.max(lowSeq, seq);
  };
  const below = (seq: number) => {
    highSeq = Math.min(highSeq, seq);
  };
  if (filter.createdAfterMs !== undefined) above(lastSeqUntil(db, filter.createdAfterMs));
  if (filter.createdBeforeMs !== undefined) {
    below(lastSeqUntil(db, Math.ceil(filter.createdBeforeMs) - 1) + 1);
  }
  if (filter.jobIdPrefix !== undefined) {
    const range = idRange(filter.jobIdPrefix);
    if (range === undefined) below(0);
    else {
      if (range.createdLowMs > 0) above(lastSeqUntil(db, range.createdLowMs - 1));
      if (range.createdHighMs < createdMsMax) below(lastSeqUntil(db, range.createdHighMs) + 1);
      above(range.lowSeq);
      below(range.highSeq);
    }
  }
  return { lowSeq, highSeq };
}

/** The largest sequence number of a job created at or before `timeMs`, 0 when there is none: a search by halves. */
function lastSeqUntil(db: Database, timeMs: number): number {
  const next = db.query("SELECT seq, created FROM jobs WHERE seq >= ? ORDER BY seq LIMIT 1");
  const last = db.query("SELECT seq FROM jobs ORDER BY seq DESC LIMIT 1").get() as {
    seq: number;
  } | null;
  // Invariant: rows up to `low` are not later than the time, rows from `high` on are.
  let low = 0;
  let high = (last?.seq ?? 0) + 1;
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    const row = next.get(middle) as { seq: number; created: number } | null;
    if (row === null || row.created > timeMs) high = middle;
    else low = Math.max(middle, row.seq);
  }
  return low;
}

const idLength = formatJobId(0, 0, 0).length;
const idStart = "job_";
const timeDigits = 11;
const shardDigits = 3;
const seqDigits = 12;
const createdMsMax = 16 ** timeDigits - 1;

interface IdRange {
  readonly createdLowMs: number;
  readonly createdHighMs: number;
  readonly lowSeq: number;
  readonly highSeq: number;
}

/** Times and sequence numbers of the ids that start so; undefined when no id does. Bounds of `seq` are exclusive. */
function idRange(prefix: string): IdRange | undefined {
  const whole: IdRange = {
    createdLowMs: 0,
    createdHighMs: createdMsMax,
    lowSeq: 0,
    highSeq: Number.MAX_SAFE_INTEGER,
  };
  if (idStart.startsWith(prefix)) return whole;
  if (!/^job_[0-9a-f]+$/.test(prefix) || prefix.length > idLength) return undefined;
  const digits = prefix.slice(idStart.length);
  const time = digits.slice(0, timeDigits);
  const createdLowMs = Number.parseInt(time.padEnd(timeDigits, "0"), 16);
  const createdHighMs = Number.parseInt(time.padEnd(timeDigits, "f"), 16);
  const shard = digits.slice(timeDigits, timeDigits + shardDigits);
  // A database has the rows of one shard and does not know its number: who asks has put 0 in its place.
  if (!"000".startsWith(shard)) return undefined;
  const seq = digits.slice(timeDigits + shardDigits);
  if (seq === "") return { ...whole, createdLowMs, createdHighMs };
  return {
    createdLowMs,
    createdHighMs,
    lowSeq: Number.parseInt(seq.padEnd(seqDigits, "0"), 16) - 1,
    highSeq: Number.parseInt(seq.padEnd(seqDigits, "f"), 16) + 1,
  };
}

/** Exclusive bounds of sequence numbers. */
export interface SeqBounds {
  readonly lowSeq: number;
  readonly highSeq: number;
}
