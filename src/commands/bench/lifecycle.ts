/**
 * Whole lives of jobs over streams: every connection enqueues, is pushed jobs of the same queue and acks them. The queue is kept
 * short by holding back new jobs, so that enqueues, claims and acks go at one rate.
 */
import type { Bench } from "./bench-run.ts";
import { limitedLane } from "./limited-lane.ts";
import { type Figure, rate, type Scenario } from "./scenario.ts";

/** New jobs are held back when this many frames' worth of jobs per connection are not finished. */
const openFramesMax = 4;

export async function measureLives(bench: Bench, name = "lives"): Promise<number> {
  const lane = await limitedLane(bench, name);
  const { ledger } = lane;
  const batch = bench.setting("batch");
  const connections = bench.setting("connections");
  const openMax = batch * connections * openFramesMax;
  let isProducing = true;
  const load = await bench.load(lane, {
    connections,
    framesMax: bench.setting("frames"),
    produce: () => (isProducing && ledger.open < openMax ? batch : 0),
    consume: { window: batch * 2, ackMax: batch },
  });
  try {
    load.pump();
    await bench.pause(load, bench.setting("warmupMs"), "warming up");
    const ackedBefore = ledger.acked;
    const span = bench.span();
    await bench.pause(load, bench.setting("durationMs"), "enqueue, claim, ack");
    const count = ledger.acked - ackedBefore;
    const elapsedMs = span.end(count);
    isProducing = false;
    await bench.until(load, ledger, () => ledger.open === 0 && load.isIdle);
    if (load.overloads > 0) bench.note(`the server put off ${load.overloads} frames`);
    return rate(count, elapsedMs);
  } finally {
    load.close();
  }
}

const figure = (value: number): Figure => ({
  name: "lives",
  unit: "jobs/s",
  better: "higher",
  value,
});

export const lifecycle: Scenario = {
  summary: "Enqueue, claim and ack over streams, in batches; finished jobs are kept",
  settings: {
    durationMs: 30_000,
    warmupMs: 3000,
    connections: 8,
    batch: 50,
    frames: 1,
    payloadBytes: 100,
    keys: 0,
    groups: 0,
  },
  tour: { durationMs: 8000, warmupMs: 2000 },
  async run(bench) {
    return [{ ...figure(await measureLives(bench)), ...bench.bar(50_000, 100_000) }];
  },
};

export const lifecycleSingle: Scenario = {
  summary: "The same with one job in each frame",
  settings: {
    durationMs: 15_000,
    warmupMs: 2000,
    connections: 50,
    batch: 1,
    frames: 1,
    payloadBytes: 100,
    keys: 0,
    groups: 0,
  },
  tour: { durationMs: 6000, warmupMs: 2000 },
  async run(bench) {
    return [{ ...figure(await measureLives(bench)), ...bench.bar(20_000, 40_000) }];
  },
};
