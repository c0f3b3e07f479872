/** What can be asked about limits: what holds now, and why a job does not run. Nothing here changes an outcome. */
import type { Core } from "../core.ts";
import type { Job } from "../job.ts";
import type { BlockedKey } from "./fifo-keys.ts";
import { Gate } from "./gates.ts";
import { costOf } from "./lane.ts";
import { type LimitSetting, type LimitTarget, nameOf } from "./setting.ts";

export interface LimitStatus {
  readonly target: LimitTarget;
  /** What is in force: its own, or for a key that of each key. */
  readonly setting: LimitSetting | undefined;
  /** Units of concurrency that are out. */
  readonly used: number;
  readonly pausedUntilMs: number;
  /** When a run that needs one unit may start; Infinity when a unit has to come back first. */
  readonly opensAtMs: number;
}

/** One thing that keeps a ready job from being claimed. */
export type Stop =
  | { readonly kind: "queuePaused"; readonly queue: string }
  /** Another job of its key goes first. */
  | { readonly kind: "fifo"; readonly key: string; readonly holder: number }
  | { readonly kind: "limit"; readonly status: LimitStatus };

export class LimitView {
  readonly #core: Core;

  constructor(core: Core) {
    this.#core = core;
  }

  settings(): Iterable<LimitSetting> {
    return [...this.#core.state.records("limits").entries()].map(([, setting]) => setting);
  }

  /** Targets that are paused, whether or not anything else is set for them. */
  paused(): LimitTarget[] {
    return [...this.#core.state.records("limitStates").entries()]
      .filter(([, { pausedUntilMs }]) => pausedUntilMs > this.#core.nowMs)
      .map(([, { target }]) => target);
  }

  /** A queue, key or resource as it is now. */
  status(target: LimitTarget): LimitStatus {
    const { gates } = this.#core.lines;
    const gate = gates.find(nameOf(target)) ?? new Gate(target);
    const pausedUntilMs = gates.stateOf(gate)?.pausedUntilMs ?? 0;
    return {
      target,
      setting: gates.settingOf(gate),
      used: gates.usedOf(gate),
      pausedUntilMs: pausedUntilMs > this.#core.nowMs ? pausedUntilMs : 0,
      opensAtMs: gates.opensAtMs({ gate, slots: 1, cost: 1 }, this.#core.nowMs),
    };
  }

  /** Everything that stops a ready job; empty when it only has to wait for its turn. */
  whyStopped(job: Job): Stop[] {
    const stops: Stop[] = [];
    const { lines, state, nowMs } = this.#core;
    if (state.getQueue(job.queue)?.paused === true) {
      stops.push({ kind: "queuePaused", queue: job.queue });
    }
    const { lane } = job.options;
    const fifo = lane?.fifo === undefined ? undefined : lines.fifo.find(job.queue, lane.fifo);
    if (fifo !== undefined && fifo.shown !== job.seq) {
      const holder = this.#holderOf(job, fifo.jobs.topKey());
      stops.push({ kind: "fifo", key: fifo.key, holder });
    }
    const own = { gate: lines.gates.open("queue", job.queue), slots: 1, cost: costOf(lane) };
    for (const need of [own, ...(lane === undefined ? [] : lines.needsOf(job.queue, lane))]) {
      if (!lines.gates.isOpen(need, nowMs)) {
        const opensAtMs = lines.gates.opensAtMs(need, nowMs);
        stops.push({ kind: "limit", status: { ...this.status(need.gate.target), opensAtMs } });
      }
      lines.gates.tidy(need.gate);
    }
    return stops;
  }

  /** Active jobs that hold units of a target, at most `count`. */
  holders(target: LimitTarget, count: number): number[] {
    const found: number[] = [];
    const name = nameOf(target);
    for (const seq of this.#core.leases.values()) {
      if (found.length >= count) break;
      const job = this.#core.state.getJob(seq);
      if (job === undefined) continue;
      const needs =
        job.options.lane === undefined ? [] : this.#core.lines.needsOf(job.queue, job.options.lane);
      const isOfQueue = target.scope === "queue" && job.queue === target.queue;
      if (isOfQueue || needs.some(({ gate }) => gate.name === name)) found.push(seq);
    }
    return found;
  }

  /** Keys in which jobs wait for an older one, by name, after one that was given. */
  blockedKeys(queue: string, after: string, limit: number): BlockedKey[] {
    return this.#core.lines.fifo.blocked(queue, after, limit);
  }

  /** The job that keeps another one of its key waiting: the oldest, unless that is the job itself; then one that runs. */
  #holderOf(job: Job, oldest: number): number {
    if (oldest !== job.seq) return oldest;
    for (const seq of this.#core.leases.values()) {
      const other = this.#core.state.getJob(seq);
      if (other?.queue === job.queue && other.options.lane?.fifo === job.options.lane?.fifo) {
        return seq;
      }
    }
    return oldest;
  }
}
