/**
 * Keeps the index of texts (`text-schema.ts`) up with the state database, a bounded step at a time. Synchronous;
 * `text-worker.ts` runs it in a thread of its own and decides when.
 *
 * Every step is one transaction of the index, so what the position says is in the index is in it after any crash. The state is
 * read some rows at a time, each time in a moment: a snapshot that lasted through the rests would keep the write-ahead log of
 * the state from being used again. What changes between two reads comes again as a change. After a power cut the index may be behind its last position: the list of changes tells
 * (`text-changes.ts`), and the index begins anew. What does not read as an index is removed and begun anew too.
 */
import { Database, type Statement } from "bun:sqlite";
import { createMeta, type Meta } from "../engine/state.ts";
import { lastTextChange, textChangesDone } from "./text-changes.ts";
import { isDamage, removeTextIndex } from "./text-files.ts";
import { TextReader, type TextRow } from "./text-rows.ts";
import {
  changedTable,
  createPartTable,
  docsTable,
  partJobs,
  readParts,
  readPosition,
  type TextPart,
  type TextPosition,
  textTables,
  textVersion,
} from "./text-schema.ts";

/** Bounds of one step: about 30 ms of work, and the rests that are taken in it. */
const stepJobs = 4000;
const stepChars = 4 * 1024 * 1024;
const stepChanges = 2000;
/** Rows of one read: a millisecond. */
const readRows = 256;
/** Pages that are merged without a rest: less than a millisecond. */
const mergePages = 8;

export interface TextIndexerOptions {
  readonly partJobs?: number;
  /** Called between one job and the next, and within all long work: the place for a rest. */
  readonly breathe?: () => void;
}

export class TextIndexer {
  readonly #path: string;
  readonly #state: Database;
  readonly #reader: TextReader;
  #db: Database;
  #position: TextPosition;
  /** The part that is looked at next for jobs that are gone. */
  #nextCheck = 0;

  readonly #partJobs: number;
  readonly #breathe: () => void;

  constructor(path: string, statePath: string, options: TextIndexerOptions = {}) {
    this.#path = path;
    this.#partJobs = options.partJobs ?? partJobs;
    this.#breathe = options.breathe ?? (() => {});
    this.#state = new Database(statePath, { readonly: true });
    this.#state.exec("PRAGMA busy_timeout = 10000");
    this.#state.exec("PRAGMA cache_size = -8192");
    this.#reader = new TextReader(this.#state);
    const { db, position } = this.#open();
    this.#db = db;
    this.#position = position;
  }

  get position(): TextPosition {
    return this.#position;
  }

  /** Takes in some of what is new. True when there may be more. */
  step(): boolean {
    return this.#guarded(() => this.#advance());
  }

  /** Looks at one part, and removes or rewrites it when half of what it has is of no use. True when that was so. */
  tidyStep(): boolean {
    return this.#guarded(() => this.#tidy());
  }

  close(): void {
    this.#state.close();
    this.#db.close();
  }

  #advance(): boolean {
    if (textChangesDone(this.#state) > this.#position.change) {
      this.#restart();
      return true;
    }
    const added = this.#addJobs();
    const changed = this.#addChanges();
    return added || changed;
  }

