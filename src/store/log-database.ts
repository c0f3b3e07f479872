/**
 * The log database as the Worker holds it: synchronous, one writer, one transaction per batch of works.
 *
 * Invariants: the in-memory groups equal what is committed (a failed transaction puts them back); whatever a method
 * returned from without throwing is fsynced; the superblock hint never runs ahead of that, and covers everything that
 * a checkpoint moves out of the write-ahead log, so that the hint or the log's own structure shows every loss.
 */
import type { Database, Statement } from "bun:sqlite";
import { assert, must } from "../base/assert.ts";
import { logPaths, openSuperblock, openWriter, pageBytes } from "./log-files.ts";
import {
  emptyHardState,
  encodeGroup,
  encodeVote,
  entriesOf,
  LogDamaged,
  linkRow,
  type Row,
  readRow,
  rowBytes,
  rowSpan,
  writeRow,
} from "./log-format.ts";
import { type GroupState, tableOf, verifyLog } from "./log-verify.ts";
import {
  isDiskFull,
  makeReserve,
  noRoomMessage,
  type Reserve,
  releaseReserve,
  roomNeeded,
} from "./reserve.ts";
import type { Superblock } from "./superblock.ts";
import { checkWal } from "./wal-check.ts";
import { type DecodedWork, decodeWorks } from "./work-codec.ts";

export interface LogDatabaseOptions {
  readonly storeId: string;
  readonly minimumLast: ReadonlyMap<number, number>;
  readonly reserveBytes: number;
  /** A checkpoint is due when the write-ahead log holds about so much of entries, or so much in all. */
  readonly checkpointBytes: number;
  readonly walBytesMax: number;
}

/** One compaction transaction: about as long as a small append. */
const compactRowsMax = 64;
const compactBytesMax = 1024 * 1024;

interface GroupStatements {
  readonly insert: Statement<unknown, [number, Uint8Array]>;
  readonly deleteFrom: Statement<unknown, [number]>;
  readonly deleteThrough: Statement<unknown, [number]>;
  readonly holding: Statement<{ id: number; data: Uint8Array }, [number]>;
  readonly sizes: Statement<{ id: number; bytes: number }, [number]>;
}

export class LogDatabase {
  readonly notes: string[] = [];
  readonly #db: Database;
  readonly #superblock: Superblock;
  readonly #reserve: Reserve;
  readonly #options: LogDatabaseOptions;
  readonly #groups: Map<number, GroupState>;
  readonly #statements = new Map<number, GroupStatements>();
  readonly #putGroup: Statement<unknown, [number, Uint8Array]>;
  readonly #compactions = new Map<number, number>();
  /** The groups that the running transaction changed, as they were before. */
  readonly #undo = new Map<number, GroupState | undefined>();
  #sequence: number;
  #walBytes = 0;
  /** Of entries, since the last checkpoint: about what a checkpoint has to move. */
  #entryBytes = 0;
  #isReadOnly = false;

