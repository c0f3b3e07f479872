/**
 * The gates that runs have to pass: one for each limited queue, one for each limit key and resource that some job names.
 * Whether a gate is open for a need depends on nothing but its setting, its record, the active jobs and the time.
 *
 * What is out is counted from the active jobs themselves, so a unit is given back exactly once, however a lease ends.
 * What was spent of a rate, and pauses, are records; those that are back at rest are forgotten, two for each one that is
 * written, in the order in which they came to rest.
 */

import { type HeapItem, IndexedHeap } from "../indexed-heap.ts";
import { engineLimits } from "../limits.ts";
import type { State } from "../state.ts";
import { freeUnits, rateOpensAtMs, rateRestMs, spend } from "./rate.ts";
import {
  type LimitScope,
  type LimitSetting,
  type LimitState,
  type LimitTarget,
  limitName,
  nameOf,
} from "./setting.ts";

/** What one run needs of a gate. */
export interface Need {
  readonly gate: Gate;
  /** Units of concurrency. */
  readonly slots: number;
  /** Units of the rate. */
  readonly cost: number;
}

/** Why a gate is shut for a need. */
export type Shut =
  /** So many units are out that it does not fit. */
  { readonly kind: "full" } | { readonly kind: "paused" | "rate"; readonly untilMs: number };

export class Gate {
  readonly target: LimitTarget;
  readonly name: string;
  /** Units out; for a queue its record counts them. */
  used = 0;
  /** The active jobs that hold them; nothing is decided by this. Not kept for a queue. */
  holders: Set<number> | undefined;
  /** Lanes that name it. */
  users = 0;
  /** Bumped by every change of a setting; what follows is as of then. */
  revision = -1;
  setting: LimitSetting | undefined;

  constructor(target: LimitTarget) {
    this.target = target;
    this.name = nameOf(target);
  }
}

interface Resting extends HeapItem {
  readonly name: string;
  restMs: number;
}

