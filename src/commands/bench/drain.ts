/** A worker empties a queue of no-op jobs while many jobs wait in other queues. */
import type { Bench } from "./bench-run.ts";
import { limitedLane } from "./limited-lane.ts";
import { rate, type Scenario, type Settings } from "./scenario.ts";

const otherQueues = 10;

async function drain(bench: Bench, ackMax: number): Promise<number> {
  const parked = bench.setting("parked");
  for (let i = 0; i < otherQueues; i++) {
    const count = Math.floor(parked / otherQueues) + (i < parked % otherQueues ? 1 : 0);
    const text = `parking jobs in other queues, ${i + 1} of ${otherQueues}`;
    if (count > 0) await bench.fill(bench.lane(`parked-${i}`), count, text);
  }
  const warm = await limitedLane(bench, "warmup");
  await empty(bench, warm, { count: Math.ceil(bench.setting("jobs") / 4), ackMax });
  const lane = await limitedLane(bench, "drain");
  const count = bench.setting("jobs");
  return empty(bench, lane, { count, ackMax, measured: true });
}

interface Work {
  readonly count: number;
  readonly ackMax: number;
  readonly measured?: true;
}

/** Fills the queue, then empties it. Returns jobs per second of the emptying, to the last acknowledged ack. */
async function empty(bench: Bench, lane: ReturnType<Bench["lane"]>, work: Work): Promise<number> {
  const { ledger } = lane;
  const { count, ackMax } = work;
  await bench.fill(lane, count, "filling the queue");
  const window = bench.setting("concurrency");
  const load = await bench.load(lane, {
    connections: 1,
    framesMax: Math.ceil(window / ackMax),
    consume: { window, ackMax },
  });
  try {
    const startMs = bench.nowMs();
    const span = work.measured === undefined ? undefined : bench.span();
    load.pump();
    const shown = { share: () => ledger.acked / count, text: "claim and ack" };
    await bench.until(load, ledger, () => ledger.acked === count, shown);
    span?.end(count);
    return rate(count, bench.nowMs() - startMs);
  } finally {
    load.close();
  }
}

const settings: Settings = {
  jobs: 20_000,
  concurrency: 50,
  parked: 122_000,
  payloadBytes: 100,
  keys: 0,
  groups: 0,
};
const figure = { name: "drained", unit: "jobs/s", better: "higher" } as const;

export const drainSingle: Scenario = {
  summary: "Empty a queue, 50 jobs at once, one ack per frame, while others wait elsewhere",
  settings,
  async run(bench) {
    const value = await drain(bench, 1);
    return [{ ...figure, value, ...bench.bar(25_000, 60_000) }];
  },
};

export const drainBatched: Scenario = {
  summary: "The same, 500 jobs at once, with the acks that are ready sent together",
  settings: { ...settings, jobs: 100_000, concurrency: 500 },
  async run(bench) {
    const value = await drain(bench, bench.setting("concurrency"));
    return [{ ...figure, value, ...bench.bar(50_000, 150_000) }];
  },
};