  constructor(dir: string, options: LogDatabaseOptions) {
    const paths = logPaths(dir);
    this.#options = options;
    this.#reserve = { path: paths.reserve, bytes: options.reserveBytes };
    // A full disk must not prevent the start: SQLite needs a little room to open, and the reserve is that room.
    if (!makeReserve(this.#reserve)) {
      releaseReserve(this.#reserve);
      this.#isReadOnly = true;
      this.notes.push("The disk is full: the log starts read-only.");
    }
    this.#superblock = openSuperblock(dir, options.storeId);
    try {
      const { tornFrames } = checkWal(paths.wal);
      const verified = verifyLog(paths.database, {
        hint: this.#superblock.found,
        minimumLast: options.minimumLast,
      });
      if (tornFrames > 0) {
        this.notes.push(
          `Dropped an unfinished commit of ${tornFrames} pages at the end of the log; it was never acknowledged.`,
        );
      }
      this.#groups = verified.groups;
      this.#sequence = verified.sequence;
      this.#db = openWriter(paths.database);
      this.#putGroup = this.#db.prepare("INSERT OR REPLACE INTO groups (id, data) VALUES (?, ?)");
      this.#writeHint(false);
      // Also wipes the torn frames, so that the next check sees the remains of one crash at most.
      this.#checkpointIfRoom();
    } catch (error) {
      this.#superblock.close();
      const isForSpace = this.#isReadOnly && !(error instanceof LogDamaged);
      throw isForSpace ? new Error(noRoomMessage(dir), { cause: error }) : error;
    }
  }

  get isReadOnly(): boolean {
    return this.#isReadOnly;
  }

  get groups(): readonly GroupState[] {
    return [...this.#groups.values()];
  }

  /** Makes a batch durable in one transaction. Throws with nothing changed; after anything but a full disk, for good. */
  commit(batch: Uint8Array): void {
    const works = decodeWorks(batch);
    this.#transact(() => {
      const changed = new Set<number>();
      for (const work of works) if (this.#applyWork(work)) changed.add(work.group);
      for (const id of changed) this.#storeGroup(id);
    });
    this.#entryBytes += batch.length;
    this.#walBytes += batch.length + works.length * pageBytes;
  }

  requestCompaction(group: number, throughIndex: number): void {
    this.#compactions.set(group, Math.max(throughIndex, this.#compactions.get(group) ?? 0));
  }

  /** One small transaction of what `requestCompaction` asked for. False when nothing is left to do. */
  compactStep(): boolean {
    const [next] = this.#compactions;
    if (next === undefined) return false;
    const [group, throughIndex] = next;
    const state = this.#groups.get(group);
    if (state === undefined || state.baseIndex >= Math.min(throughIndex, state.last)) {
      this.#compactions.delete(group);
      return this.#compactions.size > 0;
    }
    this.#transact(() => {
      this.#setGroup(this.#compacted(state, Math.min(throughIndex, state.last)));
      this.#storeGroup(group);
    });
    this.#walBytes += 16 * pageBytes;
    return true;
  }

  get isCheckpointDue(): boolean {
    const { checkpointBytes, walBytesMax } = this.#options;
    return this.#entryBytes >= checkpointBytes || this.#walBytes >= walBytesMax;
  }

  /** Moves the write-ahead log into the database. The hint goes first: see the invariant at the top. */
  checkpoint(): void {
    this.syncHint();
    this.#checkpoint("PASSIVE");
  }

