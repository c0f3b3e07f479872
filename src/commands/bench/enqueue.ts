/**
 * Enqueues alone: as many as the server takes, and as producers send them who wait for each answer.
 *
 * `burst` and `http` run for a time and count what was acknowledged in it; `bulk` and `par32` send a fixed number of jobs
 * and take the time from the first frame to the last answer, which is how other systems state these two.
 */
import type { Bench } from "./bench-run.ts";
import { HttpLoad } from "./http-load.ts";
import { quantilesOf } from "./samples.ts";
import { type Figure, rate, type Scenario } from "./scenario.ts";

const higher = { unit: "jobs/s", better: "higher" } as const;
const lower = { unit: "ms", better: "lower" } as const;

export const burst: Scenario = {
  summary: "Enqueue batches over streams for a time, as fast as they are acknowledged",
  settings: {
    durationMs: 10_000,
    warmupMs: 1000,
    connections: 8,
    batch: 100,
    frames: 1,
    payloadBytes: 100,
  },
  tour: { durationMs: 4000, warmupMs: 1000 },
  async run(bench) {
    const lane = bench.lane("burst");
    const { ledger } = lane;
    const batch = bench.setting("batch");
    let isProducing = true;
    const load = await bench.load(lane, {
      connections: bench.setting("connections"),
      framesMax: bench.setting("frames"),
      produce: () => (isProducing ? batch : 0),
    });
    try {
      load.pump();
      await bench.pause(load, bench.setting("warmupMs"), "warming up");
      const before = ledger.accepted;
      const span = bench.span();
      await bench.pause(load, bench.setting("durationMs"), "enqueue");
      const count = ledger.accepted - before;
      const value = rate(count, span.end(count));
      isProducing = false;
      await bench.until(load, ledger, () => load.isIdle);
      if (load.overloads > 0) bench.note(`the server put off ${load.overloads} frames`);
      return [{ name: "enqueued", ...higher, value, ...bench.bar(150_000, 400_000) }];
    } finally {
      load.close();
    }
  },
};

export const http: Scenario = {
  summary: "Enqueue one job per HTTP request over kept-alive connections",
  settings: { durationMs: 10_000, warmupMs: 1000, connections: 50, payloadBytes: 100 },
  tour: { durationMs: 4000, warmupMs: 1000 },
  async run(bench) {
    const { shape, ledger } = bench.lane("http");
    const { server } = bench;
    const { apiKey } = bench.deps;
    const connections = bench.setting("connections");
    const load = await HttpLoad.open({ server, apiKey, shape, ledger, connections });
    try {
      load.start();
      await bench.pause(load, bench.setting("warmupMs"), "warming up");
      const before = ledger.accepted;
      const span = bench.span();
      await bench.pause(load, bench.setting("durationMs"), "POST /enqueue");
      const count = ledger.accepted - before;
      const value = rate(count, span.end(count));
      load.isSending = false;
      await bench.settle(load);
      return [{ name: "enqueued", ...higher, value, ...bench.bar(25_000, 40_000) }];
    } finally {
      load.close();
    }
  },
};

/**
 * Unmeasured jobs to each measured one: both processes compile their code meanwhile, which takes longer than such a run. The
 * second run on one server was half as fast again as the first with a quarter of them before.
 */
const warmupTimes = 3;

/** A fixed number of jobs; the rate is that of the whole span, from the first frame to the last answer. */
async function enqueueFixed(bench: Bench, connections: number, frames: number): Promise<number> {
  const lane = bench.lane("fixed");
  const { ledger } = lane;
  const batch = bench.setting("batch");
  const jobs = bench.setting("jobs");
  const warmup = jobs * warmupTimes;
  let goal = warmup;
  const load = await bench.load(lane, {
    connections,
    framesMax: frames,
    produce: () => Math.min(batch, goal - ledger.sent),
  });
  const isDone = () => ledger.sent === goal && load.isIdle;
  const shown = { share: () => ledger.accepted / (jobs + warmup), text: "enqueue" };
  try {
    load.pump();
    await bench.until(load, ledger, isDone, shown);
    const span = bench.span();
    goal += jobs;
    load.pump();
    await bench.until(load, ledger, isDone, shown);
    return rate(jobs, span.end(jobs));
  } finally {
    load.close();
  }
}

export const par32: Scenario = {
  summary: "Awaited single enqueues with 32 in flight over one stream",
  settings: { jobs: 20_000, batch: 1, frames: 32, payloadBytes: 100 },
  async run(bench) {
    const value = await enqueueFixed(bench, 1, bench.setting("frames"));
    return [{ name: "enqueued", ...higher, value, ...bench.bar(25_000, 45_000) }];
  },
};

export const bulk: Scenario = {
  summary: "Awaited batches of enqueues from four producers",
  settings: { jobs: 50_000, batch: 100, connections: 4, payloadBytes: 100 },
  async run(bench) {
    const value = await enqueueFixed(bench, bench.setting("connections"), 1);
    return [{ name: "enqueued", ...higher, value, ...bench.bar(150_000, 400_000) }];
  },
};

export const seq: Scenario = {
  summary: "Single enqueues over one stream, each awaited before the next",
  settings: { samples: 1500, payloadBytes: 100 },
  async run(bench) {
    const lane = bench.lane("seq");
    const { ledger } = lane;
    const samples = bench.setting("samples");
    // As many before the measured ones: the figure is that of a server at work, not of one that has just started.
    const warmup = samples;
    const goal = samples + warmup;
    const times: number[] = [];
    let sentMs = 0;
    const load = await bench.load(lane, {
      connections: 1,
      framesMax: 1,
      produce: () => {
        sentMs = bench.nowMs();
        return ledger.sent < goal ? 1 : 0;
      },
      onEnqueued: (first) => {
        if (first >= warmup) times.push(bench.nowMs() - sentMs);
      },
    });
    try {
      const span = bench.span();
      load.pump();
      const shown = { share: () => ledger.accepted / goal, text: "enqueue" };
      await bench.until(load, ledger, () => ledger.sent === goal && load.isIdle, shown);
      span.end(goal);
      const { p50, p99, max } = quantilesOf(times);
      const figures: Figure[] = [
        { name: "enqueue p50", ...lower, value: p50 },
        { name: "enqueue p99", ...lower, value: p99 },
        { name: "enqueue max", ...lower, value: max },
      ];
      return figures;
    } finally {
      load.close();
    }
  },
};
