/** A binary heap of objects that know their place in it, so that any of them can be moved or taken out in O(log n). */
import { assert } from "../base/assert.ts";

export interface HeapItem {
  /** Place in the heap that holds it; -1 when none does. Written by the heap alone. */
  heapAt: number;
}

export class IndexedHeap<Item extends HeapItem> {
  readonly #items: Item[] = [];
  readonly #isBefore: (one: Item, other: Item) => boolean;

  constructor(isBefore: (one: Item, other: Item) => boolean) {
    this.#isBefore = isBefore;
  }

  get size(): number {
    return this.#items.length;
  }

  get top(): Item | undefined {
    return this.#items[0];
  }

  /** All items, in no order. */
  items(): readonly Item[] {
    return this.#items;
  }

  push(item: Item): void {
    assert(item.heapAt === -1, "an item is in one heap at a time");
    item.heapAt = this.#items.length;
    this.#items.push(item);
    this.#rise(item);
  }

  remove(item: Item): void {
    const at = item.heapAt;
    assert(this.#items[at] === item, "only what is in the heap is taken out");
    item.heapAt = -1;
    const last = this.#items.pop();
    if (last === undefined || last === item) return;
    this.#put(last, at);
    this.update(last);
  }

  /** Finds the place of an item again whose order has changed. */
  update(item: Item): void {
    this.#rise(item);
    this.#sink(item);
  }

  #rise(item: Item): void {
    while (item.heapAt > 0) {
      const parent = this.#items[(item.heapAt - 1) >> 1] as Item;
      if (!this.#isBefore(item, parent)) return;
      this.#swap(item, parent);
    }
  }

  #sink(item: Item): void {
    for (;;) {
      const left = this.#items[item.heapAt * 2 + 1];
      if (left === undefined) return;
      const right = this.#items[item.heapAt * 2 + 2];
      const child = right !== undefined && this.#isBefore(right, left) ? right : left;
      if (!this.#isBefore(child, item)) return;
      this.#swap(item, child);
    }
  }

  #swap(one: Item, other: Item): void {
    const at = one.heapAt;
    this.#put(one, other.heapAt);
    this.#put(other, at);
  }

  #put(item: Item, at: number): void {
    this.#items[at] = item;
    item.heapAt = at;
  }
}