  /** Puts a durable hint on disk, unless one already says as much. */
  syncHint(): void {
    if (!this.#superblock.covers(this.#sequence)) this.#writeHint(false);
  }

  get hasWal(): boolean {
    return this.#walBytes > 0;
  }

  /** After a full-disk fault: gives the reserve back, so that compaction and close can work. */
  enterReadOnly(): void {
    this.#isReadOnly = true;
    releaseReserve(this.#reserve);
    this.#checkpointIfRoom();
  }

  /** Leaves read-only mode if there is space on the disk for a new reserve, or as much inside the database. */
  tryRecover(): boolean {
    if (!this.#isReadOnly) return true;
    const free = this.#db.query<{ freelist_count: number }, []>("PRAGMA freelist_count").get();
    const freeInside = (free?.freelist_count ?? 0) * pageBytes;
    if (makeReserve(this.#reserve) || freeInside >= this.#options.reserveBytes) {
      this.#isReadOnly = false;
    }
    return !this.#isReadOnly;
  }

  /** Why it is read-only still, and what ends that. */
  get stillFull(): string {
    const mebibytes = Math.ceil(roomNeeded(this.#reserve) / 1024 ** 2);
    return `the disk is still full; free at least ${mebibytes} MiB on the disk of the data directory`;
  }

  /** Finishes the compaction that was asked for, unless the disk is full. */
  close(): void {
    try {
      while (!this.#isReadOnly && this.compactStep());
      this.syncHint();
      this.#checkpointIfRoom();
      this.#writeHint(true);
    } finally {
      this.#superblock.close();
      this.#finalizeStatements();
      this.#putGroup.finalize();
      this.#db.close();
    }
  }

  /** SQLite keeps a closed file open for as long as a statement of it lives. */
  #finalizeStatements(): void {
    for (const statements of this.#statements.values()) {
      for (const statement of Object.values(statements)) statement.finalize();
    }
    this.#statements.clear();
  }

  #transact(change: () => void): void {
    this.#undo.clear();
    this.#sequence++;
    try {
      this.#db.run("BEGIN IMMEDIATE");
      change();
      this.#db.run("COMMIT");
    } catch (error) {
      this.#sequence--;
      for (const [id, state] of this.#undo) {
        if (state === undefined) this.#groups.delete(id);
        else this.#groups.set(id, state);
      }
      // A statement of a table whose creation was rolled back would be stale.
      this.#finalizeStatements();
      // After any other error the connection is finished, and the first error is the one worth reporting.
      if (isDiskFull(error) && this.#db.inTransaction) this.#db.run("ROLLBACK");
      throw error;
    }
    this.#markSequence();
  }

  /** The transaction is durable already: on a file system that needs space to overwrite, the mark stays older. */
  #markSequence(): void {
    try {
      this.#superblock.mark(this.#sequence);
    } catch (error) {
      if (!isDiskFull(error)) throw error;
    }
  }

  #setGroup(state: GroupState): void {
    const { group } = state;
    if (!this.#undo.has(group)) this.#undo.set(group, this.#groups.get(group));
    this.#groups.set(group, { ...state, sequence: this.#sequence });
  }

  #storeGroup(id: number): void {
    this.#putGroup.run(id, encodeGroup(must(this.#groups.get(id), "a changed group exists")));
  }

  /** True when the group's record must be stored too: a row alone cannot say what happened. */
  #applyWork(work: DecodedWork): boolean {
    let state = this.#groups.get(work.group);
    let mustStore = work.row === undefined && work.setsHardState;
    if (state === undefined) {
      state = newGroup(work.group);
      this.#db.run(
        `CREATE TABLE ${tableOf(work.group)} (id INTEGER PRIMARY KEY, data BLOB NOT NULL)`,
      );
      mustStore = true;
    }
    const statements = this.#statementsOf(work.group);
    if (work.resetTo !== undefined) {
      statements.deleteFrom.run(0);
      const { index, term } = work.resetTo;
      state = {
        ...state,
        baseIndex: index,
        baseTerm: term,
        baseCrc: 0,
        last: index,
        lastTerm: term,
        lastCrc: 0,
      };
      mustStore = true;
    }
    if (work.truncateFrom !== undefined && work.truncateFrom <= state.last) {
      state = this.#truncated(state, work.truncateFrom);
      mustStore = true;
    }
    if (work.row !== undefined) {
      const crc = linkRow(work.row, this.#sequence, state.lastCrc);
      const row = rowSpan(work.row);
      assert(
        row.first === state.last + 1,
        `entries of group ${work.group} continue after ${state.last}, not at ${row.first}`,
      );
      statements.insert.run(row.last, work.row);
      state = { ...state, last: row.last, lastTerm: row.lastTerm, lastCrc: crc };
    }
    this.#setGroup({ ...state, hardState: work.hardState });
    return mustStore;
  }

  /** Removes the entries from `from` on. A row that the cut goes through is written anew without its end. */
  #truncated(state: GroupState, from: number): GroupState {
    const { group } = state;
    assert(
      from > state.baseIndex,
      `group ${group} is compacted through ${state.baseIndex} and cannot be cut at ${from}`,
    );
    const statements = this.#statementsOf(group);
    const cut = this.#rowHolding(group, from);
    statements.deleteFrom.run(from);
    const kept = from - 1;
    if (kept === state.baseIndex) {
      return { ...state, last: kept, lastTerm: state.baseTerm, lastCrc: state.baseCrc };
    }
    if (cut.first > kept) {
      const previous = this.#rowHolding(group, kept);
      return { ...state, last: kept, lastTerm: previous.lastTerm, lastCrc: cut.previousCrc };
    }
    const entries = entriesOf(cut).filter(({ index }) => index <= kept);
    const hard = { state: cut.hardState, vote: encodeVote(cut.hardState.vote) };
    const row = new Uint8Array(rowBytes(entries, hard.vote));
    writeRow(row, group, entries, hard);
    const lastCrc = linkRow(row, this.#sequence, cut.previousCrc);
    statements.insert.run(kept, row);
    return {
      ...state,
      last: kept,
      lastTerm: must(entries.at(-1), "the cut keeps an entry").term,
      lastCrc,
    };
  }

  /** Removes whole rows up to `through`, as many as one transaction may; then moves the base into the row that is left. */
  #compacted(state: GroupState, through: number): GroupState {
    const statements = this.#statementsOf(state.group);
    let lastId = 0;
    let bytes = 0;
    for (const row of statements.sizes.iterate(through)) {
      if (lastId > 0 && bytes + row.bytes > compactBytesMax) break;
      lastId = row.id;
      bytes += row.bytes;
    }
    if (lastId > 0) {
      const row = this.#rowHolding(state.group, lastId);
      statements.deleteThrough.run(lastId);
      return { ...state, baseIndex: lastId, baseTerm: row.lastTerm, baseCrc: row.crc };
    }
    const row = this.#rowHolding(state.group, through);
    const entry = must(entriesOf(row)[through - row.first], "the row holds the index");
    return { ...state, baseIndex: through, baseTerm: entry.term, baseCrc: row.previousCrc };
  }

  #rowHolding(group: number, index: number): Row {
    const found = this.#statementsOf(group).holding.get(index);
    if (found === null) throw new LogDamaged({ group, index }, "the entry is missing");
    return readRow(found.data, group, found.id);
  }

  #statementsOf(group: number): GroupStatements {
    const known = this.#statements.get(group);
    if (known !== undefined) return known;
    const table = tableOf(group);
    const made: GroupStatements = {
      insert: this.#db.prepare(`INSERT INTO ${table} (id, data) VALUES (?, ?)`),
      deleteFrom: this.#db.prepare(`DELETE FROM ${table} WHERE id >= ?`),
      deleteThrough: this.#db.prepare(`DELETE FROM ${table} WHERE id <= ?`),
      holding: this.#db.prepare(`SELECT id, data FROM ${table} WHERE id >= ? ORDER BY id LIMIT 1`),
      sizes: this.#db.prepare(
        `SELECT id, length(data) AS bytes FROM ${table} WHERE id <= ? ORDER BY id LIMIT ${compactRowsMax}`,
      ),
    };
    this.#statements.set(group, made);
    return made;
  }

  #checkpoint(mode: "PASSIVE" | "TRUNCATE"): void {
    const result = this.#db
      .query<{ busy: number; log: number; checkpointed: number }, []>(
        `PRAGMA wal_checkpoint(${mode})`,
      )
      .get();
    const left = result === null ? 0 : Math.max(0, result.log - result.checkpointed);
    // A reader in the middle of a row can hold back the end; half the limits let it leave before the next attempt.
    this.#walBytes = Math.min(left * pageBytes, this.#options.walBytesMax / 2);
    this.#entryBytes = Math.min(left * pageBytes, this.#options.checkpointBytes / 2);
  }

  #checkpointIfRoom(): void {
    try {
      this.#checkpoint("TRUNCATE");
    } catch (error) {
      if (!isDiskFull(error)) throw error;
    }
  }

  #writeHint(clean: boolean): void {
    const groups = this.groups.map(({ group, last, sequence }) => ({ group, last, sequence }));
    this.#superblock.write({ sequence: this.#sequence, groups, clean });
  }
}

function newGroup(group: number): GroupState {
  return {
    group,
    baseIndex: 0,
    baseTerm: 0,
    baseCrc: 0,
    sequence: 0,
    hardState: emptyHardState,
    last: 0,
    lastTerm: 0,
    lastCrc: 0,
  };
}