export class Gates {
  readonly #state: State;
  readonly #gates = new Map<string, Gate>();
  readonly #resting = new Map<string, Resting>();
  readonly #rest = new IndexedHeap<Resting>(
    (one, other) =>
      one.restMs < other.restMs || (one.restMs === other.restMs && one.name < other.name),
  );
  #revision = 0;

  constructor(state: State) {
    this.#state = state;
    for (const [name, { restMs }] of state.records("limitStates").entries()) {
      this.#noteRest(name, restMs);
    }
  }

  /** The gate of a target, made when it is asked for first. */
  open(scope: LimitScope, queue: string, name = ""): Gate {
    const gateName = limitName(scope, queue, name);
    let gate = this.#gates.get(gateName);
    if (gate === undefined) {
      gate = new Gate({ scope, queue, name });
      this.#gates.set(gateName, gate);
    }
    return gate;
  }

  find(name: string): Gate | undefined {
    return this.#gates.get(name);
  }

  /** Forgets a gate that nothing names any more. */
  tidy(gate: Gate): void {
    if (gate.users === 0 && gate.used === 0) this.#gates.delete(gate.name);
  }

  /** A setting changed: every gate looks its own up again. */
  settingsChanged(): void {
    this.#revision++;
  }

  all(): Iterable<Gate> {
    return this.#gates.values();
  }

  settingOf(gate: Gate): LimitSetting | undefined {
    if (gate.revision === this.#revision) return gate.setting;
    const settings = this.#state.records("limits");
    gate.revision = this.#revision;
    gate.setting =
      settings.get(gate.name) ??
      (gate.target.scope === "key"
        ? settings.get(limitName("eachKey", gate.target.queue))
        : undefined);
    return gate.setting;
  }

  usedOf(gate: Gate): number {
    if (gate.target.scope !== "queue") return gate.used;
    return this.#state.getQueue(gate.target.queue)?.counts.active ?? 0;
  }

  isOpen(need: Need, nowMs: number): boolean {
    return this.opensAtMs(need, nowMs) <= nowMs;
  }

  /** When time alone opens the gate, not before `nowMs`; Infinity when it takes more than time. */
  opensAtMs(need: Need, nowMs: number): number {
    const { gate, slots } = need;
    const setting = this.settingOf(gate);
    const max = setting?.concurrency;
    // A need above the whole is met by the whole.
    if (max !== undefined && this.usedOf(gate) + Math.min(slots, max) > max) {
      return Number.POSITIVE_INFINITY;
    }
    const state = this.#state.records("limitStates").get(gate.name);
    const untilMs = Math.max(nowMs, state?.pausedUntilMs ?? 0);
    return Math.max(untilMs, this.#rateOpensAtMs(need, state, nowMs));
  }

  /** Everything for which the gate is shut; empty exactly when it is open. */
  shutBy(need: Need, nowMs: number): Shut[] {
    const { gate, slots } = need;
    const shut: Shut[] = [];
    const max = this.settingOf(gate)?.concurrency;
    if (max !== undefined && this.usedOf(gate) + Math.min(slots, max) > max) {
      shut.push({ kind: "full" });
    }
    const state = this.#state.records("limitStates").get(gate.name);
    const pausedUntilMs = state?.pausedUntilMs ?? 0;
    if (pausedUntilMs > nowMs) shut.push({ kind: "paused", untilMs: pausedUntilMs });
    const rateOpensMs = this.#rateOpensAtMs(need, state, nowMs);
    if (rateOpensMs > nowMs) shut.push({ kind: "rate", untilMs: rateOpensMs });
    return shut;
  }

  /** How many runs that need one unit each it lets through now. */
  roomOf(gate: Gate, nowMs: number): number {
    const setting = this.settingOf(gate);
    const state = this.#state.records("limitStates").get(gate.name);
    if (state !== undefined && state.pausedUntilMs > nowMs) return 0;
    const max = setting?.concurrency ?? Number.POSITIVE_INFINITY;
    const slots = max - this.usedOf(gate);
    const rate = setting?.rate;
    if (rate === undefined) return Math.max(0, slots);
    if (state === undefined && this.#isFull()) return 0;
    const spent = state?.revision === setting?.revision ? state?.spent : undefined;
    return Math.max(0, Math.min(slots, freeUnits(rate, spent, nowMs)));
  }

  /** Spends a rate, where there is one. */
  spend({ gate, cost }: Need, nowMs: number): void {
    const setting = this.settingOf(gate);
    if (setting?.rate === undefined) return;
    const old = this.#state.records("limitStates").get(gate.name);
    const before = old?.revision === setting.revision ? old.spent : undefined;
    const spent = spend(setting.rate, before, cost, nowMs);
    const pausedUntilMs = old?.pausedUntilMs ?? 0;
    if (old === undefined) this.forget(2, nowMs);
    const restMs = Math.max(pausedUntilMs, rateRestMs(setting.rate, spent));
    this.#put({ target: gate.target, revision: setting.revision, spent, pausedUntilMs, restMs });
  }

  /** Pauses a target until a time; 0 ends a pause. False when there are too many instances. */
  pause(target: LimitTarget, untilMs: number, nowMs: number): boolean {
    const states = this.#state.records("limitStates");
    const name = nameOf(target);
    const old = states.get(name);
    if (old === undefined) {
      if (untilMs <= nowMs) return true;
      this.forget(2, nowMs);
      if (this.#isFull()) return false;
      this.#put({ target, revision: 0, pausedUntilMs: untilMs, restMs: untilMs });
      return true;
    }
    const restMs = Math.max(old.spent === undefined ? 0 : old.restMs, untilMs);
    this.#put({ ...old, pausedUntilMs: untilMs, restMs });
    return true;
  }

  /** Forgets what the instances of a queue remember. */
  forgetQueue(queue: string): void {
    const states = this.#state.records("limitStates");
    for (const [name, { target }] of [...states.entries()]) {
      if (target.queue === queue) this.#forget(name);
    }
  }

  stateOf(gate: Gate): LimitState | undefined {
    return this.#state.records("limitStates").get(gate.name);
  }

  /** Forgets up to `count` instances that are at rest. */
  forget(count: number, nowMs: number): void {
    for (let i = 0; i < count; i++) {
      const first = this.#rest.top;
      if (first === undefined || first.restMs > nowMs) return;
      this.#forget(first.name);
    }
  }

  #rateOpensAtMs({ gate, cost }: Need, state: LimitState | undefined, nowMs: number): number {
    const setting = this.settingOf(gate);
    if (setting?.rate === undefined) return nowMs;
    if (state === undefined && this.#isFull())
      return Math.max(nowMs + 1, this.#rest.top?.restMs ?? 0);
    const spent = state?.revision === setting.revision ? state.spent : undefined;
    return rateOpensAtMs(setting.rate, spent, cost, nowMs);
  }

  #forget(name: string): void {
    const resting = this.#resting.get(name);
    if (resting === undefined) return;
    this.#rest.remove(resting);
    this.#resting.delete(name);
    this.#state.records("limitStates").delete(name);
  }

  #isFull(): boolean {
    return this.#state.records("limitStates").size >= engineLimits.limitStatesMax;
  }

  #put(state: LimitState): void {
    const name = nameOf(state.target);
    this.#state.records("limitStates").put(name, state);
    this.#noteRest(name, state.restMs);
  }

  #noteRest(name: string, restMs: number): void {
    const known = this.#resting.get(name);
    if (known !== undefined) {
      known.restMs = restMs;
      this.#rest.update(known);
      return;
    }
    const resting: Resting = { name, restMs, heapAt: -1 };
    this.#resting.set(name, resting);
    this.#rest.push(resting);
  }
}