  #addJobs(): boolean {
    const { through } = this.#position;
    const last = this.#lastPart();
    const part =
      last !== undefined && last.docs < this.#partJobs ? last : this.#beginPart(through + 1);
    const room = Math.min(stepJobs, this.#partJobs - part.docs);
    let count = 0;
    let chars = 0;
    let isCut = false;
    let end = { seq: through, createdAtMs: this.#position.created };
    this.#db.exec("BEGIN IMMEDIATE");
    try {
      const insert = this.#db.prepare(
        `INSERT INTO ${docsTable(part.id)} (rowid, text) VALUES (?, ?)`,
      );
      for (const row of this.#rows({ low: through + 1, high: Number.MAX_SAFE_INTEGER })) {
        this.#insert(insert, row.seq, row);
        end = row;
        count++;
        chars += row.indexed.text.length;
        isCut = count >= room || chars >= stepChars;
        if (isCut) break;
      }
      insert.finalize();
      this.#db
        .query("UPDATE parts SET high = ?, docs = docs + ? WHERE id = ?")
        .run(end.seq, count, part.id);
      this.#move({ ...this.#position, through: end.seq, created: end.createdAtMs });
      this.#db.exec("COMMIT");
    } catch (error) {
      if (this.#db.inTransaction) this.#db.exec("ROLLBACK");
      throw error;
    }
    this.#position = readPosition(this.#db) ?? this.#position;
    // One segment instead of several: half the size, and a search reads one list per trigram.
    this.#merge(docsTable(part.id), part.docs + count >= this.#partJobs);
    return isCut;
  }

  #addChanges(): boolean {
    const { through, change } = this.#position;
    const rows = this.#state
      .query("SELECT ordinal, seq FROM text_changes WHERE ordinal > ? ORDER BY ordinal LIMIT ?")
      .values(change, stepChanges) as [number, number][];
    const last = rows.at(-1);
    if (last === undefined) return false;
    // The last change of a job brings its whole text.
    const changed = new Map(rows.map(([ordinal, seq]) => [seq, ordinal]));
    const parts = readParts(this.#db);
    const touched = new Set<number>();
    let chars = 0;
    let upTo = last[0];
    this.#db.exec("BEGIN IMMEDIATE");
    try {
      for (const [seq, ordinal] of [...changed].sort(([, one], [, other]) => one - other)) {
        const row = seq <= through ? this.#reader.row(seq) : undefined;
        if (row === undefined) continue;
        const part = this.#partOf(parts, seq);
        this.#addChange(part, row, ordinal);
        touched.add(part.id);
        chars += row.indexed.text.length;
        if (chars < stepChars) continue;
        upTo = ordinal;
        break;
      }
      this.#move({ ...this.#position, change: upTo });
      this.#db.exec("COMMIT");
    } catch (error) {
      if (this.#db.inTransaction) this.#db.exec("ROLLBACK");
      throw error;
    }
    this.#position = readPosition(this.#db) ?? this.#position;
    for (const id of touched) this.#merge(changedTable(id), false);
    return upTo < last[0] || rows.length === stepChanges;
  }

  /** A job that was restored may lie where there was none left: then it goes with those that follow. */
  #partOf(parts: TextPart[], seq: number): TextPart {
    const at = parts.findIndex(({ high }) => seq <= high);
    const part = parts[at];
    if (part === undefined) {
      const begun = { ...this.#createPart(seq), high: this.#position.through };
      this.#db.query("UPDATE parts SET high = ? WHERE id = ?").run(begun.high, begun.id);
      parts.push(begun);
      return begun;
    }
    if (seq >= part.low) return part;
    const wider = { ...part, low: seq };
    this.#db.query("UPDATE parts SET low = ? WHERE id = ?").run(seq, part.id);
    parts[at] = wider;
    return wider;
  }

  #addChange(part: TextPart, row: TextRow, ordinal: number): void {
    const table = changedTable(part.id);
    const known = this.#db.query("SELECT changed FROM parts WHERE id = ?").get(part.id);
    if ((known as { changed: number }).changed === 0) createPartTable(this.#db, table);
    const insert = this.#db.prepare(`INSERT INTO ${table} (rowid, text) VALUES (?, ?)`);
    this.#insert(insert, row.seq * 256 + (ordinal % 256), row);
    insert.finalize();
    this.#db.query("UPDATE parts SET changed = changed + 1 WHERE id = ?").run(part.id);
  }

  /** What `automerge` and `optimize` do at once: https://sqlite.org/fts5.html#the_merge_command */
  #merge(table: string, isWhole: boolean): void {
    const merge = this.#db.prepare(`INSERT INTO ${table} (${table}, rank) VALUES ('merge', ?)`);
    const changes = this.#db.prepare("SELECT total_changes() AS n");
    const changed = () => (changes.get() as { n: number }).n;
    if (isWhole) merge.run(-mergePages);
    for (let before = -2; changed() - before >= 2; ) {
      this.#breathe();
      before = changed();
      merge.run(mergePages);
    }
    merge.finalize();
    changes.finalize();
  }

  #insert(into: Statement, rowid: number, { seq, indexed }: TextRow): void {
    this.#breathe();
    into.run(rowid, indexed.text);
    if (indexed.isLong) this.#db.query("INSERT OR IGNORE INTO long VALUES (?)").run(seq);
    if (indexed.isOdd) this.#db.query("INSERT OR IGNORE INTO odd VALUES (?)").run(seq);
  }

  #lastPart(): TextPart | undefined {
    return readParts(this.#db).at(-1);
  }

