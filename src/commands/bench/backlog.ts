/**
 * What a backlog costs: a claim, memory, lists, and the way back after a crash.
 *
 * A claim is measured by rounds that are the same at both sizes: add a thousand jobs, then claim and ack a thousand. Only the
 * second half of a round is timed. Claims take the oldest jobs, so at the large size they are jobs that the server has
 * long put out of its memory.
 */
import type { Bench, Lane } from "./bench-run.ts";
import { memoryBytes } from "./process-stats.ts";
import { quantilesOf } from "./samples.ts";
import { type Figure, rate, type Scenario } from "./scenario.ts";

const smallBacklog = 1000;
const roundJobs = 1000;
const warmupRounds = 10;
const readSamples = 20;
const megabyte = 1_000_000;

export const backlog: Scenario = {
  summary: "A large backlog: claims beside a small one, memory, lists, restart after kill -9",
  settings: { backlog: 1_000_000, samples: 50, connections: 4, payloadBytes: 100 },
  tour: { backlog: 200_000, samples: 20 },
  needsOwnServer: true,
  async run(bench) {
    const size = bench.setting("backlog");
    const isFull = size === 10_000_000;
    const small = bench.lane("small");
    await bench.fill(small, smallBacklog, "filling the small backlog");
    const smallRate = await claimRate(bench, small, "small backlog");
    const large = bench.lane("large");
    const before = memoryBytes(bench.own.pid);
    await bench.fill(large, size, "filling the large backlog");
    const filled = memoryBytes(bench.own.pid);
    const largeRate = await claimRate(bench, large, "large backlog");
    const reads = await readTimes(bench, large);
    const restartMs = await bench.crash();
    const afterRate = await claimRate(bench, large, "large backlog after the restart");
    const jobs = { unit: "jobs/s", better: "higher" } as const;
    const memory = { unit: "MB", better: "lower" } as const;
    return [
      { name: `claim+ack at ${smallBacklog}`, ...jobs, value: smallRate },
      { name: `claim+ack at ${size}`, ...jobs, value: largeRate },
      {
        name: "cost ratio",
        unit: "x",
        better: "lower",
        value: smallRate / largeRate,
        ...(isFull ? bench.goal(1.3, 1.1) : {}),
      },
      ...(before === undefined || filled === undefined
        ? []
        : [
            { name: "server memory, small", ...memory, value: before.now / megabyte },
            {
              name: "server memory, large",
              ...memory,
              value: filled.now / megabyte,
              ...(isFull ? bench.goal(1000, 600) : {}),
            },
            { name: "server memory, peak", ...memory, value: filled.peak / megabyte },
          ]),
      ...reads,
      {
        name: "restart after kill -9",
        unit: "s",
        better: "lower",
        value: restartMs / 1000,
        ...(size === 1_000_000 ? bench.goal(3, 1) : {}),
      },
      { name: "claim+ack after it", ...jobs, value: afterRate },
    ];
  },
};

/** Jobs claimed and acked per second, over the timed halves of the rounds. */
async function claimRate(bench: Bench, lane: Lane, text: string): Promise<number> {
  const { ledger } = lane;
  const rounds = bench.setting("samples");
  const budget = { left: 0 };
  const load = await bench.load(lane, {
    connections: bench.setting("connections"),
    framesMax: 1,
    consume: { window: 100, ackMax: 100, budget },
  });
  let spentMs = 0;
  try {
    for (let round = -warmupRounds; round < rounds; round++) {
      await bench.fill(lane, roundJobs, text);
      const goal = ledger.acked + roundJobs;
      const isMeasured = round >= 0;
      const span = isMeasured ? bench.span() : undefined;
      budget.left += roundJobs;
      load.pump();
      await bench.until(load, ledger, () => ledger.acked >= goal && load.isIdle);
      spentMs += span?.end(roundJobs) ?? 0;
      bench.deps.progress((round + warmupRounds) / (rounds + warmupRounds), text);
    }
    return rate(rounds * roundJobs, spentMs);
  } finally {
    load.close();
  }
}

async function readTimes(bench: Bench, lane: Lane): Promise<Figure[]> {
  const { client } = bench;
  const time = async (name: string, read: () => Promise<unknown>): Promise<Figure[]> => {
    const times: number[] = [];
    for (let i = 0; i < readSamples; i++) {
      const startMs = bench.nowMs();
      await read();
      times.push(bench.nowMs() - startMs);
    }
    const { p50, max } = quantilesOf(times);
    const ms = { unit: "ms", better: "lower" } as const;
    return [
      { name: `${name} p50`, ...ms, value: p50 },
      { name: `${name} max`, ...ms, value: max },
    ];
  };
  const { queue } = lane;
  return [
    ...(await time("jobs list", () => client.searchJobs({ body: { queue, limit: 50 } }))),
    ...(await time("status", () => client.status({}))),
  ];
}

export const restart: Scenario = {
  summary: "kill -9 with many live jobs, then the time until the server serves again",
  settings: { jobs: 1_000_000, payloadBytes: 100 },
  tour: { jobs: 200_000 },
  needsOwnServer: true,
  async run(bench) {
    const lane = bench.lane("restart");
    await bench.fill(lane, bench.setting("jobs"), "enqueueing");
    const value = (await bench.crash()) / 1000;
    return [{ name: "kill -9 to serving", unit: "s", better: "lower", value, ...bench.bar(3, 1) }];
  },
};
