/**
 * Reads that wait until the applied state is known to be linearizable: first for the leader's word, then for the index that
 * it named to be applied. Each has a bound in ticks, since for some nothing else would end it.
 */
import type { Index } from "../raft/message.ts";

/** A read waits for its confirmation at most this many ticks before it is asked for again. */
const readRetryTicks = 20;
/**
 * And this many in all. A learner that is cut off and a member that was removed never learn that their leader is gone,
 * so nothing else would end their reads.
 */
const readTicksMax = 100;

/** Tokens of reads, up to 2^52 in all, so that they stay exact. */
const tokensPerRange = 2 ** 20;

interface WaitingRead {
  readonly resolve: () => void;
  readonly reject: (reason: "notLeader") => void;
  readonly sinceTick: number;
  askedTick: number;
}

export class GroupReads {
  /** Asks the leader for its word; false when there is nobody to ask. */
  readonly #ask: (token: number) => boolean;
  /**
   * Another range in each process: the leader's answer to a read of an earlier one may arrive in this one, and its index
   * is too low for any read of this one.
   */
  #nextToken: number;
  #ticks = 0;
  readonly #asked = new Map<number, WaitingRead>();
  /** Those that have the leader's word and wait for an index to be applied. */
  #confirmed: { readonly index: Index; readonly read: WaitingRead }[] = [];

  /** `range` is drawn at random, 32 bits. */
  constructor(range: number, ask: (token: number) => boolean) {
    this.#nextToken = 1 + range * tokensPerRange;
    this.#ask = ask;
  }

  get count(): number {
    return this.#asked.size + this.#confirmed.length;
  }

  begin(resolve: () => void, reject: (reason: "notLeader") => void): void {
    const token = this.#nextToken++;
    const sinceTick = this.#ticks;
    this.#asked.set(token, { resolve, reject, sinceTick, askedTick: sinceTick });
    this.#askFor(token);
  }

  tick(): void {
    this.#ticks++;
    for (const [token, read] of this.#asked) {
      if (this.#isLate(read)) {
        this.#asked.delete(token);
        read.reject("notLeader");
      } else if (this.#ticks - read.askedTick >= readRetryTicks) {
        read.askedTick = this.#ticks;
        this.#askFor(token);
      }
    }
    if (!this.#confirmed.some(({ read }) => this.#isLate(read))) return;
    const late = this.#confirmed.filter(({ read }) => this.#isLate(read));
    this.#confirmed = this.#confirmed.filter(({ read }) => !this.#isLate(read));
    for (const { read } of late) read.reject("notLeader");
  }

  /** The leader's word: everything acknowledged before the read is in the entries up to `index`. */
  confirm(token: number, index: Index, appliedIndex: Index): void {
    const read = this.#asked.get(token);
    this.#asked.delete(token);
    if (read === undefined) return;
    if (index <= appliedIndex) read.resolve();
    else this.#confirmed.push({ index, read });
  }

  applied(appliedIndex: Index): void {
    if (this.#confirmed.length === 0) return;
    const waiting = this.#confirmed;
    this.#confirmed = waiting.filter(({ index }) => index > appliedIndex);
    for (const { index, read } of waiting) if (index <= appliedIndex) read.resolve();
  }

  /** Ends those that have no word yet. */
  drop(): void {
    for (const read of this.#asked.values()) read.reject("notLeader");
    this.#asked.clear();
  }

  #isLate(read: WaitingRead): boolean {
    return this.#ticks - read.sinceTick >= readTicksMax;
  }

  #askFor(token: number): void {
    if (this.#ask(token)) return;
    const read = this.#asked.get(token);
    this.#asked.delete(token);
    read?.reject("notLeader");
  }
}
