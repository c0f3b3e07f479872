/**
 * What a job costs in the engine alone, without log, disk and network: nanoseconds to enqueue, claim and ack one, with no
 * limit in play and with a concurrency limit that is never reached. Median and range of rounds of 100,000 jobs.
 * Run: bun bench/claim-ack.ts
 */
import { median } from "../src/commands/bench/samples.ts";
import type { Change } from "../src/engine/change.ts";
import { Engine } from "../src/engine/engine.ts";
import { newestFeatureLevel } from "../src/engine/feature-levels.ts";
import type { Job } from "../src/engine/job.ts";
import { MemoryState } from "../src/engine/memory-state.ts";
import type { Outcome } from "../src/engine/outcome.ts";

const jobsOfRound = 100_000;
const jobsOfEnqueue = 1000;
const jobsOfClaim = 64;
const rounds = 9;
/** The first ones are the compiler's. */
const warmUps = 3;
const payload = JSON.stringify({ to: "someone@example.org", text: "x".repeat(60) });

class Bench {
  readonly #engine: Engine;
  #nowMs = Date.UTC(2030, 0, 1);
  readonly spentNs = { enqueue: 0, claim: 0, ack: 0 };

  constructor() {
    const state = new MemoryState();
    state.meta.featureLevel = newestFeatureLevel;
    this.#engine = new Engine(state);
  }

  apply(change: Change, into?: keyof Bench["spentNs"]): Outcome | undefined {
    this.#nowMs++;
    const startNs = Bun.nanoseconds();
    const [outcome] = this.#engine.apply({ nowMs: this.#nowMs, seed: 1, changes: [change] });
    this.#engine.takeEffects();
    if (into !== undefined) this.spentNs[into] += Bun.nanoseconds() - startNs;
    return outcome;
  }

  round(): void {
    for (let added = 0; added < jobsOfRound; added += jobsOfEnqueue) {
      const jobs = Array.from({ length: jobsOfEnqueue }, () => ({ queue: "mail", payload }));
      this.apply({ kind: "enqueue", jobs }, "enqueue");
    }
    for (;;) {
      const jobs = this.#claim();
      if (jobs.length === 0) return;
      const items = jobs.map(({ seq, token }) => ({ seq, token }));
      this.apply({ kind: "ack", items }, "ack");
    }
  }

  #claim(): readonly Job[] {
    const claim = { queues: ["mail"], count: jobsOfClaim, leaseMs: 60_000, workerId: "w" };
    const outcome = this.apply({ kind: "claim", ...claim }, "claim");
    return outcome?.kind === "claimed" ? outcome.jobs : [];
  }
}

function measure(name: string, prepare: (bench: Bench) => void): void {
  const costs = { enqueue: [] as number[], claim: [] as number[], ack: [] as number[] };
  const bench = new Bench();
  prepare(bench);
  for (let round = 0; round < warmUps + rounds; round++) {
    Object.assign(bench.spentNs, { enqueue: 0, claim: 0, ack: 0 });
    bench.round();
    if (round < warmUps) continue;
    for (const what of ["enqueue", "claim", "ack"] as const) {
      costs[what].push(bench.spentNs[what] / jobsOfRound);
    }
  }
  for (const [what, all] of Object.entries(costs)) {
    const [middle, least, most] = [median(all), Math.min(...all), Math.max(...all)].map(Math.round);
    console.log(`${name.padEnd(20)} ${what.padEnd(8)} ${middle} ns a job (${least} to ${most})`);
  }
}

measure("no limit", () => {});
measure("a limit not reached", (bench) => {
  const target = { scope: "queue", queue: "mail", name: "" } as const;
  bench.apply({ kind: "setLimit", target, values: { concurrency: 1000 } });
});
