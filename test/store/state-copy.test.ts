import { Database } from "bun:sqlite";
import { expect, test } from "bun:test";
import { statSync } from "node:fs";
import { join } from "node:path";
import { copyState } from "../../src/store/state-copy.ts";
import { stateTables } from "../../src/store/state-schema.ts";
import { TempDir } from "../support/log.ts";

const tables = ["meta", "queues", "jobs", "attempts", "uniques", "idempotency", "records"] as const;

/** Rows of every table; payloads of many sizes, so that pieces end at many places. */
function makeState(path: string, jobs: number): Database {
  const db = new Database(path, { create: true });
  db.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF");
  db.exec(stateTables);
  db.exec("BEGIN");
  db.query("INSERT INTO meta VALUES ('applied', '7')").run();
  db.query("INSERT INTO queues VALUES (1, 'q', '{}')").run();
  const job = db.query(
    "INSERT INTO jobs VALUES (?1, 1, ?1 % 7, 0, ?1, 0, 0, 1, 0, 0, ?1 % 2, 0, 0, NULL, ?2, NULL, NULL)",
  );
  const attempt = db.query(
    "INSERT INTO attempts VALUES (?, ?, 1, 'failed', ?, NULL, NULL, 'w', 1, 2)",
  );
  const unique = db.query("INSERT INTO uniques VALUES ('q', ?, ?, 0)");
  for (let seq = 1; seq <= jobs; seq++) {
    job.run(seq * 3, "é".repeat(seq % 997));
    for (let ordinal = 0; ordinal < seq % 3; ordinal++) attempt.run(seq * 3, ordinal, `no ${seq}`);
    unique.run(`key ${seq}`, seq);
  }
  db.query("INSERT INTO idempotency VALUES (1, 'k', 'f', 9, '[]')").run();
  db.query("INSERT INTO records VALUES ('kind', 'key', '{}')").run();
  db.exec("COMMIT");
  return db;
}

const rowsOf = (db: Database) =>
  Object.fromEntries(tables.map((table) => [table, db.query(`SELECT * FROM ${table}`).values()]));
const schemaOf = (db: Database) =>
  db.query("SELECT type, name, sql FROM sqlite_schema ORDER BY name").values();

test("a copy of the state holds every row, table and index, and is sound", () => {
  using dir = new TempDir();
  const [source, target] = [join(dir.path, "state.db"), join(dir.path, "copy.db")];
  using db = makeState(source, 5000);

  copyState(source, target, () => undefined);

  using copy = new Database(target, { readonly: true });
  expect(copy.query("PRAGMA integrity_check").values()).toEqual([["ok"]]);
  expect(schemaOf(copy)).toEqual(schemaOf(db));
  expect(rowsOf(copy)).toEqual(rowsOf(db));
});

test("a copy is one moment, whatever is written while it is made", () => {
  using dir = new TempDir();
  const [source, target] = [join(dir.path, "state.db"), join(dir.path, "copy.db")];
  using db = makeState(source, 5000);
  const before = rowsOf(db);
  let rests = 0;

  copyState(source, target, () => {
    rests += 1;
    db.exec(`UPDATE meta SET value = '${rests + 7}'`);
    db.exec("DELETE FROM jobs WHERE seq = (SELECT max(seq) FROM jobs)");
    db.exec(`INSERT INTO records VALUES ('kind', 'later ${rests}', '{}')`);
    db.query("PRAGMA wal_checkpoint(PASSIVE)").get();
  });

  using copy = new Database(target, { readonly: true });
  expect(rests).toBeGreaterThan(5);
  expect(rowsOf(copy)).toEqual(before);
});

test("the disk has a rest after every few mebibytes, however large rows are", () => {
  using dir = new TempDir();
  const [source, target] = [join(dir.path, "state.db"), join(dir.path, "copy.db")];
  using db = makeState(source, 100);
  const large = db.query("UPDATE jobs SET payload = ? WHERE seq > 150");
  large.run("x".repeat(250_000));
  const sizes: number[] = [];

  copyState(source, target, () => sizes.push(statSync(target).size));

  const grown = sizes.map((size, at) => size - (sizes[at - 1] ?? 0));
  // A piece is as long as the one before it let expect: 64 rows of a quarter of a megabyte at most.
  expect(Math.max(...grown.slice(3))).toBeLessThan(4 * 1024 * 1024);
  expect(statSync(target).size).toBeGreaterThan(12_000_000);
});

test("a source that is not there, or is empty, is no state to copy", () => {
  using dir = new TempDir();

  expect(() =>
    copyState(join(dir.path, "state.db"), join(dir.path, "copy.db"), () => undefined),
  ).toThrow("state.db holds no tables");
});
