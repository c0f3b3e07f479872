/**
 * Whose turn it is among the groups of one queue and priority: weighted round robin by start times. Each group has a
 * pass, and `now` is the pass of the group that was served last. Served, a group's pass moves on from the later of both
 * by one over its weight; the group with the smallest pass is next. So a group that had nothing to run, or was stopped,
 * is at most one turn ahead when it comes back.
 *
 * A pass that is not beyond `now` says nothing and is forgotten. When only one group is left, everything is.
 */
import { type HeapItem, IndexedHeap } from "../indexed-heap.ts";
import type { RecordTable } from "../records.ts";

export interface Turn {
  readonly pass: number;
}

interface Ahead extends HeapItem {
  readonly group: string;
  pass: number;
}

export class Turns {
  readonly #records: RecordTable<Turn>;
  /** Names the records of this line. */
  readonly #name: string;
  readonly #ahead = new Map<string, Ahead>();
  readonly #order = new IndexedHeap<Ahead>((one, other) => one.pass < other.pass);
  now = 0;
  /** Grows when everything was forgotten. */
  epoch = 0;

  constructor(records: RecordTable<Turn>, queue: string, priority: number) {
    this.#records = records;
    this.#name = `${queue}\n${priority}`;
  }

  /** Takes in what was stored of a line; `group` is undefined for `now`. */
  load(group: string | undefined, pass: number): void {
    if (group === undefined) this.now = pass;
    else this.#setAhead(group, pass);
  }

  /** The group's pass, never before `now`. */
  rankOf(group: string): number {
    return this.#ahead.get(group)?.pass ?? this.now;
  }

  serve(group: string, weight: number): void {
    const pass = this.rankOf(group);
    if (pass !== this.now || !this.#records.has(this.#name)) {
      this.now = pass;
      this.#records.put(this.#name, { pass });
    }
    this.#setAhead(group, pass + 1 / weight);
    this.#records.put(`${this.#name}\n${group}`, { pass: pass + 1 / weight });
    for (let first = this.#order.top; first !== undefined; first = this.#order.top) {
      if (first.pass > this.now) return;
      this.#forget(first);
    }
  }

  reset(): void {
    if (!this.#records.has(this.#name)) return;
    for (const { group } of this.#order.items()) this.#records.delete(`${this.#name}\n${group}`);
    this.#records.delete(this.#name);
    for (const first of [...this.#order.items()]) this.#order.remove(first);
    this.#ahead.clear();
    this.now = 0;
    this.epoch++;
  }

  #setAhead(group: string, pass: number): void {
    const known = this.#ahead.get(group);
    if (known !== undefined) {
      known.pass = pass;
      this.#order.update(known);
      return;
    }
    const ahead: Ahead = { group, pass, heapAt: -1 };
    this.#ahead.set(group, ahead);
    this.#order.push(ahead);
  }

  #forget(ahead: Ahead): void {
    this.#order.remove(ahead);
    this.#ahead.delete(ahead.group);
    this.#records.delete(`${this.#name}\n${ahead.group}`);
  }
}
