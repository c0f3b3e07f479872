/** What a node tells of the time that its disk, its engine and its event loop take. */
import { expect, test } from "bun:test";
import { LoopWatch, Timings } from "../../src/commands/server/timings.ts";
import { MemoryLogFile } from "../support/memory-log-file.ts";
import { ManualTime, settle } from "../support/node-rig.ts";

test("a write counts with its time once it is on disk, and not at all when it is refused", async () => {
  const time = new ManualTime();
  const timings = new Timings(time);
  const file = new MemoryLogFile();
  const log = timings.timedLog(file);
  const entry = { index: 1, term: 1, kind: 0, data: new Uint8Array() };
  const answers: (string | undefined)[] = [];

  log.append({ group: 0, entries: [entry] }, (fault) => answers.push(fault?.kind));
  time.spend(30);
  await settle();
  file.isFull = true;
  log.append({ group: 0, entries: [{ ...entry, index: 2 }] }, (fault) => answers.push(fault?.kind));
  await settle();

  expect(answers).toEqual([undefined, "disk_full"]);
  expect(timings.logWrites.secondsTotal).toBeCloseTo(0.03, 9);
  expect(timings.logWrites.counts.reduce((sum, count) => sum + count)).toBe(1);
});

test("a change counts with its time", () => {
  const time = new ManualTime();
  const timings = new Timings(time);
  timings.timedApply(() => time.spend(20));
  expect(timings.applies.secondsTotal).toBeCloseTo(0.02, 9);
});

test("a loop that was busy is seen by a timer that came late", async () => {
  const time = new ManualTime();
  const watch = new LoopWatch(time, time);
  watch.start();
  await time.pass(300);
  expect(watch.delays.secondsTotal).toBe(0);

  time.spend(400);
  await time.pass(0);
  expect(watch.delays.secondsTotal).toBeCloseTo(0.3, 9);

  watch.stop();
  await time.pass(1000);
  expect(watch.delays.counts.reduce((sum, count) => sum + count)).toBe(4);
});
