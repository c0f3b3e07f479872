/**
 * Whoever leads carries redrives on (`engine/redrive.ts`): it finds the next dead jobs and proposes steps with them, not
 * faster than was asked for. Nothing here has to be remembered: the record says where to go on.
 */
import type { Clock, Logger, Timers } from "../base/ports.ts";
import type { Effects } from "../engine/outcome.ts";
import type { JobSearch } from "../engine/query.ts";
import type { Redrive } from "../engine/redrive.ts";
import { Duty, type LeaderPart, never } from "./duty.ts";
import type { Replica } from "./replica.ts";

interface RedriverDeps {
  readonly replica: Replica;
  readonly search: Pick<JobSearch, "seqs">;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly logger: Logger;
}

/** Jobs of one step: they are one change, so they hold up everything behind them. */
const stepMax = 500;
/** Numbers that are found at once; a slow redrive makes many steps of them. */
const foundMax = 1000;
const stepsPerSecond = 10;

interface Found {
  readonly id: number;
  seqs: readonly number[];
  /** There are none behind these. */
  readonly isAll: boolean;
}

export class Redriver implements LeaderPart {
  readonly #deps: RedriverDeps;
  readonly #duty: Duty;
  /** What was found and is not in a step yet, by queue. */
  readonly #found = new Map<string, Found>();
  /** The step after which each redrive pauses, and when it was first seen here. */
  readonly #seen = new Map<string, { id: number; afterSeq: number; atMs: number }>();

  constructor(deps: RedriverDeps) {
    this.#deps = deps;
    this.#duty = new Duty(deps, {
      failure: "dead jobs could not be redriven",
      look: () => this.#stepAll(),
    });
  }

  /** This node leads now: what was going on goes on. */
  lead(): void {
    this.#found.clear();
    this.#duty.lead();
  }

  onEffects(effects: Effects): void {
    if (effects.redrivesWanted) this.#duty.ask();
  }

  stop(): void {
    this.#duty.stop();
  }

  get #redrives() {
    return this.#deps.replica.engine.state.records("redrive");
  }

  /** Makes the steps whose time has come; how long it is until the next one, Infinity when nothing is left. */
  async #stepAll(): Promise<number> {
    for (;;) {
      let waitMs = never;
      let stepped = false;
      for (const [queue, redrive] of [...this.#redrives.entries()]) {
        if (redrive.state !== "running") continue;
        if (!this.#duty.isOn) return never;
        const leftMs = this.#pauseLeft(queue, redrive);
        if (leftMs > 0) waitMs = Math.min(waitMs, leftMs);
        else {
          await this.#step(queue, redrive);
          stepped = true;
        }
      }
      if (!stepped) return waitMs;
    }
  }

  /**
   * How long until the next step. The log's time may be far ahead of a clock that was set back, so no more of it is
   * believed than the pause that the last step asks for, counted from when this node first saw that step.
   */
  #pauseLeft(queue: string, redrive: Redrive): number {
    const { clock } = this.#deps;
    const { id, afterSeq, nextMs } = redrive;
    const nowMs = clock.monotonicMs();
    let seen = this.#seen.get(queue);
    if (seen?.id !== id || seen.afterSeq !== afterSeq) {
      seen = { id, afterSeq, atMs: nowMs };
      this.#seen.set(queue, seen);
    }
    return Math.min(nextMs - clock.nowMs(), seen.atMs + pauseMs(redrive) - nowMs);
  }

  async #step(queue: string, redrive: Redrive): Promise<void> {
    const found = await this.#find(queue, redrive);
    const count = stepSize(redrive);
    const seqs = found.seqs.slice(0, count);
    found.seqs = found.seqs.slice(count);
    const isLast = found.isAll && found.seqs.length === 0;
    if (isLast) {
      this.#found.delete(queue);
      this.#seen.delete(queue);
    }
    const { id, afterSeq } = redrive;
    const bytes = 128 + seqs.length * 12;
    try {
      await this.#deps.replica.submit(
        { kind: "stepRedrive", queue, id, afterSeq, seqs, isLast },
        bytes,
      );
    } catch (error) {
      // Whether the step was made is not known; the record will say.
      this.#found.delete(queue);
      throw error;
    }
  }

  async #find(queue: string, { id, filter, afterSeq }: Redrive): Promise<Found> {
    const known = this.#found.get(queue);
    if (known?.id === id && known.seqs.length > 0) return known;
    const beforeSeq = this.#deps.replica.engine.state.meta.nextNumber;
    const range = { afterSeq, beforeSeq, limit: foundMax };
    const seqs = await this.#deps.search.seqs(filter, range);
    const found = { id, seqs, isAll: seqs.length < foundMax };
    this.#found.set(queue, found);
    return found;
  }
}

function stepSize({ perSecond }: Redrive): number {
  if (perSecond === 0) return stepMax;
  return Math.max(1, Math.min(stepMax, Math.floor(perSecond / stepsPerSecond)));
}

function pauseMs(redrive: Redrive): number {
  return redrive.perSecond === 0 ? 0 : (stepSize(redrive) * 1000) / redrive.perSecond;
}
