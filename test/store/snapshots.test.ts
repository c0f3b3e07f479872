import { Database } from "bun:sqlite";
import { expect, test } from "bun:test";
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type ShardFiles, shardFiles } from "../../src/store/shard-files.ts";
import { alignLog, keepIncoming, placeIncoming } from "../../src/store/snapshots.ts";
import { append, entriesFrom, openTestLog, readAll, TempDir } from "../support/log.ts";

const point = { index: 40, term: 7 };

/** A node that has an old state, and has received a newer one. */
function received(dir: TempDir): ShardFiles {
  const files = shardFiles(dir.path, 0);
  const { statePath } = files;
  writeFileSync(statePath, "old");
  writeFileSync(`${statePath}-wal`, "old too");
  writeFileSync(files.textPath, "of the old one");
  const file = join(dir.path, "received.db");
  writeFileSync(file, "new");
  keepIncoming(files, file, point);
  return files;
}

test("[Q13] a received snapshot takes the place of the state and of its write-ahead log, and the index of its texts goes", () => {
  using dir = new TempDir();
  const files = received(dir);
  const { statePath } = files;

  const placed = placeIncoming(files);

  expect(placed).toEqual(point);
  expect(readFileSync(statePath, "utf8")).toBe("new");
  expect(existsSync(`${statePath}-wal`)).toBe(false);
  expect(existsSync(files.textPath)).toBe(false);
});

test("an installation that a crash cut short between its two halves is done again", () => {
  using dir = new TempDir();
  const files = received(dir);
  const { statePath } = files;
  placeIncoming(files);

  const placed = placeIncoming(files);

  expect(placed).toEqual(point);
  expect(readFileSync(statePath, "utf8")).toBe("new");
});

test("a snapshot whose note was not written is not installed, and goes", () => {
  using dir = new TempDir();
  const files = shardFiles(dir.path, 0);
  const { statePath } = files;
  writeFileSync(statePath, "old");
  writeFileSync(join(dir.path, "incoming.db"), "half of it");

  const placed = placeIncoming(files);

  expect(placed).toBeUndefined();
  expect(readFileSync(statePath, "utf8")).toBe("old");
  expect(existsSync(join(dir.path, "incoming.db"))).toBe(false);
});

test("a newer snapshot whose note could not be written is not installed with the note of the one before it", () => {
  using dir = new TempDir();
  const files = received(dir);
  const newer = join(dir.path, "newer.db");
  writeFileSync(newer, "newer still");
  // Stands for a disk that fills up, or a crash, between the two.
  mkdirSync(join(dir.path, `${files.note}.new`));

  expect(() => keepIncoming(files, newer, { index: 90, term: 7 })).toThrow();
  const placed = placeIncoming(files);

  expect(placed).toBeUndefined();
  expect(readFileSync(files.statePath, "utf8")).toBe("old");
});

test("a snapshot that the node has overtaken before it started again is not installed, and nothing of the log is lost", async () => {
  using dir = new TempDir();
  const files = received(dir);
  rmSync(files.statePath);
  rmSync(`${files.statePath}-wal`);
  using state = new Database(files.statePath, { create: true });
  state.exec("CREATE TABLE meta (key TEXT, value TEXT); INSERT INTO meta VALUES ('applied', '90')");
  const log = await openTestLog(dir);
  const entries = entriesFrom(1, 100, { term: 7 });
  await append(log, { group: 0, entries, hardState: { term: 7, vote: "1", commit: 95 } });
  // The log has let go of what the state has.
  log.compact(0, 60);

  const placed = placeIncoming(files);
  if (placed !== undefined) await alignLog(files, log, placed);

  expect(log.bounds(0)).toMatchObject({ first: 61, last: 100 });
  expect(state.query("SELECT value FROM meta").values()).toEqual([["90"]]);
  expect(placeIncoming(files)).toBeUndefined();
  expect(existsSync(join(dir.path, files.incoming))).toBe(false);
  await log.close();
});

test("a state that cannot be looked at is not replaced by what may be older", () => {
  using dir = new TempDir();
  const files = received(dir);
  rmSync(files.statePath);
  mkdirSync(files.statePath);

  expect(() => placeIncoming(files)).toThrow();

  expect(existsSync(join(dir.path, files.incoming))).toBe(true);
  expect(existsSync(join(dir.path, files.note))).toBe(true);
});

test("[RS6] a log that does not reach the snapshot begins after it, and no earlier than in its term", async () => {
  using dir = new TempDir();
  const files = received(dir);
  placeIncoming(files);
  const log = await openTestLog(dir);
  const hardState = { term: 5, vote: "2", commit: 3 };
  await append(log, { group: 0, entries: entriesFrom(1, 3), hardState });

  await alignLog(files, log, point);
  await log.close();
  const reopened = await openTestLog(dir);

  expect(reopened.bounds(0)).toEqual({
    first: 41,
    last: 40,
    previousTerm: 7,
    lastTerm: 7,
    // The vote was one of term 5.
    hardState: { term: 7, vote: "0", commit: 40 },
  });
  expect(placeIncoming(files)).toBeUndefined();
  await reopened.close();
});

test("a vote of the snapshot's term or a later one stays when its log is replaced", async () => {
  using dir = new TempDir();
  const files = received(dir);
  placeIncoming(files);
  const log = await openTestLog(dir);
  await append(log, { group: 0, entries: [], hardState: { term: 8, vote: "2", commit: 0 } });

  await alignLog(files, log, point);

  expect(log.bounds(0).hardState).toEqual({ term: 8, vote: "2", commit: 40 });
  await log.close();
});

test("a log that goes on from the snapshot's last entry is kept", async () => {
  using dir = new TempDir();
  const files = received(dir);
  placeIncoming(files);
  const log = await openTestLog(dir);
  const entries = entriesFrom(1, 50, { term: 7 });
  await append(log, { group: 0, entries, hardState: { term: 7, vote: "1", commit: 2 } });

  await alignLog(files, log, point);

  expect(readAll(log)).toEqual(entries);
  await log.close();
});
