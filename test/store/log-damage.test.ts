import { afterAll, beforeAll, expect, test } from "bun:test";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { LogDatabase } from "../../src/store/log-database.ts";
import { LogDamaged, LogTooNew } from "../../src/store/log-format.ts";
import { LogReader } from "../../src/store/log-reader.ts";
import { encodeWorks, prepareWork } from "../../src/store/work-codec.ts";
import { entriesFrom, storeId, TempDir } from "../support/log.ts";

/**
 * Two images of one log, as a killed process would leave them: everything still in the write-ahead log, and everything
 * checkpointed. Every trial writes an image, damages it and opens it. Memory-backed where there is such a place: the
 * trials are about contents, not about fsync.
 */
const options = {
  storeId,
  minimumLast: new Map<number, number>(),
  reserveBytes: 0,
  checkpointBytes: 1 << 30,
  walBytesMax: 1 << 30,
};
const home = new TempDir(existsSync("/dev/shm") ? "/dev/shm" : undefined);
const trialDir = join(home.path, "trial");
type Image = ReadonlyMap<string, Buffer>;
let inWal: Image;
let inDatabase: Image;
let whole: string;

function imageOf(dir: string): Image {
  return new Map(
    readdirSync(dir)
      .filter((name) => name !== "log.db-shm")
      .map((name) => [name, readFileSync(join(dir, name))]),
  );
}

function place(image: Image): void {
  rmSync(trialDir, { recursive: true, force: true });
  mkdirSync(trialDir);
  for (const [name, bytes] of image) writeFileSync(join(trialDir, name), bytes);
}

function commit(db: LogDatabase, group: number, first: number, bytes: number): void {
  const hardState = { term: 2, vote: "node-1", commit: first };
  const work = { group, entries: entriesFrom(first, 3, { bytes, term: 2 }), hardState };
  db.commit(encodeWorks([prepareWork(work, hardState)]));
}

/** Everything that the log in the trial directory holds, as text. */
function contents(): { text: string; notes: readonly string[] } {
  const db = new LogDatabase(trialDir, options);
  const reader = new LogReader(join(trialDir, "log.db"));
  try {
    const text = db.groups.map(({ group, baseIndex, last, hardState }) => {
      const bounds = { first: baseIndex + 1, last, previousTerm: 0, lastTerm: 0, hardState };
      const entries = reader.read(group, { from: baseIndex + 1, bytesMax: 1 << 30, bounds });
      return [
        group,
        JSON.stringify(hardState),
        ...entries.map((e) => `${e.index} ${e.term} ${e.kind} ${e.data.toHex()}`),
      ];
    });
    return { text: text.flat().join("\n"), notes: db.notes };
  } finally {
    reader.close();
    db.close();
  }
}

/** What opening the damaged files did: a documented refusal, or the text of what was found. */
function open(): string {
  try {
    return contents().text;
  } catch (error) {
    if (error instanceof LogDamaged || error instanceof LogTooNew) return "refused";
    throw error;
  }
}

function flipAndOpen(image: Image, name: string, at: number): string {
  place(image);
  const bytes = Buffer.from(image.get(name) ?? "");
  bytes.writeUInt8(bytes.readUInt8(at) ^ (1 << (at % 8)), at);
  writeFileSync(join(trialDir, name), bytes);
  return open();
}

function withoutMark(image: Image): Image {
  const superblock = Buffer.from(image.get("log.superblock") ?? "");
  superblock.fill(0, 64 * 1024);
  return new Map([...image, ["log.superblock", superblock]]);
}

beforeAll(() => {
  const dir = join(home.path, "source");
  mkdirSync(dir);
  const db = new LogDatabase(dir, options);
  for (let i = 0; i < 6; i++) {
    commit(db, 0, 1 + 3 * i, 40);
    commit(db, 1, 1 + 3 * i, i === 2 ? 4000 : 10);
  }
  inWal = imageOf(dir);
  db.checkpoint();
  // A fresh write-ahead log: the old one would heal the database by itself.
  inDatabase = new Map([...imageOf(dir), ["log.db-wal", Buffer.of()]]);
  db.close();
  place(inWal);
  whole = contents().text;
});

afterAll(() => home[Symbol.dispose]());

test("[G21] one flipped bit anywhere in the write-ahead log is refused, never a shorter log", () => {
  const wal = inWal.get("log.db-wal") ?? Buffer.of();
  const outcomes = { refused: 0, unharmed: 0 };

  for (let at = 0; at < wal.length; at++) {
    const inFrame = (at - 32) % 4120;
    if (at >= 32 && inFrame >= 24 && inFrame % 41 !== 0) continue;
    const outcome = flipAndOpen(inWal, "log.db-wal", at);
    if (outcome === "refused") outcomes.refused++;
    else {
      expect(`${at} ${outcome}`).toBe(`${at} ${whole}`);
      outcomes.unharmed++;
    }
  }

  expect(outcomes.refused).toBeGreaterThan(1000);
  expect(outcomes.unharmed).toBeLessThan(20);
}, 30_000);

test("[G21] one flipped bit anywhere in the database is refused or hits unused space", () => {
  const database = inDatabase.get("log.db") ?? Buffer.of();
  const outcomes = { refused: 0, unharmed: 0 };

  for (let at = 0; at < database.length; at++) {
    if (at >= 100 && at % 4096 >= 60 && at % 19 !== 0) continue;
    const outcome = flipAndOpen(inDatabase, "log.db", at);
    if (outcome === "refused") outcomes.refused++;
    else {
      expect(`${at} ${outcome}`).toBe(`${at} ${whole}`);
      outcomes.unharmed++;
    }
  }

  expect(outcomes.refused).toBeGreaterThan(300);
}, 30_000);

