/**
 * Many seeds, several at a time, each in one of a few processes. Seeds go out in ascending order, one at a time, and no
 * more of them once one has failed or someone has had enough; those that are out still come in, so the failure that is
 * reported is the one with the smallest seed whatever the processes' speed. A process that ends, or needs far too long,
 * is the failure of its seed.
 */
import type { Subprocess } from "bun";
import type { FaultKind } from "./nemesis.ts";
import { Simulation, type SimulationOptions, type SimulationResult } from "./simulation.ts";

export interface CampaignOptions {
  readonly from: number;
  readonly seeds: number;
  readonly steps: number;
  /** Three to five, by the seed, when absent. */
  readonly nodes: number | undefined;
  /** Chosen by each seed when absent. */
  readonly faults?: readonly FaultKind[] | undefined;
  readonly jobs: number;
}

export interface Failure {
  readonly seed: number;
  /** Undefined when the process did not live to tell. */
  readonly result: SimulationResult | undefined;
  readonly says: string;
}

/** Seconds are needed at most, for the seeds with the most nodes on the slowest machine. */
const seedMsMax = 300_000;

/** All processors are at work already: a collector beside the run only costs, a sixth of the time. */
const frugal = { BUN_JSC_useConcurrentGC: "0", BUN_JSC_numberOfGCMarkers: "1" };

export class Campaign {
  readonly #options: CampaignOptions;
  readonly #running = new Map<number, { since: number; kill: () => void }>();
  readonly #totals: Record<string, number> = {};
  readonly #failures: Failure[] = [];
  #next: number;
  #done = 0;
  #isStopped = false;

  constructor(options: CampaignOptions) {
    this.#options = options;
    this.#next = options.from;
  }

  get done(): number {
    return this.#done;
  }

  get totals(): Readonly<Record<string, number>> {
    return this.#totals;
  }

  get failures(): number {
    return this.#failures.length;
  }

  /** With the smallest seed. */
  get failure(): Failure | undefined {
    return this.#failures.toSorted((one, other) => one.seed - other.seed)[0];
  }

  /** Every seed before this one was run. */
  get next(): number {
    return Math.min(this.#next, ...this.#running.keys());
  }

  /** Resolves when all seeds are done, one has failed, or it was stopped. */
  async run(): Promise<void> {
    const watch = setInterval(() => this.#killHanging(), 1000);
    try {
      const jobs = Math.min(this.#options.jobs, this.#options.seeds);
      await Promise.all(Array.from({ length: jobs }, () => this.#runProcess()));
    } finally {
      clearInterval(watch);
    }
  }

  /** Seeds that are under way are given up. */
  stop(): void {
    this.#isStopped = true;
    for (const { kill } of this.#running.values()) kill();
  }

  /** One process after the other takes seeds until there are none. */
  #runProcess(): Promise<void> {
    const first = this.#takeSeed();
    if (first === undefined) return Promise.resolve();
    return new Promise((resolve) => {
      let seed = first;
      let isOver = false;
      const child = Bun.spawn([process.execPath, `${import.meta.dir}/campaign-process.ts`], {
        stdio: ["ignore", "inherit", "inherit"],
        env: { ...process.env, ...frugal },
        ipc: (message) => {
          this.#note(message as SimulationResult);
          const next = this.#takeSeed();
          if (next === undefined) {
            isOver = true;
            child.kill();
          } else {
            seed = next;
            this.#give(child, seed);
          }
        },
        onExit: (_, exitCode, signalCode) => {
          if (!isOver && !this.#isStopped) {
            const says = `seed ${seed}: its process ended with ${signalCode ?? exitCode}`;
            this.#running.delete(seed);
            this.#done++;
            this.#failures.push({ seed, result: undefined, says });
          }
          resolve();
        },
      });
      this.#give(child, seed);
    });
  }

  #takeSeed(): number | undefined {
    const { from, seeds } = this.#options;
    const isOver = this.#isStopped || this.#failures.length > 0 || this.#next >= from + seeds;
    return isOver ? undefined : this.#next++;
  }

  #give(child: Subprocess, seed: number): void {
    this.#running.set(seed, { since: performance.now(), kill: () => child.kill("SIGKILL") });
    child.send(optionsOf(seed, this.#options));
  }

  #note(result: SimulationResult): void {
    const { seed } = result.options;
    this.#running.delete(seed);
    this.#done++;
    addTo(this.#totals, result);
    if (result.problem !== undefined) {
      this.#failures.push({ seed, result, says: result.problem });
    }
  }

  #killHanging(): void {
    const nowMs = performance.now();
    for (const { since, kill } of this.#running.values()) if (nowMs - since > seedMsMax) kill();
  }
}

export function optionsOf(
  seed: number,
  { steps, nodes, faults }: Pick<CampaignOptions, "steps" | "nodes" | "faults">,
): SimulationOptions {
  return { seed, steps, nodes: nodes ?? 3 + (seed % 3), ...(faults !== undefined && { faults }) };
}

/** One run in this process. */
export function runHere(options: SimulationOptions): SimulationResult {
  return new Simulation(options).run();
}

export function addTo(totals: Record<string, number>, result: SimulationResult): void {
  const { counts, events, entries, virtualMs } = result;
  const more = { ...counts, events, entries, "virtual seconds": Math.round(virtualMs / 1000) };
  for (const [name, n] of Object.entries(more)) totals[name] = (totals[name] ?? 0) + n;
}
