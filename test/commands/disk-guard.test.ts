/** What room there is for payloads, in tenths of what is free on this machine's disk: four of them may be taken. */
import { expect, test } from "bun:test";
import { statfsSync } from "node:fs";
import { DiskGuard, type DiskUse } from "../../src/commands/server/disk-guard.ts";
import { tempDir } from "../support/temp-dir.ts";

const nothing: DiskUse = { usedBytes: 0, reusableBytes: 0, reusableLogBytes: 0, pledgedBytes: 0 };

function guarded(use: (tenth: number) => Partial<DiskUse>) {
  const dir = tempDir();
  const { bavail, bsize } = statfsSync(dir.path);
  const tenth = Math.floor((bavail * bsize) / 10);
  let nowMs = 0;
  const clock = { nowMs: () => nowMs, monotonicMs: () => nowMs };
  const guard = new DiskGuard(
    { path: dir.path, clock, use: () => ({ ...nothing, ...use(tenth) }) },
    { budgetBytes: undefined, minFreeBytes: 6 * tenth },
  );
  const isIn = (tenths: number, take: (bytes: number) => void) => {
    try {
      take(tenths * tenth);
      return true;
    } catch {
      return false;
    }
  };
  return {
    payload: (tenths: number) => isIn(tenths, (bytes) => guard.admit(bytes)),
    blob: (tenths: number) => isIn(tenths, (bytes) => guard.admitBlob(bytes)),
    lookAgain: () => {
      nowMs += 1000;
    },
    [Symbol.dispose]: () => dir[Symbol.dispose](),
  };
}

test("[V9] a payload is let in where it fits five times, until its job is over", () => {
  using guard = guarded(() => ({}));

  expect(guard.payload(1)).toBe(false);
  expect([guard.payload(0.5), guard.payload(0.5), guard.payload(0.1)]).toEqual([true, false, true]);
  guard.lookAgain();
  expect(guard.payload(0.5)).toBe(true);
});

test("[V9] a blob is written once, but comes in only where a payload would", () => {
  using guard = guarded(() => ({}));

  expect([guard.blob(0.7), guard.blob(0.6), guard.blob(0.6), guard.blob(0.6)]).toEqual([
    ...[true, true, false, false],
  ]);
});

test("[V9] free pages of the state are room for the state alone, and those of the log for the log", () => {
  using state = guarded((tenth) => ({ reusableBytes: 100 * tenth }));
  expect([state.payload(5), state.payload(3)]).toEqual([false, true]);

  using log = guarded((tenth) => ({ reusableLogBytes: 100 * tenth }));
  expect([log.payload(1.2), log.payload(0.8)]).toEqual([false, true]);

  using both = guarded((tenth) => ({ reusableBytes: 100 * tenth, reusableLogBytes: 100 * tenth }));
  expect(both.payload(20)).toBe(true);
});

test("[V9] what is still to be written for jobs that are here is taken, as far as it needs more than free pages", () => {
  using pledged = guarded((tenth) => ({ pledgedBytes: 5 * tenth }));
  expect(pledged.payload(0.1)).toBe(false);

  using covered = guarded((tenth) => ({ pledgedBytes: 5 * tenth, reusableBytes: 4 * tenth }));
  expect(covered.payload(0.5)).toBe(true);
});
