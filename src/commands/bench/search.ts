/**
 * What searches cost, and what they cost others: a large number of stored jobs, the first page of every kind of filter and of
 * searches for text, and whole lives of jobs on the same server without and with searches beside them.
 *
 * The jobs wait in one queue. They differ in their number, tags and priority, and some have a unique key.
 */
import type { Client } from "../../sdk/client.ts";
import type { Bench, Lane } from "./bench-run.ts";
import { numberBase } from "./ledger.ts";
import { measureLives } from "./lifecycle.ts";
import { quantilesOf } from "./samples.ts";
import type { Figure, Scenario } from "./scenario.ts";

const tenants = 10_000;
const ms = { unit: "ms", better: "lower" } as const;

/** What is searched for, with the bar for its slowest page in milliseconds. */
function questionsOf(lane: Lane, jobs: number): readonly (readonly [string, string, number])[] {
  const middle = numberBase + Math.floor(jobs / 2);
  const { queue } = lane;
  return [
    ["all", "", 100],
    ["queue", `queue:${queue}`, 100],
    ["state", "state:dead,pending", 100],
    ["queue and state", `queue:${queue} state:pending`, 100],
    ["unique key", `unique:u${Math.floor(jobs / 200) * 100}`, 100],
    ["batch", "batch:batch_1", 100],
    ["parent", "parent:job_1", 100],
    ["worker", "worker:bench", 100],
    ["created", "created<1h", 100],
    ["by start", "sort:started", 100],
    ["by end", `queue:${queue} sort:completed`, 100],
    ["tag", "tag.tenant:t77", 1000],
    ["member of the payload", `payload.n=${middle}`, 1000],
    ["word, rare", `${middle}`, 1000],
    ["word, nowhere", "nowhere-to-be-found", 1000],
    ["word, everywhere", "abcdefghij", 1000],
    ["words and a condition", "t4711 priority:2", 1000],
  ];
}

/** Words of tags and such, so that jobs can be told apart by more than their number. */
function optionsOf(number: number): string {
  const unique = number % 100 === 0 ? `,"unique_key":"u${number}"` : "";
  return `,"priority":${number % 10},"tags":{"tenant":"t${number % tenants}","env":"${number % 2 === 0 ? "prod" : "stage"}"}${unique}`;
}

async function firstPages(bench: Bench, lane: Lane): Promise<Figure[]> {
  const jobs = bench.setting("jobs");
  const isFull = jobs === 10_000_000;
  const figures: Figure[] = [];
  for (const [name, q, goalMs] of questionsOf(lane, jobs)) {
    const times: number[] = [];
    for (let sample = 0; sample < bench.setting("samples"); sample++) {
      const startMs = bench.nowMs();
      await bench.client.listJobs({ query: { q, limit: 50 } });
      times.push(bench.nowMs() - startMs);
    }
    const { p50, max } = quantilesOf(times);
    figures.push({ name: `${name} p50`, ...ms, value: p50 });
    figures.push({
      name: `${name} max`,
      ...ms,
      value: max,
      ...(isFull ? bench.goal(goalMs, goalMs / 10) : {}),
    });
  }
  return figures;
}

/** How long the index of texts takes to come to everything, the machine being idle. */
async function catchUp(bench: Bench): Promise<Figure[]> {
  const startMs = bench.nowMs();
  for (;;) {
    // A search stores the state, which is what the index goes by.
    await bench.client.listJobs({ query: { limit: 1 } });
    const { text_index: texts } = await bench.client.status({});
    if (texts === undefined) {
      bench.note("the server keeps no index of texts");
      return [];
    }
    if (texts.behind === 0) {
      const bytes = texts.bytes / bench.setting("jobs");
      return [
        {
          name: "index up to date after",
          unit: "s",
          better: "lower",
          value: (bench.nowMs() - startMs) / 1000,
        },
        { name: "index, bytes a job", unit: "B", better: "lower", value: bytes },
      ];
    }
    const done = 1 - texts.behind / bench.setting("jobs");
    bench.deps.progress(Math.max(0, done), "the index of texts takes the jobs in");
    await Bun.sleep(500);
  }
}

/** Asks one question after the other until told to stop. */
async function askAll(client: Client, questions: readonly string[], isOver: () => boolean) {
  let asked = 0;
  while (!isOver()) {
    await client.listJobs({ query: { q: questions[asked % questions.length] ?? "", limit: 50 } });
    asked++;
  }
  return asked;
}

export const search: Scenario = {
  summary: "First pages of filters and texts among many jobs; lives of jobs beside searches",
  settings: {
    jobs: 1_000_000,
    samples: 10,
    durationMs: 15_000,
    warmupMs: 2000,
    connections: 8,
    batch: 50,
    frames: 1,
    payloadBytes: 100,
    keys: 0,
    groups: 0,
  },
  tour: { jobs: 100_000, samples: 5, durationMs: 5000, warmupMs: 1000 },
  async run(bench) {
    const jobs = bench.setting("jobs");
    const lane = bench.lane("stored", optionsOf);
    await bench.fill(lane, jobs, "storing jobs");
    const index = await catchUp(bench);
    const pages = await firstPages(bench, lane);
    const alone = await measureLives(bench, "alone");
    let isOver = false;
    const questions = questionsOf(lane, jobs).map(([, q]) => q);
    const asking = askAll(bench.client, questions, () => isOver);
    let beside: number;
    try {
      beside = await measureLives(bench, "beside");
    } finally {
      isOver = true;
    }
    const asked = await asking;
    const lives = { unit: "jobs/s", better: "higher" } as const;
    return [
      ...index,
      ...pages,
      { name: "lives", ...lives, value: alone },
      { name: "lives beside searches", ...lives, value: beside },
      {
        name: "searches beside lives",
        unit: "/s",
        better: "higher",
        value: (asked * 1000) / bench.setting("durationMs"),
      },
      {
        name: "share of lives that is left",
        unit: "x",
        better: "higher",
        value: beside / alone,
        ...bench.goal(0.8, 0.95),
      },
    ];
  },
};
