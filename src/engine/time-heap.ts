/**
 * A binary heap of (time, key) pairs in two flat arrays, 16 bytes an entry. Equal times come out by key, so the order
 * does not depend on how the heap was built.
 */
export class TimeHeap {
  #times = new Float64Array(16);
  #keys = new Float64Array(16);
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** The earliest time; Infinity when empty. */
  topTime(): number {
    return this.#size === 0 ? Number.POSITIVE_INFINITY : (this.#times[0] ?? 0);
  }

  topKey(): number {
    return this.#keys[0] ?? 0;
  }

  push(timeMs: number, key: number): void {
    if (this.#size === this.#times.length) this.#resize(this.#size * 2);
    let at = this.#size++;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!this.#before(timeMs, key, parent)) break;
      this.#copy(parent, at);
      at = parent;
    }
    this.#times[at] = timeMs;
    this.#keys[at] = key;
  }

  pop(): void {
    this.#size--;
    if (this.#size > 0) this.#sink(0, this.#times[this.#size] ?? 0, this.#keys[this.#size] ?? 0);
    if (this.#size * 4 < this.#times.length && this.#times.length > 1024) {
      this.#resize(this.#times.length / 2);
    }
  }

  /** Drops every entry that is not kept. */
  prune(isKept: (key: number, timeMs: number) => boolean): void {
    let kept = 0;
    for (let i = 0; i < this.#size; i++) {
      if (isKept(this.#keys[i] ?? 0, this.#times[i] ?? 0)) this.#copy(i, kept++);
    }
    this.#size = kept;
    for (let i = (kept >> 1) - 1; i >= 0; i--) {
      this.#sink(i, this.#times[i] ?? 0, this.#keys[i] ?? 0);
    }
  }

  #sink(from: number, timeMs: number, key: number): void {
    let at = from;
    for (;;) {
      let child = at * 2 + 1;
      if (child >= this.#size) break;
      const right = child + 1;
      if (
        right < this.#size &&
        this.#before(this.#times[right] ?? 0, this.#keys[right] ?? 0, child)
      ) {
        child = right;
      }
      if (this.#before(timeMs, key, child)) break;
      this.#copy(child, at);
      at = child;
    }
    this.#times[at] = timeMs;
    this.#keys[at] = key;
  }

  #before(timeMs: number, key: number, other: number): boolean {
    const otherTime = this.#times[other] ?? 0;
    return timeMs < otherTime || (timeMs === otherTime && key < (this.#keys[other] ?? 0));
  }

  #copy(from: number, to: number): void {
    this.#times[to] = this.#times[from] ?? 0;
    this.#keys[to] = this.#keys[from] ?? 0;
  }

  #resize(length: number): void {
    const times = new Float64Array(length);
    const keys = new Float64Array(length);
    times.set(this.#times.subarray(0, this.#size));
    keys.set(this.#keys.subarray(0, this.#size));
    this.#times = times;
    this.#keys = keys;
  }
}