test("[G21] a refusal leaves the files as they were", () => {
  const wal = Buffer.from(inWal.get("log.db-wal") ?? "");
  wal.writeUInt8(wal.readUInt8(5000) ^ 1, 5000);
  const damaged: Image = new Map([...inWal, ["log.db-wal", wal]]);
  place(damaged);

  expect(open()).toBe("refused");
  expect(open()).toBe("refused");

  for (const name of ["log.db", "log.db-wal", "log.superblock"]) {
    expect(readFileSync(join(trialDir, name)).equals(damaged.get(name) ?? Buffer.of())).toBe(true);
  }
});

test("[G22] a database or write-ahead log that was cut short, emptied or removed is refused", () => {
  for (const [image, name] of [
    [inWal, "log.db-wal"],
    [inDatabase, "log.db"],
  ] as const) {
    const length = image.get(name)?.length ?? 0;
    for (let kept = 0; kept < length; kept += 1030) {
      place(image);
      truncateSync(join(trialDir, name), kept);
      expect(`${name} ${kept} ${open()}`).toBe(`${name} ${kept} refused`);
    }
    place(image);
    rmSync(join(trialDir, name));
    expect(open()).toBe("refused");
  }
});

test("[G23] the superblock may lose one slot or its mark, but not both slots", () => {
  const superblock = inDatabase.get("log.superblock") ?? Buffer.of();
  const damage = (ranges: [number, number][]) => {
    const bytes = Buffer.from(superblock);
    for (const [from, to] of ranges) bytes.fill(0x55, from, to);
    place(new Map([...inDatabase, ["log.superblock", bytes]]));
    return open();
  };
  const half = 32 * 1024;

  expect(damage([[0, half]])).toBe(whole);
  expect(damage([[half, 2 * half]])).toBe(whole);
  expect(damage([[2 * half, superblock.length]])).toBe(whole);
  expect(damage([[0, 2 * half]])).toBe("refused");
  place(new Map([...inDatabase].filter(([name]) => name !== "log.superblock")));
  expect(open()).toBe("refused");
});

test("[G24] an older copy of database and write-ahead log under a newer superblock is refused", () => {
  const dir = join(home.path, "older");
  mkdirSync(dir);
  const db = new LogDatabase(dir, options);
  commit(db, 0, 1, 10);
  db.checkpoint();
  const older = imageOf(dir);
  commit(db, 0, 4, 10);
  const newer = imageOf(dir);
  db.close();

  place(new Map([...older, ["log.superblock", newer.get("log.superblock") ?? Buffer.of()]]));

  expect(open()).toBe("refused");
});

test("[G27] the torn end of an unfinished commit is dropped with a note", () => {
  const wal = inWal.get("log.db-wal") ?? Buffer.of();
  const lastFrame = wal.subarray(wal.length - 4120);
  const torn = Buffer.from(lastFrame);
  torn.writeUInt8(torn.readUInt8(3000) ^ 0xff, 3000);
  place(new Map([...inWal, ["log.db-wal", Buffer.concat([wal, torn])]]));

  const found = contents();

  expect(found.text).toBe(whole);
  expect(found.notes.join()).toContain("unfinished commit of 1 pages");
});

test("[G27] a power cut that kept any part of the last commit leaves the log before or after it", () => {
  const dir = join(home.path, "cut");
  mkdirSync(dir);
  const db = new LogDatabase(dir, options);
  // The write-ahead log is in its second round, so that behind its end lie frames of the first.
  for (let i = 0; i < 9; i++) commit(db, 0, 1 + 3 * i, 3000);
  db.checkpoint();
  for (let i = 0; i < 2; i++) commit(db, 0, 28 + 3 * i, 10);
  const before = imageOf(dir);
  commit(db, 0, 34, 3000);
  const after = imageOf(dir);
  db.close();
  place(before);
  const textBefore = contents().text;
  place(after);
  const textAfter = contents().text;
  const old = before.get("log.db-wal") ?? Buffer.of();
  const written = after.get("log.db-wal") ?? Buffer.of();
  const sectors = Array.from({ length: Math.ceil(written.length / 512) }, (_, i) => i * 512).filter(
    (at) => !old.subarray(at, at + 512).equals(written.subarray(at, at + 512)),
  );
  expect(sectors.length).toBeGreaterThan(15);

  fc.assert(
    fc.property(fc.subarray(sectors), (kept) => {
      const wal = Buffer.from(old);
      for (const at of kept) written.copy(wal, at, at, at + 512);
      place(new Map([...withoutMark(before), ["log.db-wal", wal]]));
      const expected = kept.length === sectors.length ? textAfter : textBefore;
      expect(open()).toBe(expected);
    }),
    { numRuns: 150, examples: [[[]], [sectors], [sectors.slice(0, -1)], [sectors.slice(1)]] },
  );
});

test("[G28] after a power cut that took the mark, only the very last transaction can hide a flipped bit", () => {
  const image = withoutMark(inWal);
  const wal = inWal.get("log.db-wal") ?? Buffer.of();
  const lastFrameAt = wal.length - 4120;

  for (let at = 32; at < wal.length; at += 511) {
    const outcome = flipAndOpen(image, "log.db-wal", at);
    if (at < lastFrameAt - 4120) expect(`${at} ${outcome}`).toBe(`${at} refused`);
    else if (outcome !== "refused") expect(whole.startsWith(outcome.slice(0, 100))).toBe(true);
  }
});
