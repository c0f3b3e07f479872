/**
 * The window of append messages sent to one follower and not yet acknowledged.
 *
 * A ring of (last index, bytes) pairs, bounded in messages and softly in bytes: the message that
 * crosses the byte bound is still sent, the next one is not. The ring grows by doubling up to its
 * bound, because most followers never have more than a few messages under way.
 */
import { assert, must } from "../base/assert.ts";
import type { Index } from "./message.ts";

interface Inflight {
  readonly index: Index;
  readonly bytes: number;
}

export class Inflights {
  /** Bounds. `bytesMax` 0 means that bytes are not limited. */
  readonly countMax: number;
  readonly bytesMax: number;
  #ring: (Inflight | undefined)[] = [];
  #start = 0;
  #count = 0;
  #bytes = 0;

  constructor(countMax: number, bytesMax: number) {
    this.countMax = countMax;
    this.bytesMax = bytesMax;
  }

  get count(): number {
    return this.#count;
  }

  get isFull(): boolean {
    return this.#count === this.countMax || (this.bytesMax !== 0 && this.#bytes >= this.bytesMax);
  }

  /** Records a message whose last entry is `index`. Indexes never fall from call to call. */
  add(index: Index, bytes: number): void {
    assert(!this.isFull, "an append is only sent while the window has room");
    if (this.#count === this.#ring.length) this.#grow();
    this.#ring[(this.#start + this.#count) % this.#ring.length] = { index, bytes };
    this.#count += 1;
    this.#bytes += bytes;
  }

  /** Frees every message whose last entry is at or before `index`. */
  freeTo(index: Index): void {
    while (this.#count > 0) {
      const oldest = must(this.#ring[this.#start], "the ring holds count messages from start");
      if (oldest.index > index) return;
      this.#ring[this.#start] = undefined;
      this.#start = (this.#start + 1) % this.#ring.length;
      this.#count -= 1;
      this.#bytes -= oldest.bytes;
    }
  }

  reset(): void {
    this.#ring = [];
    this.#start = 0;
    this.#count = 0;
    this.#bytes = 0;
  }

  #grow(): void {
    const size = Math.min(Math.max(1, this.#ring.length * 2), this.countMax);
    const ring = new Array<Inflight | undefined>(size).fill(undefined);
    for (let position = 0; position < this.#count; position += 1) {
      ring[position] = this.#ring[(this.#start + position) % this.#ring.length];
    }
    this.#ring = ring;
    this.#start = 0;
  }
}
