/**
 * Whoever leads carries on what goes over many jobs: redrives (`engine/redrive.ts`) and bulk actions (`engine/bulk.ts`). It finds
 * the next jobs and proposes steps with their numbers. Nothing here has to be remembered: the records say where to go on.
 *
 * No step may hold up the claims behind it. So a step takes as many jobs as the engine gets done in a few milliseconds, which
 * is measured, and as much time as a step took is left to others before the next one, twice as much while somebody waits.
 * The steps of all sweeps go in turns.
 */
import { CorvoError, type ErrorCode } from "../base/errors.ts";
import type { Clock, Logger, Timers } from "../base/ports.ts";
import { type Bulk, namedAfter } from "../engine/bulk.ts";
import type { Change } from "../engine/change.ts";
import type { Effects } from "../engine/outcome.ts";
import type { JobFilter, JobSearch } from "../engine/query.ts";
import type { Redrive } from "../engine/redrive.ts";
import { Duty, type LeaderPart, never } from "./duty.ts";
import type { Replica } from "./replica.ts";

interface SweeperDeps {
  readonly replica: Replica;
  readonly search: Pick<JobSearch, "seqs">;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly logger: Logger;
}

/** Jobs of one step: they are one change, so they hold up everything behind them. */
const stepMax = 500;
const stepMin = 10;
/** What applying the batch of a step may take before steps become smaller. */
const applyMsMax = 5;
/** Numbers that are found at once. The search stores the state first, so a few large ones are better than many. */
const foundMax = 10_000;
const stepsPerSecond = 10;
/** Refusals of a search that no repetition changes. */
const senseless: ReadonlySet<ErrorCode> = new Set([
  "SEARCH_ERROR",
  "VALIDATION_ERROR",
  "UNSUPPORTED",
]);

interface Found {
  readonly number: number;
  seqs: readonly number[];
  /** There are none behind these. */
  readonly isAll: boolean;
}

/** What a redrive and a bulk action have in common. */
interface Sweep {
  /** Among the sweeps of this node. */
  readonly key: string;
  /** Tells it from those that had the same key before. */
  readonly number: number;
  readonly afterSeq: number;
  /** 0 means as fast as jobs are found. */
  readonly perSecond: number;
  /** No step comes before this. */
  readonly nextMs: number;
  find(): Promise<{ readonly seqs: readonly number[]; readonly isAll: boolean }>;
  step(seqs: readonly number[], isLast: boolean): Change;
  /** What ends it when its jobs cannot be found, now or later; undefined when it is tried for ever. */
  giveUp(error: CorvoError): Change | undefined;
}

export class Sweeper implements LeaderPart {
  readonly #deps: SweeperDeps;
  readonly #duty: Duty;
  /** What was found and is not in a step yet, by sweep. */
  readonly #found = new Map<string, Found>();
  /** The step after which each sweep with a rate pauses, and when it was first seen here. */
  readonly #seen = new Map<string, { number: number; afterSeq: number; atMs: number }>();
  /** Which step of all was the last one of each sweep: who waits longest comes first. */
  readonly #turns = new Map<string, number>();
  #steps = 0;
  #stepJobs = 100;
  /** No step before this, by the monotonic clock. */
  #restUntilMs = 0;

