/** How soon an idle worker begins a job: from the call that enqueues it to the job's arrival at a streaming worker. */
import type { Bench } from "./bench-run.ts";
import { quantilesOf } from "./samples.ts";
import type { Scenario } from "./scenario.ts";

/** Pauses between samples, so that each finds an idle system: the mean is in the middle, so as not to beat with timers. */
const pauseMsMin = 3;
const pauseMsMax = 12;
/**
 * Unmeasured jobs without pauses for each sample: the figure is that of a server that has been at work, not of a new one. The
 * runtime compiles a thousand functions during the first ten thousand jobs, and some thirty during the next ten.
 */
const warmupShare = 25;

export const pickup: Scenario = {
  summary: "Idle system: from enqueue to the start of the handler in a streaming worker",
  settings: { samples: 500, payloadBytes: 100 },
  async run(bench) {
    const times = await measurePickups(bench);
    const { p50, p99, max } = quantilesOf(times);
    const ms = { unit: "ms", better: "lower" } as const;
    return [
      { name: "pickup p50", ...ms, value: p50, ...bench.bar(0.6, 0.4) },
      { name: "pickup p99", ...ms, value: p99, ...bench.bar(2, 1) },
      { name: "pickup max", ...ms, value: max },
    ];
  },
};

function pauseMs(bench: Bench): number {
  const share = bench.deps.system.random.uint32() / 2 ** 32;
  return pauseMsMin + share * (pauseMsMax - pauseMsMin);
}

async function measurePickups(bench: Bench): Promise<number[]> {
  const lane = bench.lane("pickup");
  const { ledger } = lane;
  const samples = bench.setting("samples");
  const warmup = samples * warmupShare;
  const times: number[] = [];
  let due = 0;
  let sentMs = 0;
  const worker = await bench.load(lane, {
    connections: 1,
    framesMax: 4,
    consume: { window: 4, ackMax: 1 },
    onClaimed: (number) => {
      if (number >= warmup) times.push(bench.nowMs() - sentMs);
    },
  });
  const producer = await bench.load(lane, {
    connections: 1,
    framesMax: 1,
    produce: () => due - ledger.sent,
  });
  try {
    worker.pump();
    let span = bench.span();
    while (due < samples + warmup) {
      if (due === warmup) span = bench.span();
      if (due >= warmup) await Bun.sleep(pauseMs(bench));
      due++;
      sentMs = bench.nowMs();
      producer.pump();
      await Promise.all([
        bench.until(producer, ledger, () => producer.isIdle),
        bench.until(worker, ledger, () => ledger.acked === due && worker.isIdle),
      ]);
      bench.deps.progress(due / (samples + warmup), "enqueue and wait for the handler");
    }
    span.end(samples);
    return times;
  } finally {
    producer.close();
    worker.close();
  }
}
