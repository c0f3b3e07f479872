/**
 * Copies the state database while it goes on changing, and leaves the disk to others meanwhile. `VACUUM INTO` would do
 * it in one go: the log shares the disk, and its fsync waits for as much as the copy has under way (measured with 1.4 GB:
 * claims that take 0.4 to 0.7 s). So rows are copied in pieces, each is synced, and as much time as that took is left free.
 *
 * - The copy is one moment: all of it is read in one transaction, which keeps the write-ahead log of the source from
 *   being overwritten, no longer than VACUUM would by much.
 * - Every table has a primary key, by which it is read in order; indexes are made last, so both end up dense. An index is
 *   made in one go: who waits for the copy syncs it meanwhile (`makeSnapshot`).
 * - The target has no journal: a copy that did not finish is of no use and is removed.
 */
import { Database } from "bun:sqlite";
import { closeSync, fdatasyncSync, openSync } from "node:fs";
import { must } from "../base/assert.ts";

/** Written between two syncs, about: a few milliseconds of a disk. */
const pieceBytes = 2 * 1024 * 1024;
/** Rows of the first piece; from then on the size of a piece tells. */
const firstRows = 64;

/** Has what is written so far stored, and leaves the disk to others for a while. */
export type Pause = (fd: number) => void;

type Key = (string | number)[];

/** Throws with a useless file at `target` when the copy cannot be finished. */
export function copyState(source: string, target: string, storeAndRest: Pause): void {
  const db = new Database(target, { create: true });
  const fd = openSync(target, "r");
  try {
    db.exec("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -8192");
    db.query("ATTACH ? AS source").run(source);
    db.exec("PRAGMA busy_timeout = 10000");
    // The write-ahead log is read from the moment of the first SELECT on.
    db.exec("BEGIN");
    const pause = () => storeAndRest(fd);
    const tables = schemaOf(db, "table");
    if (tables.length === 0) throw new Error(`${source} holds no tables`);
    for (const { name, sql } of tables) {
      db.exec(sql);
      copyTable(db, name, pause);
    }
    for (const { sql } of schemaOf(db, "index")) {
      db.exec(sql);
      pause();
    }
    db.exec("COMMIT");
    fdatasyncSync(fd);
  } finally {
    closeSync(fd);
    db.close();
  }
}

function schemaOf(db: Database, type: "table" | "index"): { name: string; sql: string }[] {
  return db
    .query<{ name: string; sql: string }, [string]>(
      "SELECT name, sql FROM source.sqlite_schema WHERE type = ? AND sql IS NOT NULL",
    )
    .all(type);
}

function copyTable(db: Database, name: string, pause: () => void): void {
  const keys = db
    .query<{ name: string }, [string]>(
      "SELECT name FROM pragma_table_info(?) WHERE pk > 0 ORDER BY pk",
    )
    .all(name)
    .map((column) => column.name);
  const key = keys.join(", ");
  const marks = keys.map(() => "?").join(", ");
  const insert = `INSERT INTO main.${name} SELECT * FROM source.${name}`;
  const first = db.prepare<unknown, [number]>(`${insert} ORDER BY ${key} LIMIT ?`);
  const next = db.prepare<unknown, [...Key, number]>(
    `${insert} WHERE (${key}) > (${marks}) ORDER BY ${key} LIMIT ?`,
  );
  const last = db.prepare(
    `SELECT ${key} FROM main.${name} ORDER BY ${keys.map((one) => `${one} DESC`).join(", ")} LIMIT 1`,
  );
  let rows = firstRows;
  let pages = pageCount(db);
  let { changes } = first.run(rows);
  while (changes === rows) {
    const grownBytes = (pageCount(db) - pages) * 4096;
    pages = pageCount(db);
    pause();
    rows = Math.max(1, Math.min(rows * 2, Math.floor((rows * pieceBytes) / (grownBytes + 1))));
    const from = must(last.values()[0], "rows were copied") as Key;
    ({ changes } = next.run(...from, rows));
  }
  for (const statement of [first, next, last]) statement.finalize();
}

function pageCount(db: Database): number {
  const found = db.query<{ page_count: number }, []>("PRAGMA main.page_count").get();
  return must(found, "a database has a page count").page_count;
}
