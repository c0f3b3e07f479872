/**
 * From a `JobFilter` to SQL: which index entries are candidates, and what a candidate's row must satisfy besides.
 *
 * Candidates come from lanes. A lane is one run of an index in which rows stand in the order of their sequence numbers:
 * the table itself, one state of `by_state`, or one state of one queue of `by_queue`. Several lanes are merged by SQLite
 * without sorting. Conditions on the time of creation become bounds on the sequence number, because both grow together,
 * unless jobs of another time were restored: then they are conditions like any other.
 *
 * Values only ever travel as parameters. Names of columns and paths come from this program.
 */
import type { Database } from "bun:sqlite";
import { formatJobId } from "../base/ids.ts";
import { isFinished, type JobState, jobStates, stateCode } from "../engine/job.ts";
import type { JobFilter } from "../engine/query.ts";
import { type Meta, retentionClassOf } from "../engine/state.ts";
import { ErrorReader } from "./error-groups.ts";
import { restPath } from "./state-schema.ts";

export type Value = string | number;

/** A piece of SQL with the values of its parameters. */
export interface Sql {
  readonly text: string;
  readonly values: readonly Value[];
}

/** One ordered source of candidates. */
export interface Lane {
  readonly index: "by_state" | "by_queue" | undefined;
  /** The start of the index that all candidates share. */
  readonly where: readonly Sql[];
  /** Hides rows that no longer exist; apart, because going past them costs as much as past any other. */
  readonly kept: readonly Sql[];
}

export interface SearchPlan {
  /** Empty when nothing can match. */
  readonly lanes: readonly Lane[];
  /** Conditions on the row of a candidate. */
  readonly conditions: readonly Sql[];
  /** What SQL cannot tell of a candidate that satisfies them; undefined when there is nothing of the kind. */
  readonly accepts: ((seq: number) => boolean) | undefined;
  readonly bounds: SeqBounds;
  /** The counters of these queues and states answer how many match; undefined when only a scan can. */
  readonly counted:
    | { readonly queue: string | undefined; readonly states: readonly JobState[] }
    | undefined;
}

export function planSearch(db: Database, filter: JobFilter, floor: Meta["floor"]): SearchPlan {
  const isInOrder = !asksForCreation(filter) || isCreatedInOrder(db);
  const conditions = [...(isInOrder ? [] : creationConditions(filter)), ...conditionsOf(filter)];
  const bounds = seqBounds(db, filter, isInOrder);
  const bounded = bounds.lowSeq > 0 || bounds.highSeq < Number.MAX_SAFE_INTEGER;
  const states = filter.states ?? jobStates;
  const accepts = acceptorOf(db, filter);
  return {
    lanes: lanesOf(db, filter, floor),
    conditions,
    accepts,
    bounds,
    counted:
      conditions.length > 0 || accepts !== undefined || bounded
        ? undefined
        : { queue: filter.queue, states: [...new Set(states)] },
  };
}

function acceptorOf(db: Database, { errorGroup }: JobFilter): SearchPlan["accepts"] {
  if (errorGroup === undefined) return undefined;
  const reader = new ErrorReader(db);
  return (seq) => reader.groupOf(seq)?.id === errorGroup;
}

/** An empty list of states matches nothing, so that a bulk action built from one cannot touch everything. */
function lanesOf(db: Database, filter: JobFilter, floor: Meta["floor"]): Lane[] {
  const states = [...new Set(filter.states ?? jobStates)];
  if (filter.queue === undefined) {
    if (states.length === jobStates.length)
      return [{ index: undefined, where: [], kept: [keptOfAny(floor)] }];
    return states.map((state) => ({
      index: "by_state",
      where: [{ text: "state = ?", values: [stateCode[state]] }],
      kept: keptOf(state, floor),
    }));
  }
  const row = db.query("SELECT id FROM queues WHERE name = ?").get(filter.queue) as {
    id: number;
  } | null;
  if (row === null) return [];
  return states.map((state) => ({
    index: "by_queue",
    where: [{ text: "queue = ? AND state = ?", values: [row.id, stateCode[state]] }],
    kept: keptOf(state, floor),
  }));
}

/** Rows of finished jobs below their floor no longer exist for anyone, though the writer may not have come to them. */
function keptOf(state: JobState, floor: Meta["floor"]): Sql[] {
  const below = isFinished(state) ? floor[retentionClassOf(state)] : 0;
  return below > 0 ? [{ text: "finish >= ?", values: [below] }] : [];
}

function keptOfAny(floor: Meta["floor"]): Sql {
  return {
    text: "(finish = 0 OR finish >= CASE state WHEN ? THEN ? ELSE ? END)",
    values: [stateCode.dead, floor.dead, floor.done],
  };
}