  constructor(deps: SweeperDeps) {
    this.#deps = deps;
    this.#duty = new Duty(deps, {
      failure: "a redrive or bulk action did not get on",
      look: () => this.#stepAll(),
    });
  }

  /** This node leads now: what was going on goes on. */
  lead(): void {
    this.#found.clear();
    this.#duty.lead();
  }

  onEffects(effects: Effects): void {
    if (effects.redrivesWanted || effects.bulksChanged.size > 0) this.#duty.ask();
  }

  stop(): void {
    this.#duty.stop();
  }

  /** Makes the steps whose time has come, one for each sweep; how long it is until the next one. */
  async #stepAll(): Promise<number> {
    const sweeps = this.#sweeps();
    this.#forgetOthers(sweeps);
    let waitMs = never;
    for (const sweep of sweeps) {
      const leftMs = Math.max(this.#pauseLeft(sweep), this.#restUntilMs - this.#nowMs);
      if (leftMs > 0) {
        waitMs = Math.min(waitMs, leftMs);
        continue;
      }
      if (!this.#duty.isOn) return never;
      await this.#step(sweep);
      waitMs = 0;
    }
    return waitMs === 0 ? Math.max(0, this.#restUntilMs - this.#nowMs) : waitMs;
  }

  get #nowMs(): number {
    return this.#deps.clock.monotonicMs();
  }

  #sweeps(): Sweep[] {
    const { replica } = this.#deps;
    const { state } = replica.engine;
    const found: Sweep[] = [];
    for (const [queue, redrive] of state.records("redrive").entries()) {
      if (redrive.state === "running") found.push(this.#ofRedrive(queue, redrive));
    }
    for (const [id, bulk] of state.records("bulk").entries()) {
      if (bulk.state === "running") found.push(this.#ofBulk(id, bulk));
    }
    const turnOf = ({ key }: Sweep) => this.#turns.get(key) ?? 0;
    return found.sort((one, other) => turnOf(one) - turnOf(other));
  }

  #ofRedrive(queue: string, { id, afterSeq, filter, perSecond, nextMs }: Redrive): Sweep {
    return {
      ...{ key: `redrive/${queue}`, number: id, afterSeq, perSecond, nextMs },
      find: () => this.#search(filter, afterSeq, this.#nextNumber),
      step: (seqs, isLast) => ({ kind: "stepRedrive", queue, id, afterSeq, seqs, isLast }),
      giveUp: () => undefined,
    };
  }

  #ofBulk(id: string, bulk: Bulk): Sweep {
    const { number, afterSeq, filter } = bulk;
    return {
      ...{ key: `bulk/${id}`, number, afterSeq, perSecond: 0, nextMs: 0 },
      find: async () =>
        filter === undefined
          ? { seqs: namedAfter(this.#deps.replica.engine.state, bulk), isAll: true }
          : this.#search(filter, afterSeq, number),
      step: (seqs, isLast) => ({ kind: "stepBulk", id, number, afterSeq, seqs, isLast }),
      giveUp: ({ message }) => ({ kind: "endBulk", id, number, error: message }),
    };
  }

  get #nextNumber(): number {
    return this.#deps.replica.engine.state.meta.nextNumber;
  }

  async #search(filter: JobFilter, afterSeq: number, beforeSeq: number) {
    const range = { afterSeq, beforeSeq, limit: foundMax };
    const seqs = await this.#deps.search.seqs(filter, range);
    return { seqs, isAll: seqs.length < foundMax };
  }

  #forgetOthers(sweeps: readonly Sweep[]): void {
    const known = new Set(sweeps.map(({ key }) => key));
    for (const noted of [this.#found, this.#seen, this.#turns]) {
      for (const key of noted.keys()) if (!known.has(key)) noted.delete(key);
    }
  }

  /**
   * How long until the next step. The log's time may be far ahead of a clock that was set back, so no more of it is
   * believed than the pause that the last step asks for, counted from when this node first saw that step.
   */
  #pauseLeft({ key, number, afterSeq, perSecond, nextMs }: Sweep): number {
    if (perSecond === 0) return 0;
    let seen = this.#seen.get(key);
    if (seen?.number !== number || seen.afterSeq !== afterSeq) {
      seen = { number, afterSeq, atMs: this.#nowMs };
      this.#seen.set(key, seen);
    }
    const pauseMs = (this.#stepSize(perSecond) * 1000) / perSecond;
    return Math.min(nextMs - this.#deps.clock.nowMs(), seen.atMs + pauseMs - this.#nowMs);
  }

  #stepSize(perSecond: number): number {
    if (perSecond === 0) return this.#stepJobs;
    return Math.max(1, Math.min(this.#stepJobs, Math.floor(perSecond / stepsPerSecond)));
  }

  async #step(sweep: Sweep): Promise<void> {
    this.#turns.set(sweep.key, ++this.#steps);
    const found = await this.#find(sweep);
    if (found === undefined) return;
    const count = this.#stepSize(sweep.perSecond);
    const seqs = found.seqs.slice(0, count);
    found.seqs = found.seqs.slice(count);
    const isLast = found.isAll && found.seqs.length === 0;
    try {
      await this.#submit(sweep.step(seqs, isLast), seqs.length);
    } catch (error) {
      // Whether the step was made is not known; the record will say.
      this.#found.delete(sweep.key);
      throw error;
    }
  }

  async #submit(change: Change, count: number): Promise<void> {
    const { replica } = this.#deps;
    await replica.submit(change, 256 + count * 12);
    const { applyMs } = replica;
    if (applyMs > applyMsMax) {
      this.#stepJobs = Math.max(stepMin, Math.floor((this.#stepJobs * applyMsMax) / applyMs));
    } else if (applyMs < applyMsMax / 2) {
      this.#stepJobs = Math.min(stepMax, Math.ceil(this.#stepJobs * 1.5));
    }
    this.#restUntilMs = this.#nowMs + applyMs * (replica.pendingChanges > 0 ? 2 : 1);
  }

  /** Undefined when there is no use in looking. */
  async #find(sweep: Sweep): Promise<Found | undefined> {
    const known = this.#found.get(sweep.key);
    if (known?.number === sweep.number && known.seqs.length > 0) return known;
    try {
      const found = { number: sweep.number, ...(await sweep.find()) };
      this.#found.set(sweep.key, found);
      return found;
    } catch (error) {
      const isFinal = error instanceof CorvoError && senseless.has(error.code);
      const change = isFinal ? sweep.giveUp(error) : undefined;
      if (change === undefined) throw error;
      await this.#deps.replica.submit(change);
      return undefined;
    }
  }
}
