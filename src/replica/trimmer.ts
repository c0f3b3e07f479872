/**
 * Whoever leads keeps the finished jobs of each queue within their bytes (`engine/trim.ts`): it finds the oldest and proposes
 * their removal, until what is left fits.
 */
import type { Logger, Timers } from "../base/ports.ts";
import type { Effects } from "../engine/outcome.ts";
import type { JobSearch } from "../engine/query.ts";
import { finishedBytes } from "../engine/values.ts";
import { Duty, type LeaderPart, never } from "./duty.ts";
import type { Replica } from "./replica.ts";

interface TrimmerDeps {
  readonly replica: Replica;
  readonly search: Pick<JobSearch, "seqs">;
  readonly timers: Timers;
  readonly logger: Logger;
}

/** Jobs of one step: they are one change, so they hold up everything behind them. */
const stepMax = 500;
/** A search stores the state first, so a queue that is full all the time is not trimmed job by job. */
const pauseMs = 1000;

export class Trimmer implements LeaderPart {
  readonly #deps: TrimmerDeps;
  readonly #duty: Duty;
  /** No look before this is worth it: the last one was just now. */
  #isPausing = false;
  #isAskedFor = false;
  #cancelPause: (() => void) | undefined;

  constructor(deps: TrimmerDeps) {
    this.#deps = deps;
    this.#duty = new Duty(deps, {
      failure: "finished jobs could not be trimmed",
      look: () => this.#trimAll(),
    });
  }

  lead(): void {
    this.#duty.lead();
  }

  onEffects(effects: Effects): void {
    if (!effects.trimsWanted) return;
    if (this.#isPausing) this.#isAskedFor = true;
    else this.#duty.ask();
  }

  stop(): void {
    this.#cancelPause?.();
    this.#duty.stop();
  }

  async #trimAll(): Promise<number> {
    const { state } = this.#deps.replica.engine;
    for (const [queue, { keepBytes }] of [...state.records("queueSettings").entries()]) {
      if (keepBytes === undefined) continue;
      while (this.#duty.isOn && this.#excessOf(queue, keepBytes) > 0) {
        if (!(await this.#step(queue))) break;
      }
    }
    this.#pause();
    return never;
  }

  /** A job that ended during the pause is looked for at its end. */
  #pause(): void {
    this.#isPausing = true;
    this.#isAskedFor = false;
    this.#cancelPause = this.#deps.timers.after(pauseMs, () => {
      this.#isPausing = false;
      if (this.#isAskedFor) this.#duty.ask();
    });
  }

  #excessOf(queue: string, keepBytes: number): number {
    const record = this.#deps.replica.engine.state.getQueue(queue);
    return record === undefined ? 0 : finishedBytes(record) - keepBytes;
  }

  /** False when nothing was found to remove. */
  async #step(queue: string): Promise<boolean> {
    const { replica, search } = this.#deps;
    const beforeSeq = replica.engine.state.meta.nextNumber;
    const seqs = await search.seqs(
      { queue, states: ["completed", "cancelled", "dead"] },
      { afterSeq: 0, beforeSeq, limit: stepMax },
    );
    if (seqs.length === 0) return false;
    const outcome = await replica.submit(
      { kind: "trimQueue", queue, seqs },
      128 + seqs.length * 12,
    );
    return outcome.kind === "cleared" && outcome.deleted > 0;
  }
}
