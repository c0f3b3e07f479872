/**
 * The index of texts as one search sees it: one moment of it, not older than what the search sees of the state. So each
 * job of the state up to `position.through` is in the index, but for the texts that changed since `position.change`; those
 * jobs are still in the list of changes, because the list is only shortened after the index took them in.
 */
import { Database } from "bun:sqlite";
import { statSync } from "node:fs";
import { textChangesDone } from "./text-changes.ts";
import { isDamage } from "./text-files.ts";
import { readParts, readPosition, type TextPart, type TextPosition } from "./text-schema.ts";

/** With more changes than this to come, going through them is no better than going through everything. */
const pendingMax = 50_000;

export interface TextIndexView {
  readonly db: Database;
  readonly position: TextPosition;
  readonly parts: readonly TextPart[];
  /** Jobs whose text changed since, in the order of their numbers. */
  readonly pending: readonly number[];
}

export class TextIndexReader {
  readonly #path: string;
  #db: Database | undefined;
  /** Tells the file that is open from one that took its place. */
  #inode = 0;

  constructor(path: string) {
    this.#path = path;
  }

  /** Call it after the first read of the snapshot of `state`, and `end` after the last use. Undefined: there is none to use. */
  begin(state: Database): TextIndexView | undefined {
    const db = this.#openIfPossible();
    if (db === undefined) return undefined;
    try {
      db.exec("BEGIN");
      const position = readPosition(db);
      if (position === undefined || textChangesDone(state) > position.change) return this.end();
      const pending = state
        .query("SELECT DISTINCT seq FROM text_changes WHERE ordinal > ? AND seq <= ? LIMIT ?")
        .values(position.change, position.through, pendingMax + 1) as [number][];
      if (pending.length > pendingMax) return this.end();
      const seqs = pending.map(([seq]) => seq).sort((one, other) => one - other);
      return { db, position, parts: readParts(db), pending: seqs };
    } catch (error) {
      this.drop(error);
      return undefined;
    }
  }

  end(): undefined {
    if (this.#db?.inTransaction === true) this.#db.exec("ROLLBACK");
    return undefined;
  }

  /** Forgets an index that cannot be read; its writer finds that out too. Rethrows what is no damage. */
  drop(error: unknown): void {
    if (!isDamage(error)) throw error;
    this.#db?.close();
    this.#db = undefined;
  }

  close(): void {
    this.#db?.close();
    this.#db = undefined;
  }

  /** A search without the index is slower and as right, so what keeps it from being opened is not the search's matter. */
  #openIfPossible(): Database | undefined {
    try {
      return this.#open();
    } catch {
      this.close();
      return undefined;
    }
  }

  #open(): Database | undefined {
    const file = statSync(this.#path, { throwIfNoEntry: false });
    if (file === undefined) {
      this.close();
      return undefined;
    }
    const { ino } = file;
    if (this.#db !== undefined && ino === this.#inode) return this.#db;
    this.close();
    this.#db = new Database(this.#path, { readonly: true });
    this.#inode = ino;
    this.#db.exec("PRAGMA busy_timeout = 10000");
    this.#db.exec("PRAGMA cache_size = -16384");
    return this.#db;
  }
}
