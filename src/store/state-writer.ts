/**
 * The writing side of the state database: one transaction per checkpoint, rows and applied index together. Runs in a
 * Worker (`state-worker.ts`), because a commit may take tens of milliseconds; synchronous in itself.
 */
import { Database, type Statement } from "bun:sqlite";
import { type EventRetention, EventWriter, type PackedEvents } from "./event-rows.ts";
import { isDiskFull } from "./reserve.ts";
import {
  configureConnection,
  jobColumns,
  numberColumns,
  statePageBytes,
  stateTables,
  textColumns,
  walMovedBytes,
} from "./state-schema.ts";
import { TextChangeWriter } from "./text-changes.ts";

/** Everything that changed since the last checkpoint, in a form that is cheap to hand to another thread. */
export interface Checkpoint {
  readonly appliedIndex: number;
  /** JSON of the membership after that entry. */
  readonly conf: string;
  /** JSON of the engine's `Meta`. */
  readonly meta: string;
  /** `numberColumns` numbers per job. */
  readonly numbers: Float64Array;
  /** Length of each text column per job, -1 for null; the texts themselves stand one after the other in `texts`. */
  readonly lengths: Int32Array;
  readonly texts: string;
  readonly deletedJobs: readonly number[];
  /** Jobs that were deleted and then restored under the same number. */
  readonly returnedJobs: readonly number[];
  readonly attempts: readonly (readonly (string | number | null)[])[];
  readonly deletedAttempts: readonly (readonly [number, number])[];
  readonly queues: readonly (readonly [number, string, string])[];
  readonly deletedQueues: readonly string[];
  readonly uniques: readonly (readonly [string, string, number, number])[];
  readonly deletedUniques: readonly (readonly [string, string])[];
  readonly idempotency: readonly (readonly [number, string, string, number, string])[];
  readonly deletedIdempotency: readonly number[];
  readonly records: readonly (readonly [string, string, string])[];
  readonly deletedRecords: readonly (readonly [string, string])[];
  readonly events: readonly PackedEvents[];
  /** Jobs whose text changed; undefined when there is no index of texts. */
  readonly textChanges: readonly number[] | undefined;
  /** The last of these changes that the index has taken in. */
  readonly textTakenIn: number;
}

/** Rows per INSERT: measured, 16 cost a third less than one at a time, and more cost more again. */
const rowsPerInsert = 16;

/** Rows looked at in one purge step, so that a checkpoint never waits long behind it. */
const purgeStepRows = 2000;

export class StateWriter {
  readonly #db: Database;
  readonly #insertMany: Statement;
  readonly #insertOne: Statement;
  readonly #events: EventWriter;
  readonly #textChanges: TextChangeWriter;
  /** Where the purge of each class goes on; undefined when there is nothing to do until the floor rises. */
  #purgeCursors: { state: number; floor: number; cursor: number; kept: number }[] = [];

