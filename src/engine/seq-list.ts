/**
 * Numbers of jobs in growing order, mostly added at the end and taken from the front. Its content is exactly what was
 * added and not removed: a walk over it must come out alike on a replica that started since.
 */

/** Below this many removed places at the front, closing up is not worth a copy. */
const gapMin = 32;

export class SeqList {
  #values: number[] = [];
  /** Places before it are no longer in use. */
  #start = 0;

  get size(): number {
    return this.#values.length - this.#start;
  }

  /** Adds a number that may be there already. */
  add(seq: number): void {
    const last = this.#values.at(-1);
    if (last === undefined || this.size === 0 || last < seq) {
      this.#values.push(seq);
      return;
    }
    const at = this.#firstFrom(seq);
    if (this.#values[at] !== seq) this.#values.splice(at, 0, seq);
  }

  remove(seq: number): void {
    const at = this.#firstFrom(seq);
    if (this.#values[at] !== seq) return;
    if (at !== this.#start) {
      this.#values.splice(at, 1);
      return;
    }
    this.#start++;
    if (this.#start >= gapMin && this.#start * 2 >= this.#values.length) {
      this.#values = this.#values.slice(this.#start);
      this.#start = 0;
    }
  }

  /** The smallest number above `seq`, or undefined. */
  after(seq: number): number | undefined {
    return this.#values[this.#firstFrom(seq + 1)];
  }

  /** Place of the smallest number that is not below `seq`. */
  #firstFrom(seq: number): number {
    let low = this.#start;
    let high = this.#values.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#values[middle] ?? 0) < seq) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
