import { expect, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { LogCompacted, LogDamaged } from "../../src/store/log-format.ts";
import { openLog } from "../../src/store/worker-log.ts";
import { append, entriesFrom, openTestLog, readAll, storeId, TempDir } from "../support/log.ts";

const nothing = { first: 1, last: 0, previousTerm: 0, lastTerm: 0 };

test("[G1] an acknowledged work is there after a restart, byte for byte", async () => {
  using dir = new TempDir();
  const entries = entriesFrom(1, 3);
  const log = await openTestLog(dir);

  const fault = await append(log, { group: 0, entries });
  await log.close();
  const reopened = await openTestLog(dir);

  expect(fault).toBeUndefined();
  expect(readAll(reopened)).toEqual(entries);
  await reopened.close();
});

test("[G1] an unknown group is empty", async () => {
  using dir = new TempDir();
  const log = await openTestLog(dir);

  expect(log.bounds(7)).toMatchObject(nothing);
  expect(log.read(7, 1, 100)).toEqual([]);
  await log.close();
});

test("[G2] callbacks come in the order of the works, and only then can the entries be read", async () => {
  using dir = new TempDir();
  const log = await openTestLog(dir);
  const seen: number[] = [];

  await new Promise<void>((resolve) => {
    for (let i = 1; i <= 50; i++) {
      log.append({ group: 0, entries: entriesFrom(i, 1) }, () => {
        expect(log.bounds(0).last).toBeGreaterThanOrEqual(i);
        seen.push(i);
        if (i === 50) resolve();
      });
    }
    expect(log.bounds(0).last).toBe(0);
    expect(log.size().pendingBytes).toBeGreaterThan(0);
  });

  expect(seen).toEqual(Array.from({ length: 50 }, (_, i) => i + 1));
  expect(log.size().pendingBytes).toBe(0);
  await log.close();
});

test("[G3] the hard state survives with and without entries, and the newest one counts", async () => {
  using dir = new TempDir();
  const log = await openTestLog(dir);
  await append(log, { group: 0, entries: [], hardState: { term: 1, vote: "ab", commit: 0 } });
  await append(log, {
    group: 0,
    entries: entriesFrom(1, 2, { term: 2 }),
    hardState: { term: 2, vote: "ä", commit: 1 },
  });
  await append(log, {
    group: 1,
    entries: entriesFrom(1, 1),
    hardState: { term: 1, vote: "", commit: 1 },
  });
  await append(log, { group: 1, entries: [], hardState: { term: 5, vote: "c", commit: 1 } });
  await append(log, { group: 0, entries: entriesFrom(3, 1, { term: 2 }) });
  await log.close();

  const reopened = await openTestLog(dir);

  expect(reopened.bounds(0).hardState).toEqual({ term: 2, vote: "ä", commit: 1 });
  expect(reopened.bounds(1).hardState).toEqual({ term: 5, vote: "c", commit: 1 });
  await reopened.close();
});

test("[G4] a cut in the middle of a row keeps what is before it, and new entries follow", async () => {
  using dir = new TempDir();
  const log = await openTestLog(dir);
  await append(log, { group: 0, entries: entriesFrom(1, 5) });
  await append(log, { group: 0, entries: entriesFrom(6, 5) });

  const fault = await append(log, {
    group: 0,
    truncateFrom: 4,
    entries: entriesFrom(4, 3, { term: 3 }),
  });
  await log.close();
  const reopened = await openTestLog(dir);

  expect(fault).toBeUndefined();
  expect(readAll(reopened)).toEqual([...entriesFrom(1, 3), ...entriesFrom(4, 3, { term: 3 })]);
  expect(reopened.bounds(0)).toMatchObject({ first: 1, last: 6, lastTerm: 3 });
  await reopened.close();
});

test("[G4] what a pending cut removes is not read any more", async () => {
  using dir = new TempDir();
  const log = await openTestLog(dir);
  await append(log, { group: 0, entries: entriesFrom(1, 5) });

  const cut = append(log, { group: 0, truncateFrom: 3, entries: [] });

  expect(log.bounds(0)).toMatchObject({ last: 2, lastTerm: 1 });
  expect(log.read(0, 3, 100)).toEqual([]);
  await cut;
  await log.close();
});

test("[G5] a reset stands for everything before it", async () => {
  using dir = new TempDir();
  const log = await openTestLog(dir);
  await append(log, { group: 0, entries: entriesFrom(1, 5) });

  await append(log, {
    group: 0,
    resetTo: { index: 100, term: 4 },
    entries: entriesFrom(101, 2, { term: 5 }),
  });
  await log.close();
  const reopened = await openTestLog(dir);

  expect(reopened.bounds(0)).toMatchObject({ first: 101, last: 102, previousTerm: 4, lastTerm: 5 });
  expect(() => reopened.read(0, 100, 100)).toThrow(LogCompacted);
  await reopened.close();
});

test("[G6] compaction moves the beginning at once, inside a row too, and keeps the term before it", async () => {
  using dir = new TempDir();
  const log = await openTestLog(dir);
  await append(log, { group: 0, entries: entriesFrom(1, 10) });
  await append(log, { group: 0, entries: entriesFrom(11, 10, { term: 2 }) });

  log.compact(0, 15);
  const bounds = log.bounds(0);
  await append(log, { group: 0, entries: entriesFrom(21, 1, { term: 2 }) });
  await log.close();
  const reopened = await openTestLog(dir);

  expect(bounds).toMatchObject({ first: 16, last: 20, previousTerm: 2 });
  expect(reopened.bounds(0)).toMatchObject({ first: 16, last: 21, previousTerm: 2 });
  expect(readAll(reopened)).toEqual(entriesFrom(16, 6, { term: 2 }));
  await reopened.close();
});

test("[G6] what was compacted is free space of the file, to be written again first", async () => {
  using dir = new TempDir();
  const log = await openTestLog(dir);
  const data = new Uint8Array(8192);
  for (const entry of entriesFrom(1, 40)) {
    await append(log, { group: 0, entries: [{ ...entry, data }] });
  }
  expect(log.size().freeBytes).toBe(0);

  log.compact(0, 30);
  // The space is freed in steps, with rests between them.
  while (log.size().freeBytes < 30 * data.length) await Bun.sleep(5);

  await log.close();
});

test("[G6] a group that is compacted to its end keeps its place and its hard state", async () => {
  using dir = new TempDir();
  const log = await openTestLog(dir);
  const hardState = { term: 3, vote: "x", commit: 4 };
  await append(log, { group: 0, entries: entriesFrom(1, 4, { term: 3 }), hardState });

  log.compact(0, 4);
  await log.close();
  const reopened = await openTestLog(dir);
  await append(reopened, { group: 0, entries: entriesFrom(5, 1, { term: 3 }) });

  expect(reopened.bounds(0)).toEqual({
    first: 5,
    last: 5,
    previousTerm: 3,
    lastTerm: 3,
    hardState,
  });
  await reopened.close();
});

test("[G7] a read returns at least one entry, then as many as fit", async () => {
  using dir = new TempDir();
  const log = await openTestLog(dir);
  await append(log, { group: 0, entries: entriesFrom(1, 10, { bytes: 100 }) });

  expect(log.read(0, 2, 0).length).toBe(1);
  expect(log.read(0, 2, 350).map(({ index }) => index)).toEqual([2, 3, 4]);
  expect(log.read(0, 11, 350)).toEqual([]);
  await log.close();
});

test("[G8] a work that does not continue the log is a bug of the caller", async () => {
  using dir = new TempDir();
  const log = await openTestLog(dir);
  await append(log, { group: 0, entries: entriesFrom(1, 2, { term: 2 }) });
  const ignore = () => {};

  expect(() => log.append({ group: 0, entries: entriesFrom(4, 1, { term: 2 }) }, ignore)).toThrow(
    "after 2",
  );
  expect(() => log.append({ group: 0, entries: entriesFrom(3, 1, { term: 1 }) }, ignore)).toThrow(
    "falls",
  );
  expect(() => log.append({ group: 5000, entries: [] }, ignore)).toThrow("groupMax");
  expect(() => log.compact(0, 9)).toThrow("ends at 2");
  await log.close();
});

test("[G9] after close every append is refused", async () => {
  using dir = new TempDir();
  const log = await openTestLog(dir);
  await log.close();

  expect(await append(log, { group: 0, entries: entriesFrom(1, 1) })).toMatchObject({
    kind: "closed",
  });
});

test("[G10] works that were handed in before close are durable after it", async () => {
  using dir = new TempDir();
  const log = await openTestLog(dir);
  const works = [1, 2, 3].map((i) => append(log, { group: 0, entries: entriesFrom(i, 1) }));

  await log.close();
  const reopened = await openTestLog(dir);

  expect(await Promise.all(works)).toEqual([undefined, undefined, undefined]);
  expect(reopened.bounds(0).last).toBe(3);
  await reopened.close();
});

test("[G25] files of another store are refused", async () => {
  using dir = new TempDir();
  await (await openTestLog(dir)).close();

  const other = storeId.replace("01", "99");

  await expect(openLog(dir.path, { storeId: other })).rejects.toThrow(LogDamaged);
});

test("[G26] a log that ends before what the state has applied is refused", async () => {
  using dir = new TempDir();
  const log = await openTestLog(dir);
  await append(log, { group: 3, entries: entriesFrom(1, 2) });
  await log.close();

  await (await openTestLog(dir, { minimumLast: new Map([[3, 2]]) })).close();
  const opening = openTestLog(dir, { minimumLast: new Map([[3, 5]]) });

  await expect(opening).rejects.toThrow("in group 3 at index 3");
});

test("[G12] works beyond the pending limit are refused by name, and may be handed in again", async () => {
  using dir = new TempDir();
  const log = await openTestLog(dir, { pendingBytesMax: 1000 });
  const first = append(log, { group: 0, entries: entriesFrom(1, 1, { bytes: 600 }) });

  const refused = await append(log, { group: 0, entries: entriesFrom(2, 1, { bytes: 600 }) });
  await first;
  const again = await append(log, { group: 0, entries: entriesFrom(2, 1, { bytes: 600 }) });

  expect(refused).toMatchObject({ kind: "overloaded" });
  expect(refused?.message).toContain("pendingBytesMax is 1000");
  expect(again).toBeUndefined();
  expect(() =>
    log.append({ group: 0, entries: entriesFrom(3, 1, { bytes: 2 ** 26 }) }, () => {}),
  ).toThrow("workBytesMax");
  await log.close();
});

test("[G13] a row that is altered while the log is open is noticed by the read", async () => {
  using dir = new TempDir();
  const log = await openTestLog(dir);
  await append(log, { group: 0, entries: entriesFrom(1, 1, { bytes: 3000 }) });
  await log.close();
  const reopened = await openTestLog(dir);
  const file = join(dir.path, "log.db");
  const bytes = readFileSync(file);
  bytes.writeUInt8(0, bytes.lastIndexOf("entry 1 of term 1"));

  writeFileSync(file, bytes);

  expect(() => reopened.read(0, 1, 1)).toThrow(
    "in group 0 at index 1: a row does not match its checksum",
  );
  await reopened.close();
});