function conditionsOf(filter: JobFilter): Sql[] {
  const found: Sql[] = [];
  const add = (text: string, ...values: (Value | undefined)[]) => {
    const given = values.filter((value) => value !== undefined);
    if (given.length > 0) found.push({ text, values: given });
  };
  add("priority = ?", filter.priority);
  add("attempt >= ?", filter.attemptMin);
  add("attempt <= ?", filter.attemptMax);
  add("worker = ?", filter.workerId);
  add(`rest ->> '${restPath("uniqueKey")}' = ?`, filter.uniqueKey);
  add(`rest ->> '${restPath("parentId")}' = ?`, filter.parentId);
  add(`rest ->> '${restPath("batchId")}' = ?`, filter.batchId);
  add(`rest ->> '${restPath("chainId")}' = ?`, filter.chainId);
  add(`${scheduledColumn} > ?`, filter.scheduledAfterMs);
  add(`${scheduledColumn} < ?`, filter.scheduledBeforeMs);
  // 0 stands for "never", which is neither before nor after anything.
  add("started <> 0 AND started > ?", filter.startedAfterMs);
  add("started <> 0 AND started < ?", filter.startedBeforeMs);
  add("finished <> 0 AND finished > ?", filter.completedAfterMs);
  add("finished <> 0 AND finished < ?", filter.completedBeforeMs);
  add("expire <> 0 AND expire > ?", filter.expireAfterMs);
  add("expire <> 0 AND expire < ?", filter.expireBeforeMs);
  // Last, because they cost most: SQLite tests conditions in this order.
  for (const [name, value] of Object.entries(filter.tags ?? {})) {
    found.push({
      text: `EXISTS (SELECT 1 FROM json_each(rest ->> '${restPath("tags")}') WHERE key = ? AND value = ?)`,
      values: [name, value],
    });
  }
  add("instr(payload, ?) > 0", filter.payloadContains);
  if (filter.hasErrors !== undefined) {
    found.push({ text: `${filter.hasErrors ? "" : "NOT "}${withErrors})`, values: [] });
  }
  add(`${withErrors} AND instr(a.error, ?) > 0)`, filter.errorContains);
  return found;
}

const scheduledColumn = `(rest ->> '${restPath("scheduledAtMs")}')`;
const withErrors =
  "EXISTS (SELECT 1 FROM attempts a WHERE a.seq = jobs.seq AND a.error IS NOT NULL";

/** A condition for jobs whose queue, payload or tags contain the text. */
export function textCondition(db: Database, text: string): Sql {
  const ids = db.query("SELECT id FROM queues WHERE instr(name, ?) > 0").values(text);
  return {
    text: `(instr(payload, ?) > 0 OR instr(rest ->> '${restPath("tags")}', ?) > 0 OR queue IN (SELECT value FROM json_each(?)))`,
    values: [text, text, JSON.stringify(ids.flat())],
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
  if (isInOrder && filter.createdAfterMs !== undefined)
    above(lastSeqUntil(db, filter.createdAfterMs));
  if (isInOrder && filter.createdBeforeMs !== undefined) {
    below(lastSeqUntil(db, Math.ceil(filter.createdBeforeMs) - 1) + 1);
  }
  if (filter.jobIdPrefix !== undefined) {
    const range = idRange(filter.jobIdPrefix);
    if (range === undefined) below(0);
    else {
      if (isInOrder && range.createdLowMs > 0) above(lastSeqUntil(db, range.createdLowMs - 1));
      if (isInOrder && range.createdHighMs < createdMsMax)
        below(lastSeqUntil(db, range.createdHighMs) + 1);
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

interface LaneSelect {
  readonly columns: string;
  readonly bounds: SeqBounds;
  /** Left out to count every entry of the lanes, whether its job still exists and matches or not. */
  readonly conditions: readonly Sql[] | undefined;
  /** What follows the merged lanes, such as ORDER BY. */
  readonly tail: Sql;
}

/** A SELECT over the merged lanes. */
export function laneSelect(lanes: readonly Lane[], what: LaneSelect): Sql {
  const values: Value[] = [];
  const arms = lanes.map((lane) => {
    const parts = [
      ...lane.where,
      { text: "seq > ? AND seq < ?", values: [what.bounds.lowSeq, what.bounds.highSeq] },
      ...(what.conditions === undefined ? [] : [...lane.kept, ...what.conditions]),
    ];
    for (const part of parts) values.push(...part.values);
    const source = lane.index === undefined ? "jobs" : `jobs INDEXED BY ${lane.index}`;
    return `SELECT ${what.columns} FROM ${source} WHERE ${parts.map((part) => part.text).join(" AND ")}`;
  });
  return {
    text: `${arms.join(" UNION ALL ")} ${what.tail.text}`,
    values: [...values, ...what.tail.values],
  };
}