  constructor(path: string, retention: EventRetention) {
    this.#db = new Database(path, { create: true });
    configureConnection(this.#db, 64 * 1024);
    this.#db.exec(`PRAGMA wal_autocheckpoint = ${walMovedBytes / statePageBytes}`);
    this.#db.exec(stateTables);
    this.#events = new EventWriter(this.#db, retention);
    this.#textChanges = new TextChangeWriter(this.#db);
    const row = `(${Array(numberColumns + textColumns)
      .fill("?")
      .join(",")})`;
    const insert = `INSERT OR REPLACE INTO jobs (${jobColumns}) VALUES `;
    this.#insertOne = this.#db.prepare(insert + row);
    this.#insertMany = this.#db.prepare(insert + Array(rowsPerInsert).fill(row).join(","));
  }

  /** Writes a checkpoint. After it returns, the state is durable at its applied index. */
  write(checkpoint: Checkpoint): void {
    const { mark } = this.#events;
    const textMark = this.#textChanges.mark;
    this.#db.exec("BEGIN IMMEDIATE");
    try {
      this.#writeJobs(checkpoint);
      this.#each(
        "DELETE FROM attempts WHERE seq = ?",
        checkpoint.returnedJobs.map((seq) => [seq]),
      );
      this.#each(
        "INSERT OR REPLACE INTO attempts VALUES (?,?,?,?,?,?,?,?,?,?)",
        checkpoint.attempts,
      );
      this.#each("DELETE FROM attempts WHERE seq = ? AND ordinal = ?", checkpoint.deletedAttempts);
      // After the rows: a job that was deleted may have left attempts in this very checkpoint.
      this.#each(
        "DELETE FROM jobs WHERE seq = ?",
        checkpoint.deletedJobs.map((seq) => [seq]),
      );
      this.#each(
        "DELETE FROM attempts WHERE seq = ?",
        checkpoint.deletedJobs.map((seq) => [seq]),
      );
      this.#each(
        "DELETE FROM queues WHERE name = ?",
        checkpoint.deletedQueues.map((name) => [name]),
      );
      this.#each("INSERT OR REPLACE INTO queues VALUES (?,?,?)", checkpoint.queues);
      this.#each("DELETE FROM uniques WHERE queue = ? AND key = ?", checkpoint.deletedUniques);
      this.#each("INSERT OR REPLACE INTO uniques VALUES (?,?,?,?)", checkpoint.uniques);
      this.#each(
        "DELETE FROM idempotency WHERE ordinal = ?",
        checkpoint.deletedIdempotency.map((ordinal) => [ordinal]),
      );
      this.#each("INSERT OR REPLACE INTO idempotency VALUES (?,?,?,?,?)", checkpoint.idempotency);
      this.#each("DELETE FROM records WHERE kind = ? AND key = ?", checkpoint.deletedRecords);
      this.#each("INSERT OR REPLACE INTO records VALUES (?,?,?)", checkpoint.records);
      this.#events.write(checkpoint.events);
      if (checkpoint.textChanges !== undefined) {
        this.#textChanges.write(checkpoint.textChanges, checkpoint.textTakenIn);
      }
      this.#each("INSERT OR REPLACE INTO meta VALUES (?,?)", [
        ["engine", checkpoint.meta],
        ["applied", String(checkpoint.appliedIndex)],
        ["conf", checkpoint.conf],
      ]);
      this.#db.exec("COMMIT");
    } catch (error) {
      // A failed COMMIT may or may not have ended the transaction; what failed is reported, not this.
      if (this.#db.inTransaction) this.#db.exec("ROLLBACK");
      this.#events.reset(mark);
      this.#textChanges.reset(textMark);
      throw error;
    }
  }

  /** Tells which finished jobs no longer exist; their rows go in later steps. */
  setFloors(doneFloor: number, deadFloor: number): void {
    this.#purgeCursors = [
      { state: 4, floor: doneFloor, cursor: 0, kept: 0 },
      { state: 6, floor: doneFloor, cursor: 0, kept: 0 },
      { state: 5, floor: deadFloor, cursor: 0, kept: 0 },
    ];
  }

  /** Removes some rows that no longer exist. True when there may be more. */
  purgeStep(): boolean {
    const current = this.#purgeCursors[0];
    if (current === undefined) return false;
    const rows = this.#db
      .query(
        "SELECT seq, finish FROM jobs INDEXED BY by_state WHERE state = ? AND seq > ? ORDER BY seq LIMIT ?",
      )
      .values(current.state, current.cursor, purgeStepRows) as [number, number][];
    const gone = rows.filter(([, finish]) => finish < current.floor).map(([seq]) => [seq]);
    if (gone.length > 0) {
      this.#db.exec("BEGIN IMMEDIATE");
      this.#each("DELETE FROM jobs WHERE seq = ?", gone);
      this.#each("DELETE FROM attempts WHERE seq = ?", gone);
      this.#db.exec("COMMIT");
      current.kept = 0;
    } else {
      current.kept += rows.length;
    }
    current.cursor = rows.at(-1)?.[0] ?? current.cursor;
    // Jobs finish roughly in the order of creation: a long run of kept rows means that the rest is kept too. What that
    // guess leaves behind is found when the floor rises again, and is invisible meanwhile.
    if (rows.length < purgeStepRows || current.kept > 4 * purgeStepRows) this.#purgeCursors.shift();
    return this.#purgeCursors.length > 0;
  }

  /** What a full disk does not let into the file stays in the write-ahead log, where the next start finds it. */
  close(): void {
    try {
      this.#db.exec("PRAGMA wal_checkpoint(TRUNCATE)");
    } catch (error) {
      if (!isDiskFull(error)) throw error;
    } finally {
      this.#db.close();
    }
  }

  #writeJobs(checkpoint: Checkpoint): void {
    const { numbers, lengths, texts } = checkpoint;
    const count = numbers.length / numberColumns;
    let textAt = 0;
    let row: (number | string | null)[] = [];
    for (let job = 0; job < count; job++) {
      for (let column = 0; column < numberColumns; column++) {
        row.push(numbers[job * numberColumns + column] ?? 0);
      }
      for (let column = 0; column < textColumns; column++) {
        const length = lengths[job * textColumns + column] ?? -1;
        row.push(length < 0 ? null : texts.substring(textAt, textAt + length));
        if (length > 0) textAt += length;
      }
      if ((job + 1) % rowsPerInsert === 0) {
        this.#insertMany.run(...row);
        row = [];
      }
    }
    const width = numberColumns + textColumns;
    for (let at = 0; at < row.length; at += width)
      this.#insertOne.run(...row.slice(at, at + width));
  }

  #each(sql: string, rows: readonly (readonly (string | number | null)[])[]): void {
    if (rows.length === 0) return;
    const statement = this.#db.query(sql);
    for (const row of rows) statement.run(...row);
  }
}
