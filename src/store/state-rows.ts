/** Reading the smaller tables of the state database, and the compact rows from which the order of jobs is rebuilt. */
import type { Database } from "bun:sqlite";
import { must } from "../base/assert.ts";
import { type Attempt, type JobState, stateCode } from "../engine/job.ts";
import { defaultOptions } from "../engine/options.ts";
import type { AnyRecord } from "../engine/records.ts";
import type { FinishedCounts, IdempotencyRecord, LiveJob, QueueRecord } from "../engine/state.ts";
import { readRest, stateOf } from "./state-schema.ts";

export interface StoredQueue {
  readonly id: number;
  readonly record: QueueRecord;
}

type Buckets = [number, FinishedCounts][];
type QueueBody = Omit<QueueRecord, "name" | "finished"> & { done: Buckets; dead: Buckets };

export function writeQueue(record: QueueRecord): string {
  const body: QueueBody = {
    createdAtMs: record.createdAtMs,
    paused: record.paused,
    lanedJobs: record.lanedJobs,
    bytes: record.bytes,
    counts: record.counts,
    done: [...record.finished.done],
    dead: [...record.finished.dead],
  };
  return JSON.stringify(body);
}

export function readQueues(db: Database): StoredQueue[] {
  const rows = db.query("SELECT id, name, body FROM queues ORDER BY id").all() as {
    id: number;
    name: string;
    body: string;
  }[];
  return rows.map(({ id, name, body }) => {
    // Written before there were lanes, or bytes were counted, a body lacks their numbers.
    const { done, dead, lanedJobs, bytes, ...rest } = JSON.parse(body) as QueueBody;
    return {
      id,
      record: {
        name,
        ...rest,
        lanedJobs,
        bytes,
        finished: { done: new Map(done), dead: new Map(dead) },
      },
    };
  });
}

/** How many jobs the counters of one queue, or of all, know in these states. */
export function sumCounts(
  db: Database,
  of: { readonly queue: string | undefined; readonly states: readonly JobState[] },
): number {
  if (of.states.length === 0) return 0;
  const counts: keyof QueueBody = "counts";
  const sum = of.states.map((state) => `(body ->> '$.${counts}.${state}')`).join(" + ");
  const row = (
    of.queue === undefined
      ? db.query(`SELECT total(${sum}) AS jobs FROM queues`).get()
      : db.query(`SELECT total(${sum}) AS jobs FROM queues WHERE name = ?`).get(of.queue)
  ) as { jobs: number };
  return row.jobs;
}

export interface AttemptRow {
  readonly seq: number;
  readonly ordinal: number;
  readonly attempt: number;
  /** The outcome and, when the worker named one, a blank and the class of the error. */
  readonly outcome: string;
  readonly error: string | null;
  readonly backtrace: string | null;
  readonly output: string | null;
  readonly worker: string | null;
  readonly started: number;
  readonly ended: number;
}

/** One column for both, since no word for an outcome has a blank; so a program that knows no classes reads on. */
export function outcomeColumn({ outcome, errorClass }: Attempt): string {
  return errorClass === undefined ? outcome : `${outcome} ${errorClass}`;
}

export function readAttempt(row: AttemptRow): Attempt {
  const blank = row.outcome.indexOf(" ");
  const outcome = blank < 0 ? row.outcome : row.outcome.slice(0, blank);
  return {
    seq: row.seq,
    ordinal: row.ordinal,
    attempt: row.attempt,
    outcome: outcome as Attempt["outcome"],
    error: row.error ?? undefined,
    errorClass: blank < 0 ? undefined : row.outcome.slice(blank + 1),
    backtrace: row.backtrace ?? undefined,
    output: row.output ?? undefined,
    workerId: row.worker ?? undefined,
    startedAtMs: row.started,
    endedAtMs: row.ended,
  };
}

/** The stored attempts of a job, oldest first. */
export function readAttempts(db: Database, seq: number): Attempt[] {
  const rows = db.query("SELECT * FROM attempts WHERE seq = ? ORDER BY ordinal").all(seq);
  return (rows as AttemptRow[]).map(readAttempt);
}

