/** The only chance in the core: it spreads election timeouts. Same seed, same history. */
export interface Prng {
  /** A whole number, 0 <= n < bound. */
  below(bound: number): number;
}

/** A 32-bit counter run through an integer mixer: tiny, fast, and equal on every platform. */
export class SeededPrng implements Prng {
  #state: number;

  constructor(seed: number) {
    this.#state = seed | 0;
  }

  below(bound: number): number {
    return Math.floor((this.#next() / 0x1_0000_0000) * bound);
  }

  #next(): number {
    this.#state = (this.#state + 0x9e37_79b9) | 0;
    let mixed = this.#state;
    mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85eb_ca6b);
    mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2_ae35);
    return (mixed ^ (mixed >>> 16)) >>> 0;
  }
}
