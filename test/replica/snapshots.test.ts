import { expect, test } from "bun:test";
import { emptyConfState } from "../../src/raft/message.ts";
import { RaftLogStorage } from "../../src/replica/raft-log.ts";
import { Snapshots } from "../../src/replica/snapshots.ts";
import { MemoryLogFile } from "../support/memory-log-file.ts";
import { ManualTime } from "../support/node-rig.ts";
import { memoryLogger } from "../support/system-ports.ts";

function createSnapshots(made = async (_index: number) => {}) {
  const time = new ManualTime();
  const conf = { ...emptyConfState, voters: [1], learners: [2, 3] };
  const storage = new RaftLogStorage(new MemoryLogFile(), 0, { applied: 0, conf });
  const removed: string[] = [];
  /** Where the state stands when the next one is made. */
  const applied = { index: 0 };
  const snapshots = new Snapshots({
    timers: time,
    storage,
    logger: memoryLogger(),
    make: async () => {
      const { index } = applied;
      await made(index);
      return { path: `${index}.db`, bytes: 1, index, conf };
    },
    remove: (path) => removed.push(path),
  });
  return { time, storage, snapshots, removed, applied };
}

const keepMs = 60_000;

test("the log keeps what follows a snapshot for as long as that is on its way, and while its receiver starts", async () => {
  const { time, snapshots, removed, applied } = createSnapshots();
  applied.index = 40;
  await snapshots.make();
  const lent = snapshots.lend(40);

  await time.pass(10 * keepMs);
  const onItsWay = { neededAfter: snapshots.neededAfter, removed: [...removed] };
  lent?.giveBack();
  await time.pass(keepMs - 1000);
  const starting = snapshots.neededAfter;
  await time.pass(2 * keepMs);

  expect(lent).toMatchObject({ path: "40.db", index: 40 });
  expect(onItsWay).toEqual({ neededAfter: 40, removed: [] });
  expect(starting).toBe(40);
  expect(snapshots.neededAfter).toBe(Number.POSITIVE_INFINITY);
  expect(removed).toEqual(["40.db"]);
});

test("a newer snapshot does not let go of what an older one on its way needs", async () => {
  const { time, snapshots, applied } = createSnapshots();
  applied.index = 40;
  await snapshots.make();
  const older = snapshots.lend(40);
  applied.index = 70;
  await snapshots.make();

  expect(snapshots.lend(40)).toBeUndefined();
  expect(snapshots.neededAfter).toBe(40);
  older?.giveBack();
  await time.pass(keepMs);
  expect(snapshots.neededAfter).not.toBe(40);
});

test("one that could not be made is not begun again at once, and the log may shrink until it is", async () => {
  let tries = 0;
  const { time, storage, snapshots } = createSnapshots(async () => {
    tries++;
    throw new Error("the disk is full");
  });
  // As often as a member that lags answers a heartbeat.
  const ask = async () => {
    for (let n = 0; n < 20; n++) {
      expect(storage.snapshotFor(2)).toBe("unavailable");
      await time.pass(100);
    }
  };

  await ask();
  const first = { tries, neededAfter: snapshots.neededAfter };
  await time.pass(10_000);
  await ask();
  // Whoever asks for one by name is not put off.
  await snapshots.make().catch(() => undefined);

  expect(first).toEqual({ tries: 1, neededAfter: Number.POSITIVE_INFINITY });
  expect(tries).toBe(3);
});
