/**
 * The line of ready jobs of one queue and priority: first in, first out, 8 bytes a job.
 *
 * Numbers that order the line and numbers of jobs come from one counter, so a job that is ready from its enqueue has
 * `order === seq`, and a chunk stores the sequence numbers apart only when it holds a job that came back later.
 * A job that leaves from the middle stays as a tombstone in `removed` until its place comes up, or until tombstones
 * outnumber the living.
 */
import { assert } from "../base/assert.ts";

const chunkLengthMin = 16;
const chunkLengthMax = 4096;

interface Chunk {
  readonly orders: Float64Array;
  /** Present only when some entry's sequence number is not its order. */
  seqs: Float64Array | undefined;
  start: number;
  end: number;
}

export class ReadyQueue {
  readonly #chunks: Chunk[] = [];
  /** Position of the first chunk in use; those before it are dropped now and then. */
  #first = 0;
  #entries = 0;
  readonly #removed = new Set<number>();

  get size(): number {
    return this.#entries - this.#removed.size;
  }

  /** `order` must be larger than every order pushed before. */
  push(order: number, seq: number): void {
    let chunk = this.#chunks.at(-1);
    if (chunk === undefined || chunk.end === chunk.orders.length) {
      const length =
        chunk === undefined
          ? chunkLengthMin
          : Math.min(chunkLengthMax, Math.max(chunkLengthMin, chunk.orders.length * 2));
      chunk = { orders: new Float64Array(length), seqs: undefined, start: 0, end: 0 };
      this.#chunks.push(chunk);
    }
    chunk.orders[chunk.end] = order;
    if (seq !== order && chunk.seqs === undefined) chunk.seqs = chunk.orders.slice();
    if (chunk.seqs !== undefined) chunk.seqs[chunk.end] = seq;
    chunk.end++;
    this.#entries++;
  }

  /** Takes the job with this order out of the line, wherever it stands. */
  remove(order: number): void {
    // A claim takes the first one: no tombstone for that.
    const head = this.#head();
    if (head !== undefined && head.orders[head.start] === order) {
      this.#drop(head);
      return;
    }
    this.#removed.add(order);
    assert(this.#removed.size <= this.#entries, "only jobs in the line are removed from it");
    if (this.#removed.size > 1024 && this.#removed.size * 2 > this.#entries) this.#compact();
  }

  /** Order of the first job; Infinity when the line is empty. */
  headOrder(): number {
    const chunk = this.#head();
    return chunk === undefined ? Number.POSITIVE_INFINITY : (chunk.orders[chunk.start] ?? 0);
  }

  /** Sequence number of the first job, or undefined. */
  peek(): number | undefined {
    const chunk = this.#head();
    return chunk === undefined ? undefined : (chunk.seqs ?? chunk.orders)[chunk.start];
  }

  /** How many jobs stand before a place. Looks at every tombstone, so it is for those who ask, not for claims. */
  countBefore(order: number): number {
    let count = 0;
    for (const chunk of this.#chunks.slice(this.#first)) {
      let low = chunk.start;
      let high = chunk.end;
      while (low < high) {
        const middle = (low + high) >> 1;
        if ((chunk.orders[middle] ?? 0) < order) low = middle + 1;
        else high = middle;
      }
      count += low - chunk.start;
    }
    for (const removed of this.#removed) if (removed < order) count--;
    return count;
  }

  /** The chunk whose first entry is a living job; passes over tombstones. */
  #head(): Chunk | undefined {
    for (;;) {
      const chunk = this.#chunks[this.#first];
      if (chunk === undefined) return undefined;
      if (chunk.start === chunk.end) {
        if (this.#first === this.#chunks.length - 1) return undefined;
        this.#first++;
        if (this.#first > 64) {
          this.#chunks.splice(0, this.#first);
          this.#first = 0;
        }
        continue;
      }
      if (this.#removed.size === 0 || !this.#removed.delete(chunk.orders[chunk.start] ?? 0)) {
        return chunk;
      }
      this.#drop(chunk);
    }
  }

  #drop(chunk: Chunk): void {
    chunk.start++;
    this.#entries--;
    if (this.#entries === 0) {
      this.#chunks.length = 0;
      this.#first = 0;
    }
  }

  #compact(): void {
    const old = this.#chunks.splice(0);
    const first = this.#first;
    const removed = new Set(this.#removed);
    this.#first = 0;
    this.#entries = 0;
    this.#removed.clear();
    for (const chunk of old.slice(first)) {
      for (let i = chunk.start; i < chunk.end; i++) {
        const order = chunk.orders[i] ?? 0;
        if (!removed.has(order)) this.push(order, (chunk.seqs ?? chunk.orders)[i] ?? 0);
      }
    }
  }
}
