/**
 * Tables of the state database, and how a job record becomes a row and back.
 *
 * A row has a column for what is searched, ordered or common, and one JSON column `rest` for what is rare; a job that
 * was enqueued with the defaults, run and finished has no `rest` at all. Strings of JSON (payload, result) are stored
 * as they came.
 *
 * Indexes: `by_state` and `by_queue` serve lists, newest first, without counting or sorting; `live` holds exactly what
 * the order of unfinished jobs is rebuilt from, so a start reads no job bodies. The others hold only the rows that have
 * what they are about: `by_started`, `by_finished` and `by_worker` cost a job that ran half a microsecond each, the rest
 * cost those jobs nothing that have no such option (measured).
 */
import type { Database } from "bun:sqlite";
import { must } from "../base/assert.ts";
import { type Job, type JobState, jobStates, stateCode } from "../engine/job.ts";
import { type JobOptions, packOptions, unpackOptions } from "../engine/options.ts";
import { eventTables } from "./event-rows.ts";
import { textChangeTables } from "./text-changes.ts";

/** What each partial index is of, written exactly as conditions must write it to be answered by the index. */
export const indexedColumns = {
  by_started: "started",
  by_finished: "finished",
  by_worker: "worker",
  by_unique: restColumn("uniqueKey"),
  by_batch: restColumn("batchId"),
  by_chain: restColumn("chainId"),
  by_parent: restColumn("parentId"),
  by_scheduled: restColumn("scheduledAtMs"),
} as const;

function partialIndexes(): string {
  return Object.entries(indexedColumns)
    .map(([name, column]) => {
      // 0 is the time of what did not happen yet.
      const has = column === "started" || column === "finished" ? "<> 0" : "IS NOT NULL";
      return `CREATE INDEX IF NOT EXISTS ${name} ON jobs (${column}, seq) WHERE ${column} ${has};`;
    })
    .join("\n");
}

/** Their version is the format of the data directory (`data-dir.ts`). */
export const stateTables = `
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS queues (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, body TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS jobs (
  seq INTEGER PRIMARY KEY, queue INTEGER NOT NULL, state INTEGER NOT NULL, priority INTEGER NOT NULL,
  place INTEGER NOT NULL, due INTEGER NOT NULL, expire INTEGER NOT NULL, created INTEGER NOT NULL,
  started INTEGER NOT NULL, finished INTEGER NOT NULL, finish INTEGER NOT NULL, attempt INTEGER NOT NULL,
  token INTEGER NOT NULL, worker TEXT, payload TEXT NOT NULL, result TEXT, rest TEXT
);
CREATE INDEX IF NOT EXISTS by_state ON jobs (state, seq, finish);
CREATE INDEX IF NOT EXISTS by_queue ON jobs (queue, state, seq);
CREATE INDEX IF NOT EXISTS live ON jobs (state, queue, priority, place, due, expire) WHERE finish = 0;
${partialIndexes()}
CREATE TABLE IF NOT EXISTS attempts (
  seq INTEGER NOT NULL, ordinal INTEGER NOT NULL, attempt INTEGER NOT NULL, outcome TEXT NOT NULL,
  error TEXT, backtrace TEXT, output TEXT, worker TEXT, started INTEGER NOT NULL, ended INTEGER NOT NULL,
  PRIMARY KEY (seq, ordinal)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS uniques (
  queue TEXT NOT NULL, key TEXT NOT NULL, seq INTEGER NOT NULL, until INTEGER NOT NULL,
  PRIMARY KEY (queue, key)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS idempotency (
  ordinal INTEGER PRIMARY KEY, key TEXT NOT NULL, fingerprint TEXT NOT NULL, expires INTEGER NOT NULL, results TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS records (
  kind TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (kind, key)
) WITHOUT ROWID;
${eventTables}
${textChangeTables}`;

/** Indexes of the rows that have something, by what they have; within equal values in the order of creation. */
export type PartialIndex = keyof typeof indexedColumns;

/** Columns of `jobs`, in the order in which rows travel to the writer. Numbers first, then texts. */
export const numberColumns = 13;
export const textColumns = 4;
export const jobColumns =
  "seq, queue, state, priority, place, due, expire, created, started, finished, finish, attempt, token, worker, payload, result, rest";

/** Writes the numbers of a job at `at`. */
export function writeNumbers(into: Float64Array, at: number, job: Job, queueId: number): void {
  into[at] = job.seq;
  into[at + 1] = queueId;
  into[at + 2] = stateCode[job.state];
  into[at + 3] = job.priority;
  into[at + 4] = job.order;
  into[at + 5] = job.dueAtMs;
  into[at + 6] = job.expireAtMs;
  into[at + 7] = job.createdAtMs;
  into[at + 8] = job.startedAtMs;
  into[at + 9] = job.finishedAtMs;
  into[at + 10] = job.finish;
  into[at + 11] = job.attempt;
  into[at + 12] = job.token;
}

/** What has no column, under short names because it repeats in every row that needs it. */
interface Rest {
  o?: ReturnType<typeof packOptions>;
  s?: number;
  h?: number;
  l?: number;
  m?: number;
  e?: number;
  n?: string;
  f?: number;
  c?: string;
  p?: string;
  r?: string;
  z?: number;
  g?: number;
}

