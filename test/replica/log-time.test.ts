/** Time as the log has it, and the alarm that goes by it, beside a wall clock that jumps. */
import { expect, test } from "bun:test";
import fc from "fast-check";
import type { Clock } from "../../src/base/ports.ts";
import { Alarm } from "../../src/replica/alarm.ts";
import { LogTime } from "../../src/replica/log-time.ts";
import { ManualTime } from "../support/node-rig.ts";

/** A machine's clocks: the wall clock can be set. */
class TwoClocks implements Clock {
  readonly time = new ManualTime();
  aheadMs = 0;

  nowMs(): number {
    return this.time.nowMs() + this.aheadMs;
  }

  monotonicMs(): number {
    return this.time.monotonicMs();
  }
}

/** An alarm for one deadline; `rangAtMs` is the log's time at which it had it carried out. */
function alarmFor(clocks: TwoClocks, deadlineMs: number) {
  const time = new LogTime(clocks, clocks.nowMs());
  const seen = { time, rangAtMs: undefined as number | undefined };
  const alarm = new Alarm({
    time,
    timers: clocks.time,
    isOnDuty: () => true,
    nextDeadlineMs: () => (seen.rangAtMs === undefined ? deadlineMs : Number.POSITIVE_INFINITY),
    advance: (done) => {
      seen.rangAtMs = time.next();
      done(true);
    },
  });
  alarm.arm();
  return seen;
}

test("[J14] behind its log time goes on at half the pace, and with the clock once that has caught up", async () => {
  const clocks = new TwoClocks();
  const startMs = clocks.nowMs();
  const time = new LogTime(clocks, startMs);
  clocks.aheadMs = 60_000;
  const ahead = time.next() - startMs;

  clocks.aheadMs = 0;
  const at: number[] = [];
  for (const passedMs of [0, 10_000, 50_000, 60_000, 5000]) {
    await clocks.time.pass(passedMs);
    at.push(time.next() - startMs);
  }

  expect(ahead).toBe(60_000);
  expect(at).toEqual([60_000, 65_000, 90_000, 120_000, 125_000]);
});

test("[J14] a follower goes on from what its leader's clock said", async () => {
  const clocks = new TwoClocks();
  const time = new LogTime(clocks, 0);
  const leaderMs = clocks.nowMs() + 8000;

  time.note(leaderMs);
  await clocks.time.pass(1000);

  expect(time.next()).toBe(leaderMs + 500);
});

test("[J14] whatever the clocks do, time is a whole number and never goes back", async () => {
  const step = fc.record({
    jumpMs: fc.integer({ min: -200_000, max: 200_000 }),
    passMs: fc.integer({ min: 0, max: 3000 }),
    notedMs: fc.integer({ min: -5000, max: 5000 }),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
      const clocks = new TwoClocks();
      const time = new LogTime(clocks, clocks.nowMs());
      let latestMs = time.next();
      for (const { jumpMs, passMs, notedMs } of steps) {
        clocks.aheadMs += jumpMs;
        await clocks.time.pass(passMs);
        time.note(latestMs + notedMs);
        const nowMs = time.next();
        expect(Number.isSafeInteger(nowMs)).toBe(true);
        expect(nowMs).toBeGreaterThanOrEqual(Math.max(latestMs, latestMs + notedMs));
        latestMs = nowMs;
      }
    }),
  );
});

test("[J14] a deadline that the clock jumped over is met within a second", async () => {
  const clocks = new TwoClocks();
  const seen = alarmFor(clocks, clocks.nowMs() + 3_600_000);

  await clocks.time.pass(2000);
  clocks.aheadMs = 3_700_000;
  await clocks.time.pass(1000);

  expect(seen.rangAtMs).toBeGreaterThanOrEqual(clocks.nowMs() - 1000);
});

test("[J14] a deadline is met in twice the time at most when the clock was set back", async () => {
  const clocks = new TwoClocks();
  const deadlineMs = clocks.nowMs() + 10_000;
  const seen = alarmFor(clocks, deadlineMs);

  clocks.aheadMs = -600_000;
  await clocks.time.pass(19_990);
  const before = seen.rangAtMs;
  await clocks.time.pass(20);

  expect(before).toBeUndefined();
  expect(seen.rangAtMs).toBe(deadlineMs);
});
