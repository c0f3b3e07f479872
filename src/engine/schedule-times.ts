/** When each schedule has something to do next; rebuilt at start. Equal times come in the order of their names. */
import { nextStepMs, type ScheduleRecord } from "./schedule.ts";

interface Entry {
  readonly timeMs: number;
  readonly name: string;
}

export class ScheduleTimes {
  /** A heap by time, then name. Entries that are not the current one of their schedule are dropped when they come up. */
  readonly #heap: Entry[] = [];
  readonly #current = new Map<string, number>();

  constructor(records: Iterable<readonly [string, ScheduleRecord]>) {
    for (const [name, record] of records) this.note(name, nextStepMs(record));
  }

  /** The time of a schedule is now this one; Infinity for none. */
  note(name: string, timeMs: number): void {
    if (this.#current.get(name) === timeMs) return;
    if (timeMs === Number.POSITIVE_INFINITY) {
      this.#current.delete(name);
      return;
    }
    this.#current.set(name, timeMs);
    this.#push({ timeMs, name });
    if (this.#heap.length > 1024 && this.#heap.length > this.#current.size * 2) this.#rebuild();
  }

  forget(record: ScheduleRecord): void {
    this.#current.delete(record.name);
  }

  topTime(): number {
    this.#drop();
    return this.#heap[0]?.timeMs ?? Number.POSITIVE_INFINITY;
  }

  /** Name of the schedule that is next. */
  first(): string | undefined {
    this.#drop();
    return this.#heap[0]?.name;
  }

  #drop(): void {
    for (;;) {
      const top = this.#heap[0];
      if (top === undefined || this.#current.get(top.name) === top.timeMs) return;
      this.#pop();
    }
  }

  #rebuild(): void {
    this.#heap.length = 0;
    for (const [name, timeMs] of this.#current) this.#push({ timeMs, name });
  }

  #push(entry: Entry): void {
    const heap = this.#heap;
    let at = heap.length;
    heap.push(entry);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      const above = heap[parent];
      if (above === undefined || !isBefore(entry, above)) break;
      heap[at] = above;
      at = parent;
    }
    heap[at] = entry;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return;
    let at = 0;
    for (;;) {
      let child = at * 2 + 1;
      const right = heap[child + 1];
      let best = heap[child];
      if (best === undefined) break;
      if (right !== undefined && isBefore(right, best)) {
        child++;
        best = right;
      }
      if (!isBefore(best, last)) break;
      heap[at] = best;
      at = child;
    }
    heap[at] = last;
  }
}

function isBefore(one: Entry, other: Entry): boolean {
  return one.timeMs < other.timeMs || (one.timeMs === other.timeMs && one.name < other.name);
}
