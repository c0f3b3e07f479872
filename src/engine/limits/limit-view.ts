/** What can be asked about limits: what is set, and what holds now. Nothing here changes an outcome. */
import type { Core } from "../core.ts";
import type { BlockedKey } from "./fifo-keys.ts";
import { Gate } from "./gates.ts";
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

export class LimitView {
  readonly #core: Core;

  constructor(core: Core) {
    this.#core = core;
  }

  settings(): Iterable<LimitSetting> {
    return [...this.#core.state.records("limits").entries()].map(([, setting]) => setting);
  }

  /** Targets that are paused, whether or not anything else is set for them. */
  paused(nowMs: number): LimitTarget[] {
    return [...this.#core.state.records("limitStates").entries()]
      .filter(([, { pausedUntilMs }]) => pausedUntilMs > nowMs)
      .map(([, { target }]) => target);
  }

  /** A queue, key or resource as it is at a time, not before that of the engine. */
  status(target: LimitTarget, nowMs: number): LimitStatus {
    const { gates } = this.#core.lines;
    const gate = gates.find(nameOf(target)) ?? new Gate(target);
    const pausedUntilMs = gates.stateOf(gate)?.pausedUntilMs ?? 0;
    return {
      target,
      setting: gates.settingOf(gate),
      used: gates.usedOf(gate),
      pausedUntilMs: pausedUntilMs > nowMs ? pausedUntilMs : 0,
      opensAtMs: gates.opensAtMs({ gate, slots: 1, cost: 1 }, nowMs),
    };
  }

  /** Units of keys and resources that are out, by the name of what they are of. */
  unitsOut(): Map<string, number> {
    const out = new Map<string, number>();
    for (const { name, used } of this.#core.lines.gates.all()) if (used !== 0) out.set(name, used);
    return out;
  }

  /** Keys in which jobs wait for an older one, by name, after one that was given. */
  blockedKeys(queue: string, after: string, limit: number): BlockedKey[] {
    return this.#core.lines.fifo.blocked(queue, after, limit);
  }
}
