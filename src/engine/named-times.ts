/** When each of some named things is due; rebuilt at start. Equal times come in the order of their names. */
import { type HeapItem, IndexedHeap } from "./indexed-heap.ts";

interface Entry extends HeapItem {
  readonly name: string;
  timeMs: number;
}

export class NamedTimes {
  readonly #heap = new IndexedHeap<Entry>(
    (one, other) =>
      one.timeMs < other.timeMs || (one.timeMs === other.timeMs && one.name < other.name),
  );
  readonly #entries = new Map<string, Entry>();

  /** The time of a name is now this one; Infinity for none. */
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

  /** The name that is first. */
  first(): string | undefined {
    return this.#heap.top?.name;
  }
}
