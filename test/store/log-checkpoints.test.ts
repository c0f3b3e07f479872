/** When the write-ahead log is moved into the database: after few entries of much, and after many small commits. */
import { expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { LogDatabase } from "../../src/store/log-database.ts";
import { encodeWorks, prepareWork } from "../../src/store/work-codec.ts";
import { entriesFrom, storeId, TempDir } from "../support/log.ts";

const limits = { checkpointBytes: 64 * 1024, walBytesMax: 512 * 1024 };

/** Commits, one entry of this size each, until a checkpoint is due; how many it took, and how many after that one. */
function commitsUntilDue(bytes: number): [number, number] {
  using home = new TempDir(existsSync("/dev/shm") ? "/dev/shm" : undefined);
  const db = new LogDatabase(home.path, {
    ...{ storeId, minimumLast: new Map<number, number>(), reserveBytes: 0 },
    ...limits,
  });
  let index = 0;
  const fill = (): number => {
    const from = index;
    while (!db.isCheckpointDue && index - from < 10_000) {
      index++;
      const hardState = { term: 2, vote: "node-1", commit: index };
      const work = { group: 0, entries: entriesFrom(index, 1, { bytes, term: 2 }), hardState };
      db.commit(encodeWorks([prepareWork(work, hardState)]));
    }
    return index - from;
  };
  try {
    const first = fill();
    db.checkpoint();
    expect(db.isCheckpointDue).toBe(false);
    return [first, fill()];
  } finally {
    db.close();
  }
}

test("large entries are checkpointed by their bytes", () => {
  const [first, second] = commitsUntilDue(16 * 1024);

  expect(first).toBe(4);
  expect(second).toBe(4);
});

test("small commits are checkpointed when the file has grown, not by every few pages that they write again", () => {
  const [first, second] = commitsUntilDue(10);

  expect(first).toBeGreaterThan(100);
  expect(first).toBeLessThanOrEqual(limits.walBytesMax / 4096);
  expect(second).toBe(first);
});