/** JSON path in the `rest` column of what is searched there. */
export function restPath(
  member:
    | "scheduledAtMs"
    | "reason"
    | "history"
    | keyof Pick<JobOptions, "uniqueKey" | "tags" | "parentId" | "batchId" | "chainId">,
): string {
  const options: keyof Rest = "o";
  const scheduled: keyof Rest = "s";
  const reason: keyof Rest = "r";
  const history: keyof Rest = "h";
  if (member === "reason") return `$.${reason}`;
  if (member === "history") return `$.${history}`;
  return member === "scheduledAtMs" ? `$.${scheduled}` : `$.${options}.${member}`;
}

/** What is searched in the `rest` column, as SQL. */
export function restColumn(member: Parameters<typeof restPath>[0]): string {
  return `(rest ->> '${restPath(member)}')`;
}

/** The `rest` column: what is not at its resting value; undefined when everything is. */
export function packRest(job: Job): string | undefined {
  const options = packOptions(job.options);
  const plain =
    options === undefined &&
    job.scheduledAtMs === 0 &&
    job.history === 0 &&
    job.snoozes === 0 &&
    job.leaseMs === 0 &&
    job.failedAtMs === 0 &&
    job.hostname === undefined &&
    job.checkpoint === undefined &&
    job.progress === undefined &&
    job.reason === undefined;
  if (plain) return undefined;
  const rest: Rest = {};
  if (options !== undefined) rest.o = options;
  if (job.scheduledAtMs !== 0) rest.s = job.scheduledAtMs;
  if (job.history !== 0) rest.h = job.history;
  if (job.lostLeases !== 0) rest.l = job.lostLeases;
  if (job.leaseMs !== 0) rest.m = job.leaseMs;
  if (job.leaseExpiresAtMs !== 0) rest.e = job.leaseExpiresAtMs;
  if (job.hostname !== undefined) rest.n = job.hostname;
  if (job.failedAtMs !== 0) rest.f = job.failedAtMs;
  if (job.checkpoint !== undefined) rest.c = job.checkpoint;
  if (job.progress !== undefined) rest.p = job.progress;
  if (job.reason !== undefined) rest.r = job.reason;
  if (job.snoozes !== 0) rest.z = job.snoozes;
  if (job.firstFailedAtMs !== 0) rest.g = job.firstFailedAtMs;
  return JSON.stringify(rest);
}

export interface JobRow {
  readonly seq: number;
  readonly state: number;
  readonly priority: number;
  readonly place: number;
  readonly due: number;
  readonly expire: number;
  readonly created: number;
  readonly started: number;
  readonly finished: number;
  readonly finish: number;
  readonly attempt: number;
  readonly token: number;
  readonly worker: string | null;
  readonly payload: string;
  readonly result: string | null;
  readonly rest: string | null;
}

export function stateOf(code: number): JobState {
  return must(jobStates[code], "a stored state is one of the table");
}

/** What the order of unfinished jobs needs of the `rest` column. */
export function readRest(text: string | null): { leaseExpiresAtMs: number; options: JobOptions } {
  const rest: Rest = text === null ? {} : (JSON.parse(text) as Rest);
  return { leaseExpiresAtMs: rest.e ?? 0, options: unpackOptions(rest.o) };
}

/** The record behind a row; the reverse of `writeNumbers` and `packRest`. */
export function readJob(row: JobRow, queue: string): Job {
  const rest: Rest = row.rest === null ? {} : (JSON.parse(row.rest) as Rest);
  return {
    seq: row.seq,
    createdAtMs: row.created,
    queue,
    payload: row.payload,
    options: unpackOptions(rest.o),
    state: stateOf(row.state),
    priority: row.priority,
    order: row.place,
    dueAtMs: row.due,
    scheduledAtMs: rest.s ?? 0,
    expireAtMs: row.expire,
    attempt: row.attempt,
    history: rest.h ?? 0,
    lostLeases: rest.l ?? 0,
    snoozes: rest.z ?? 0,
    firstFailedAtMs: rest.g ?? 0,
    token: row.token,
    leaseMs: rest.m ?? 0,
    leaseExpiresAtMs: rest.e ?? 0,
    workerId: row.worker ?? undefined,
    hostname: rest.n,
    startedAtMs: row.started,
    finishedAtMs: row.finished,
    failedAtMs: rest.f ?? 0,
    finish: row.finish,
    checkpoint: rest.c,
    progress: rest.p,
    result: row.result ?? undefined,
    reason: rest.r,
  };
}

/**
 * Moving the write-ahead log into the file is a burst of writes and an fsync on the disk that the log of entries shares; seen in
 * the latency of scheduled jobs. So much of it makes that rare, and reading that much back costs a start a fraction of a second.
 */
export const walMovedBytes = 64 * 1024 * 1024;
export const statePageBytes = 4096;

/**
 * Settings of every connection to the state database. FULL, although the log could replay what a power cut takes: with
 * one commit a second it costs nothing, and a confirmed checkpoint is then what the log may be compacted to.
 */
export function configureConnection(db: Database, cacheKib: number): void {
  db.exec("PRAGMA busy_timeout = 10000");
  db.exec("PRAGMA journal_mode = WAL");
  db.exec("PRAGMA synchronous = FULL");
  db.exec(`PRAGMA cache_size = -${cacheKib}`);
  db.exec("PRAGMA temp_store = MEMORY");
}
