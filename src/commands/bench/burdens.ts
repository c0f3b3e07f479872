/**
 * What a server may have to carry besides the work that is measured: other people's backlogs, thousands of queues, schedules,
 * jobs that come due. A burden is put on the server of a run before the run begins; the run's figures are then compared with
 * those of a run without it.
 */
import { formatTime } from "../../base/time.ts";
import type { Client } from "../../sdk/client.ts";

export interface Burden {
  readonly summary: string;
  /** How much, unless the flag says otherwise. */
  readonly count: number;
  put(put: BurdenPut): Promise<void>;
}

export interface BurdenPut {
  readonly client: Client;
  readonly count: number;
  readonly nowMs: number;
  readonly progress: (share: number) => void;
}

type NewJobs = Parameters<Client["enqueueJobs"]>[0]["body"]["jobs"];

const batchJobs = 1000;
/** Calls under way at once. */
const callsMax = 4;

/** Jobs of the burden `of(0)`, `of(1)`, …, in batches. */
async function enqueueAll(put: BurdenPut, of: (n: number) => NewJobs[number]): Promise<void> {
  const { client, count } = put;
  await inTurns(Math.ceil(count / batchJobs), async (batch) => {
    const first = batch * batchJobs;
    const length = Math.min(batchJobs, count - first);
    const jobs = Array.from({ length }, (_, i) => of(first + i));
    await client.enqueueJobs({ body: { jobs } });
    put.progress((first + length) / count);
  });
}

async function inTurns(count: number, step: (n: number) => Promise<void>): Promise<void> {
  let next = 0;
  const one = async () => {
    for (let n = next++; n < count; n = next++) await step(n);
  };
  await Promise.all(Array.from({ length: callsMax }, one));
}

const groupJobs = 10;
const dueWithinMs = 600_000;

export const burdens: Readonly<Record<string, Burden>> = {
  foreign: {
    summary: "jobs that wait in ten other queues",
    count: 1_000_000,
    put: (put) => enqueueAll(put, (n) => ({ queue: `burden-${n % 10}` })),
  },
  queues: {
    summary: "queues with one waiting job each",
    count: 50_000,
    put: (put) => enqueueAll(put, (n) => ({ queue: `burden-${n}` })),
  },
  due: {
    summary: "jobs that come due evenly over the next ten minutes",
    count: 1_000_000,
    put: (put) =>
      enqueueAll(put, (n) => ({
        queue: "burden-due",
        scheduled_at: formatTime(put.nowMs + Math.floor(((n + 1) / put.count) * dueWithinMs)),
      })),
  },
  "limit-keys": {
    summary: "limit keys with a waiting job each, under a rate for each key",
    count: 100_000,
    async put(put) {
      const params = { name: "burden-keys" };
      const body = { each_key: true, concurrency: 1, rate: { count: 1, window: "1h" } };
      await put.client.setLimit({ params, body });
      await enqueueAll(put, (n) => ({ queue: "burden-keys", limit_key: `k${n}` }));
    },
  },
  groups: {
    summary: "groups with ten waiting jobs each, which take turns",
    count: 10_000,
    put: (put) =>
      enqueueAll({ ...put, count: put.count * groupJobs }, (n) => ({
        queue: "burden-groups",
        group: `g${n % put.count}`,
      })),
  },
  schedules: {
    summary: "schedules, each of which adds a job once a minute",
    count: 10_000,
    put: (put) =>
      inTurns(put.count, async (n) => {
        const job = { queue: `burden-schedules-${n % 100}` };
        // Spread over the minute, as those of many users would be.
        const start = formatTime(put.nowMs + 5000 + (n % 60) * 1000);
        const body = { job, every: "1m", start, overlap: "skip" as const };
        await put.client.setSchedule({ params: { name: `burden-${n}` }, body });
        put.progress((n + 1) / put.count);
      }),
  },
};
