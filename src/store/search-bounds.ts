/**
 * From conditions on the time of creation and on the id to bounds of the sequence number, because both grow together, unless
 * jobs of another time were restored: then they are conditions like any other.
 */
import type { Database } from "bun:sqlite";
import { formatJobId } from "../base/ids.ts";
import type { JobFilter } from "../engine/query.ts";
import type { Sql } from "./search-lanes.ts";

/** What a filter says of creation and id. */
export interface Creation {
  readonly bounds: SeqBounds;
  /** What the bounds do not say. */
  readonly conditions: readonly Sql[];
  readonly isInOrder: boolean;
}

export function creationOf(db: Database, filter: JobFilter): Creation {
  const isInOrder = !asksForCreation(filter) || isCreatedInOrder(db);
  return {
    bounds: seqBounds(db, filter, isInOrder),
    conditions: isInOrder ? [] : creationConditions(filter),
    isInOrder,
  };
}

function asksForCreation(filter: JobFilter): boolean {
  const { createdAfterMs, createdBeforeMs, jobIdPrefix } = filter;
  return [createdAfterMs, createdBeforeMs, jobIdPrefix].some((one) => one !== undefined);
}

/** The engine notes it when a job comes back that is older than one with a smaller number (`engine/restore.ts`). */
function isCreatedInOrder(db: Database): boolean {
  return db.query("SELECT 1 FROM records WHERE kind = 'restored' LIMIT 1").get() === null;
}

function creationConditions(filter: JobFilter): Sql[] {
  const found: Sql[] = [];
  const { createdAfterMs, createdBeforeMs, jobIdPrefix } = filter;
  if (createdAfterMs !== undefined) found.push({ text: "created > ?", values: [createdAfterMs] });
  if (createdBeforeMs !== undefined) found.push({ text: "created < ?", values: [createdBeforeMs] });
  const range = jobIdPrefix === undefined ? undefined : idRange(jobIdPrefix);
  if (range !== undefined) {
    const { createdLowMs, createdHighMs } = range;
    found.push({ text: "created BETWEEN ? AND ?", values: [createdLowMs, createdHighMs] });
  }
  return found;
}

function seqBounds(db: Database, filter: JobFilter, isInOrder: boolean): SeqBounds {
  let lowSeq = 0;
  let highSeq = Number.MAX_SAFE_INTEGER;
  const above = (seq: number) => {
    lowSeq = Math.max(lowSeq, seq);
  };
  const below = (seq: number) => {
    highSeq = Math.min(highSeq, seq);
  };
  if (isInOrder && filter.createdAfterMs !== undefined) {
    above(lastSeqUntil(db, filter.createdAfterMs));
  }
  if (isInOrder && filter.createdBeforeMs !== undefined) {
    below(lastSeqUntil(db, Math.ceil(filter.createdBeforeMs) - 1) + 1);
  }
  if (filter.jobIdPrefix !== undefined) {
    const range = idRange(filter.jobIdPrefix);
    if (range === undefined) below(0);
    else {
      if (isInOrder && range.createdLowMs > 0) above(lastSeqUntil(db, range.createdLowMs - 1));
      if (isInOrder && range.createdHighMs < createdMsMax) {
        below(lastSeqUntil(db, range.createdHighMs) + 1);
      }
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