  #beginPart(low: number): TextPart {
    const begin = this.#db.transaction(() => this.#createPart(low));
    return begin.immediate();
  }

  #createPart(low: number): TextPart {
    const { id } = this.#db.query("SELECT ifnull(max(id), 0) + 1 AS id FROM parts").get() as {
      id: number;
    };
    createPartTable(this.#db, docsTable(id));
    this.#db.query("INSERT INTO parts VALUES (?, ?, ?, 0, 0)").run(id, low, low - 1);
    return { id, low, high: low - 1, docs: 0, changed: 0 };
  }

  #tidy(): boolean {
    const parts = readParts(this.#db);
    // The last part is still being filled.
    const whole = parts.slice(0, -1);
    const part = whole.find(({ id }) => id >= this.#nextCheck) ?? whole[0];
    if (part === undefined) return false;
    this.#nextCheck = part.id + 1;
    const live = this.#inSnapshot((floor) => this.#reader.count(part, floor));
    const useless = part.docs - live + part.changed;
    if (useless * 2 < part.docs) return false;
    this.#rewrite(part, live);
    if (live > 0) this.#merge(docsTable(part.id), true);
    return true;
  }

  /** The part again from the rows that are left, in one transaction; nothing is left of one without any. */
  #rewrite(part: TextPart, live: number): void {
    const rewrite = this.#db.transaction(() => {
      this.#db.exec(`DROP TABLE ${docsTable(part.id)}`);
      if (part.changed > 0) this.#db.exec(`DROP TABLE ${changedTable(part.id)}`);
      for (const list of ["long", "odd"]) {
        this.#db.query(`DELETE FROM ${list} WHERE seq BETWEEN ? AND ?`).run(part.low, part.high);
      }
      if (live === 0) {
        this.#db.query("DELETE FROM parts WHERE id = ?").run(part.id);
        return;
      }
      createPartTable(this.#db, docsTable(part.id));
      const insert = this.#db.prepare(
        `INSERT INTO ${docsTable(part.id)} (rowid, text) VALUES (?, ?)`,
      );
      let docs = 0;
      for (const row of this.#rows(part)) {
        this.#insert(insert, row.seq, row);
        docs++;
      }
      insert.finalize();
      this.#db.query("UPDATE parts SET docs = ?, changed = 0 WHERE id = ?").run(docs, part.id);
    });
    rewrite.immediate();
  }

  #move(to: TextPosition): void {
    this.#db
      .query("INSERT OR REPLACE INTO position VALUES (1, ?, ?, ?, ?)")
      .run(textVersion, to.through, to.created, to.change);
  }

  /** Jobs in the order of their numbers. Nothing is being read while their reader works on one. */
  *#rows({ low, high }: { readonly low: number; readonly high: number }): Iterable<TextRow> {
    for (let from = low; ; ) {
      const bounds = { low: from, high, limit: readRows };
      const rows = this.#inSnapshot((floor) => [...this.#reader.rows(bounds, floor)]);
      yield* rows;
      const last = rows.at(-1);
      if (last === undefined || rows.length < readRows) return;
      from = last.seq + 1;
    }
  }

  /** Rows, and below which finish numbers there are none, belong together. */
  #inSnapshot<Answer>(read: (floor: Meta["floor"]) => Answer): Answer {
    this.#state.exec("BEGIN");
    try {
      const row = this.#state.query("SELECT value FROM meta WHERE key = 'engine'").get() as {
        value: string;
      } | null;
      return read((row === null ? createMeta() : (JSON.parse(row.value) as Meta)).floor);
    } finally {
      this.#state.exec("ROLLBACK");
    }
  }

  /** A damaged index is no fault of the state: it is made again. */
  #guarded(work: () => boolean): boolean {
    try {
      return work();
    } catch (error) {
      if (!isDamage(error)) throw error;
      this.#restart();
      return true;
    }
  }

  #restart(): void {
    this.#db.close();
    removeTextIndex(this.#path);
    const { db, position } = this.#open();
    this.#db = db;
    this.#position = position;
  }

  #open(): { readonly db: Database; readonly position: TextPosition } {
    try {
      return this.#openOrThrow();
    } catch (error) {
      if (!isDamage(error)) throw error;
      removeTextIndex(this.#path);
      return this.#openOrThrow();
    }
  }

  #openOrThrow(): { readonly db: Database; readonly position: TextPosition } {
    const db = new Database(this.#path, { create: true });
    try {
      db.exec("PRAGMA busy_timeout = 10000");
      db.exec("PRAGMA journal_mode = WAL");
      db.exec("PRAGMA synchronous = NORMAL");
      db.exec("PRAGMA cache_size = -16384");
      db.exec(textTables);
      const found = readPosition(db);
      if (found !== undefined) return { db, position: found };
      if (readParts(db).length > 0) throw Object.assign(new Error("of another version"), damaged);
      // Changes before this moment are in the rows that will be read.
      const position = { through: 0, created: 0, change: lastTextChange(this.#state) };
      db.query("INSERT OR REPLACE INTO position VALUES (1, ?, 0, 0, ?)").run(
        textVersion,
        position.change,
      );
      return { db, position };
    } catch (error) {
      db.close();
      throw error;
    }
  }
}

const damaged = { code: "SQLITE_CORRUPT" };