/** Rows per read: a start with ten million jobs must not hold them all as arrays at once. */
const pageRows = 50_000;

/**
 * Every unfinished job, read from the `live` index alone. Active jobs need their rows, for the lease, and so do those of
 * queues that have jobs with a lane.
 */
export function* readLiveJobs(db: Database, queues: Map<number, QueueRecord>): Iterable<LiveJob> {
  const page = db.prepare(
    `SELECT state, queue, priority, place, due, expire, seq FROM jobs INDEXED BY live
     WHERE finish = 0 AND (state, queue, priority, place, due, expire, seq) > (?, ?, ?, ?, ?, ?, ?)
     ORDER BY state, queue, priority, place, due, expire, seq LIMIT ${pageRows}`,
  );
  const body = db.prepare("SELECT token, rest FROM jobs WHERE seq = ?");
  let last = [-1, 0, 0, 0, 0, 0, 0];
  for (;;) {
    const rows = page.values(...last) as number[][];
    for (const row of rows) {
      const [state = 0, queue = 0, priority = 0, order = 0, dueAtMs = 0, expireAtMs = 0, seq = 0] =
        row;
      let token = 0;
      let leaseExpiresAtMs = 0;
      let options = defaultOptions;
      const { name, lanedJobs } = must(queues.get(queue), "a stored job's queue exists");
      if (state === stateCode.active || lanedJobs !== undefined) {
        const found = body.get(seq) as { token: number; rest: string | null };
        const rest = readRest(found.rest);
        token = state === stateCode.active ? found.token : 0;
        leaseExpiresAtMs = rest.leaseExpiresAtMs;
        options = rest.options;
      }
      yield {
        seq,
        queue: name,
        state: stateOf(state),
        priority,
        order,
        dueAtMs,
        expireAtMs,
        token,
        leaseExpiresAtMs,
        options,
      };
    }
    if (rows.length < pageRows) return;
    last = rows.at(-1) ?? last;
  }
}

export function* readRecords(db: Database): Iterable<AnyRecord> {
  const rows = db.query("SELECT kind, key, value FROM records").iterate();
  for (const row of rows as Iterable<{ kind: string; key: string; value: string }>) {
    yield { kind: row.kind, key: row.key, value: JSON.parse(row.value) };
  }
}

/** Kind and key of a record; kinds contain no line break. */
export function splitName(name: string): [string, string] {
  const at = name.indexOf("\n");
  return [name.slice(0, at), name.slice(at + 1)];
}

/** In the order of the columns. */
export function attemptRow(attempt: Attempt): (string | number | null)[] {
  return [
    attempt.seq,
    attempt.ordinal,
    attempt.attempt,
    outcomeColumn(attempt),
    attempt.error ?? null,
    attempt.backtrace ?? null,
    attempt.output ?? null,
    attempt.workerId ?? null,
    attempt.startedAtMs,
    attempt.endedAtMs,
  ];
}

export interface StoredIdempotency {
  readonly ordinal: number;
  readonly record: IdempotencyRecord;
}

/** Oldest first. */
export function readIdempotency(db: Database): StoredIdempotency[] {
  const rows = db.query("SELECT * FROM idempotency ORDER BY ordinal").all() as {
    ordinal: number;
    key: string;
    fingerprint: string;
    expires: number;
    results: string;
  }[];
  return rows.map((row) => {
    const answer = JSON.parse(row.results);
    const record = {
      key: row.key,
      fingerprint: row.fingerprint,
      expiresAtMs: row.expires,
      // A call that began a batch has more to remember than a list.
      ...(Array.isArray(answer) ? { results: answer } : answer),
    };
    return { ordinal: row.ordinal, record };
  });
}

/** A row at a time: a walk over everything must not hold everything. */
export function* eachRow(db: Database, sql: string): Iterable<unknown> {
  const statement = db.prepare(sql);
  try {
    yield* statement.iterate();
  } finally {
    statement.finalize();
  }
}
