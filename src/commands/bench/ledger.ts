/**
 * What became of every job of a run, and the verdict: nothing lost, nothing doubled.
 *
 * Every job has a number, which travels in its payload (`{"n":1000000007,...}`), so that a job can be followed without
 * trusting the ids of the server. Per job the ledger holds one byte of flags, the sequence part of its id and its lease
 * token: 17 bytes, since a run may have ten million.
 *
 * Leases of a run last an hour and nothing fails, so each job has exactly one claim: any second one, under whatever
 * token, means that two workers held it at once.
 */

const flags = { accepted: 1, claimed: 2, acked: 4, refused: 8 } as const;
const sizeFirst = 1 << 16;
/** The first numbers are all the same length, so that payloads are. */
export const numberBase = 1_000_000_000;
const problemsMax = 10;

/** Counters of the server for the queues of a run. */
export interface QueueTotals {
  readonly completed: number;
  /** Pending, scheduled, retrying, active and held. */
  readonly waiting: number;
  readonly dead: number;
  readonly cancelled: number;
}

export class Ledger {
  #flags = new Uint8Array(sizeFirst);
  /** Sequence number in the job's id; 0 while unknown. */
  #seqs = new Float64Array(sizeFirst);
  #tokens = new Float64Array(sizeFirst);
  /** Jobs that were sent: numbers below this are in use. */
  sent = 0;
  accepted = 0;
  claimed = 0;
  acked = 0;
  refused = 0;
  #problemCount = 0;
  readonly #problems: string[] = [];

  /** Takes `count` new numbers; returns the first. */
  take(count: number): number {
    const first = this.sent;
    this.sent += count;
    if (this.sent > this.#flags.length) this.#grow(this.sent);
    return first;
  }

  /** The server acknowledged the enqueue. */
  accept(number: number, seq: number): void {
    const before = this.#begin(number, flags.accepted, "was accepted twice");
    if (before === undefined) return;
    this.accepted++;
    this.#sameSeq(number, seq);
  }

  /** The server said that it did not take the job. */
  refuse(number: number): void {
    if (this.#begin(number, flags.refused, "was refused twice") !== undefined) this.refused++;
  }

  /** The server handed the job to a worker. */
  claim(number: number, seq: number, token: number): void {
    if (number < 0 || number >= this.sent) {
      this.problem(`a job with the number ${number} was claimed; ${this.sent} were sent`);
      return;
    }
    if (((this.#flags[number] ?? 0) & flags.claimed) !== 0) {
      this.problem(
        `job ${number} was claimed twice: under the lease ${this.#tokens[number]}, which was live, and under ${token}`,
      );
      return;
    }
    this.#flags[number] = (this.#flags[number] ?? 0) | flags.claimed;
    this.#tokens[number] = token;
    this.claimed++;
    this.#sameSeq(number, seq);
  }

  /** The server acknowledged the ack. */
  ack(number: number): void {
    const before = this.#begin(number, flags.acked, "was acked twice");
    if (before === undefined) return;
    this.acked++;
    if ((before & flags.claimed) === 0) this.problem(`job ${number} was acked without a claim`);
  }

  /** Something that must not happen. Any one fails the run. */
  problem(text: string): void {
    this.#problemCount++;
    if (this.#problems.length < problemsMax) this.#problems.push(text);
  }

  /** Jobs that were accepted and are not finished. */
  get open(): number {
    return this.accepted - this.acked;
  }

  get isClean(): boolean {
    return this.#problemCount === 0;
  }

  /** Compares with the counters of the server. Empty when all is well. */
  verify(totals: QueueTotals): string[] {
    this.#verifyFlags();
    const expect = (name: string, found: number, expected: number) => {
      if (found !== expected) {
        this.problem(
          `the server counts ${found} ${name} jobs; the acknowledged work says ${expected}`,
        );
      }
    };
    expect("completed", totals.completed, this.acked);
    expect("waiting", totals.waiting, this.accepted - this.acked);
    expect("dead", totals.dead, 0);
    expect("cancelled", totals.cancelled, 0);
    const more = this.#problemCount - this.#problems.length;
    return more === 0 ? [...this.#problems] : [...this.#problems, `and ${more} more`];
  }

  #verifyFlags(): void {
    let accepted = 0;
    let acked = 0;
    for (let number = 0; number < this.sent; number++) {
      const flag = this.#flags[number] ?? 0;
      if ((flag & flags.accepted) !== 0) accepted++;
      if ((flag & flags.acked) !== 0) acked++;
      if ((flag & (flags.accepted | flags.refused)) === 0) {
        this.problem(`job ${number} was sent, and its enqueue was never answered`);
      }
      if ((flag & flags.acked) !== 0 && (flag & flags.accepted) === 0) {
        this.problem(`job ${number} was completed, and its enqueue was not acknowledged`);
      }
      if ((flag & flags.claimed) !== 0 && (flag & flags.acked) === 0) {
        this.problem(`job ${number} was claimed, and its ack was never answered`);
      }
    }
    if (accepted !== this.accepted || acked !== this.acked) {
      this.problem(
        `the ledger counted ${this.accepted} accepted and ${this.acked} acked jobs, and holds ${accepted} and ${acked}`,
      );
    }
  }

  /** Sets a flag that may be set once. Returns the flags before; undefined when it was a problem. */
  #begin(number: number, flag: number, twice: string): number | undefined {
    const before = this.#flags[number];
    if (before === undefined || number >= this.sent) {
      this.problem(`an answer names job ${number}; ${this.sent} were sent`);
      return undefined;
    }
    if ((before & flag) !== 0) {
      this.problem(`job ${number} ${twice}`);
      return undefined;
    }
    this.#flags[number] = before | flag;
    return before;
  }

  /** The enqueue's answer and the claim must name the same job; either may come first. */
  #sameSeq(number: number, seq: number): void {
    const known = this.#seqs[number] ?? 0;
    if (known === 0) this.#seqs[number] = seq;
    else if (known !== seq) {
      this.problem(`job ${number} was accepted and claimed under the ids ${known} and ${seq}`);
    }
  }

  #grow(count: number): void {
    let size = this.#flags.length;
    while (size < count) size *= 2;
    const flagsMore = new Uint8Array(size);
    flagsMore.set(this.#flags);
    this.#flags = flagsMore;
    const seqsMore = new Float64Array(size);
    seqsMore.set(this.#seqs);
    this.#seqs = seqsMore;
    const tokensMore = new Float64Array(size);
    tokensMore.set(this.#tokens);
    this.#tokens = tokensMore;
  }
}
