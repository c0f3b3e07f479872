/** When each schedule has something to do next; rebuilt at start. Equal times come in the order of their names. */
import { type HeapItem, IndexedHeap } from "./indexed-heap.ts";
import { nextStepMs, type ScheduleRecord } from "./schedule.ts";

interface Entry extends HeapItem {
  readonly name: string;
  timeMs: number;
}

export class ScheduleTimes {
  readonly #heap = new IndexedHeap<Entry>(
    (one, other) =>
      one.timeMs < other.timeMs || (one.timeMs === other.timeMs && one.name < other.name),
  );
  readonly #entries = new Map<string, Entry>();

  constructor(records: Iterable<readonly [string, ScheduleRecord]>) {
    for (const [name, record] of records) this.note(name, nextStepMs(record));
  }

  /** The time of a schedule is now this one; Infinity for none. */
  note(name: string, timeMs: number): void {
    if (timeMs === Number.POSITIVE_INFINITY) {
      this.forget(name);
      return;
    }
    const known = this.#entries.get(name);
    if (known !== undefined) {
      known.timeMs = timeMs;
      this.#heap.update(known);
      return;
    }
    const entry = { name, timeMs, heapAt: -1 };
    this.#entries.set(name, entry);
    this.#heap.push(entry);
  }

  forget(name: string): void {
    const entry = this.#entries.get(name);
    if (entry === undefined) return;
    this.#heap.remove(entry);
    this.#entries.delete(name);
  }

  topTime(): number {
    return this.#heap.top?.timeMs ?? Number.POSITIVE_INFINITY;
  }

  /** Name of the schedule that is next. */
  first(): string | undefined {
    return this.#heap.top?.name;
  }
}
