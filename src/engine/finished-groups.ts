/**
 * Chains and batches that are over. Their records are kept as long as completed jobs are, at most `groupsKeptMax` of them, and
 * forgotten in the order in which they ended. A group and a job never have the same number, so one order serves all.
 */
import { must } from "../base/assert.ts";
import type { Core } from "./core.ts";
import { Deadlines } from "./deadlines.ts";
import { engineLimits } from "./limits.ts";
import type { State } from "./state.ts";

const kinds = ["chain", "batch"] as const;
type GroupKind = (typeof kinds)[number];

export class FinishedGroups {
  readonly #byTime = new Deadlines();
  readonly #kinds = new Map<number, GroupKind>();
  readonly #counts: Record<GroupKind, number> = { chain: 0, batch: 0 };

  constructor(state: State) {
    for (const kind of kinds) {
      for (const [key, { finishedAtMs }] of state.records(kind).entries()) {
        if (finishedAtMs > 0) this.#insert(kind, Number(key), finishedAtMs);
      }
    }
  }

  count(kind: GroupKind): number {
    return this.#counts[kind];
  }

  /** A group ended. When too many are kept, the one that ended first goes. */
  add(core: Core, kind: GroupKind, seq: number, finishedAtMs: number): void {
    this.#insert(kind, seq, finishedAtMs);
    if (this.#byTime.size > engineLimits.groupsKeptMax) this.#forgetFirst(core.state);
  }

  /** A group goes on. */
  remove(kind: GroupKind, seq: number, finishedAtMs: number): void {
    this.#byTime.remove(finishedAtMs, seq);
    this.#kinds.delete(seq);
    this.#counts[kind]--;
  }

  /** When the first is to be forgotten; Infinity when there is none. */
  nextMs(state: State): number {
    return this.#byTime.topTime() + state.meta.retention.doneMs;
  }

  /** Forgets the first whose time has come. False when there is none. */
  forgetOldest(core: Core): boolean {
    if (this.nextMs(core.state) > core.nowMs) return false;
    this.#forgetFirst(core.state);
    return true;
  }

  #insert(kind: GroupKind, seq: number, finishedAtMs: number): void {
    this.#byTime.add(finishedAtMs, seq);
    this.#kinds.set(seq, kind);
    this.#counts[kind]++;
  }

  #forgetFirst(state: State): void {
    const seq = this.#byTime.topKey();
    const kind = must(this.#kinds.get(seq), "a group that ended is of some kind");
    this.remove(kind, seq, this.#byTime.topTime());
    state.records(kind).delete(String(seq));
  }
}
