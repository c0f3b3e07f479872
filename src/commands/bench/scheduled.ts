/**
 * Ten thousand jobs come due in every second: how late does each reach a worker? The jobs are enqueued ahead, so that their
 * times pass whether or not the server keeps up: a server that falls behind shows it as lateness.
 */
import { CorvoError } from "../../base/errors.ts";
import { formatTime } from "../../base/time.ts";
import type { Bench } from "./bench-run.ts";
import { quantilesOf } from "./samples.ts";
import type { Scenario } from "./scenario.ts";

/** Time to enqueue them all before the first is due. */
const leadMsMin = 2000;
const leadJobsPerSecond = 20_000;
/** A job may not come before its time, but clocks are read in whole milliseconds. */
const earlyMsMax = 1;

export const scheduled: Scenario = {
  summary: "Jobs that come due, 10,000 in every second: how late each reaches a worker",
  settings: { jobs: 100_000, durationMs: 10_000, connections: 8, payloadBytes: 100 },
  tour: { jobs: 40_000, durationMs: 4000 },
  async run(bench) {
    const late = await measureLateness(bench);
    const { p50, p99, max } = quantilesOf(late);
    const ms = { unit: "ms", better: "lower" } as const;
    const perSecond = (bench.setting("jobs") * 1000) / bench.setting("durationMs");
    return [
      { name: "late p50", ...ms, value: p50 },
      { name: "late p99", ...ms, value: p99, ...(perSecond === 10_000 ? bench.goal(10, 3) : {}) },
      { name: "late max", ...ms, value: max },
    ];
  },
};

async function measureLateness(bench: Bench): Promise<number[]> {
  const jobs = bench.setting("jobs");
  const stepMs = bench.setting("durationMs") / jobs;
  const wallOffsetMs = wallClockOffsetMs(bench);
  const nowMs = () => bench.nowMs() + wallOffsetMs;
  const leadMs = Math.max(leadMsMin, (jobs / leadJobsPerSecond) * 1000);
  const startMs = Math.ceil(nowMs() + leadMs);
  const dueMs = (number: number) => startMs + Math.floor(number * stepMs);
  const lane = bench.lane(
    "scheduled",
    (number) => `,"scheduled_at":"${formatTime(dueMs(number))}"`,
  );
  const { ledger } = lane;
  await bench.fill(lane, jobs, "enqueueing scheduled jobs");
  if (nowMs() > startMs) {
    throw new CorvoError(
      "UNAVAILABLE",
      `enqueueing ${jobs} scheduled jobs took longer than ${leadMs} ms, so the first were late before the measurement began; use a smaller --jobs`,
    );
  }
  const late: number[] = [];
  const connections = bench.setting("connections");
  const load = await bench.load(lane, {
    connections,
    framesMax: 2,
    consume: { window: 200, ackMax: 200 },
    onClaimed: (number) => {
      const lateMs = nowMs() - dueMs(number);
      late.push(Math.max(0, lateMs));
      if (lateMs < -earlyMsMax) ledger.problem(`job ${number} came ${-lateMs} ms before its time`);
    },
  });
  try {
    load.pump();
    const span = bench.span();
    await bench.pause(load, startMs - nowMs(), "waiting for the first");
    await bench.pause(load, bench.setting("durationMs"), "jobs come due");
    await bench.until(load, ledger, () => ledger.acked === jobs && load.isIdle);
    span.end(jobs);
    return late;
  } finally {
    load.close();
  }
}

/** Wall clock minus monotonic clock, to a fraction of a millisecond: read at the moment when the wall clock moves on. */
function wallClockOffsetMs(bench: Bench): number {
  const { clock } = bench.deps.system;
  const startMs = clock.nowMs();
  let wallMs = startMs;
  while (wallMs === startMs) wallMs = clock.nowMs();
  return wallMs - bench.nowMs();
}
