/**
 * The credits of one streaming worker, lent to the shards of its queues. A credit is good for one job from any of them, and is
 * lent to one shard at a time, so there are never more jobs on the way than the worker has credits.
 *
 *   free --lend--> lent to a shard --its job is pushed--> used up, until the worker sends new ones
 *                  lent to a shard --taken back--> free
 *
 * New credits go to the shards that have the fewest, so a busy shard gets back what it uses. A shard that has none, while
 * others sit on theirs, gets some after a moment: they are taken back from where most lie idle. A worker with at
 * least one credit for each shard is idle at all of them at once; with fewer the last one travels around.
 */
import type { ClientFrame } from "../../api/stream.ts";
import type { Timers } from "../../base/ports.ts";

export type Claim = NonNullable<ClientFrame["claim"]>;

/** How long credits lie idle before some are moved to a shard that has none. It grows while nothing comes of it. */
const moveMsMin = 50;
const moveMsMax = 200;
/** A shard that could not be reached is tried again. */
const retryMs = 250;

interface Loan {
  /** Those of its queues that the worker claims from; none when it does not any more. */
  queues: string[];
  /** Credits that the shard has and has not used. */
  lent: number;
  /** Set while credits are being taken back: none are lent meanwhile. */
  returning: Promise<void> | undefined;
  /** The worker took its credits back: what returns is not free again. */
  isDiscarded: boolean;
  /** Not before this shard was reached again. */
  isDown: boolean;
  /** When it was lent to last, as a count. */
  turn: number;
  /** How often all that it was lent went out of its hands. What becomes of a claim of an earlier term is of no interest. */
  term: number;
}

interface LenderDeps {
  readonly timers: Timers;
  readonly shardOf: (queue: string) => number;
  /**
   * Sends a claim to a shard; false when it did not take it. What it sends back is pushed before this resolves. Never rejects.
   * A shard that refuses one claim may take the next: it need not have led when the first one came.
   */
  readonly claim: (shard: number, claim: Claim) => Promise<boolean>;
  /** Ends the way to a shard, if there is one: the shard has no credits then, and nothing comes from it. */
  readonly letGo: (shard: number) => void;
}

export class LentCredits {
  readonly #deps: LenderDeps;
  #claim: Claim | undefined;
  readonly #loans = new Map<number, Loan>();
  #free = 0;
  #turn = 0;
  #moveMs = moveMsMin;
  #cancelMove: (() => void) | undefined;
  #cancelRetry: (() => void) | undefined;
  #isStopped = false;
  #isClosed = false;

  constructor(deps: LenderDeps) {
    this.#deps = deps;
  }

  /**
   * What the worker claims from now on. One without credits takes all of them back, and resolves when every job that was
   * still to come was pushed.
   */
  async add(claim: Claim): Promise<void> {
    if (this.#isStopped) {
      if (claim.credits === 0) await this.#takeAllBack();
      return;
    }
    const old = this.#claim;
    const isEnd = claim.credits === 0;
    const isOther = old !== undefined && !isSameClaim(old, claim);
    if (isEnd) this.#discard();
    const returned = isEnd || isOther ? this.#takeAllBack() : undefined;
    this.#claim = claim;
    if (old === undefined || isOther) this.#standAt(claim);
    this.#free += claim.credits;
    this.#moveMs = moveMsMin;
    this.#lend();
    if (returned === undefined) return;
    const done = returned.then(() => this.#lend());
    if (isEnd) await done;
  }

  /** Jobs came from a shard: they have used up as many credits. */
  used(shard: number, jobs: number): void {
    const loan = this.#loans.get(shard);
    if (loan === undefined) return;
    loan.lent = Math.max(0, loan.lent - jobs);
    this.#moveMs = moveMsMin;
    this.#armMove();
  }

  /** The way to a shard is gone, and with it what it was lent. */
  lost(shard: number): void {
    const loan = this.#loans.get(shard);
    if (loan === undefined) return;
    this.#back(loan, loan.lent);
    loan.term++;
    this.#down(loan);
    this.#lend();
  }

  /** From now on credits count for nothing. What is on its way may still come. */
  stop(): void {
    this.#isStopped = true;
    this.#discard();
    void this.#takeAllBack();
  }

  close(): void {
    this.#isClosed = true;
    this.#cancelMove?.();
    this.#cancelRetry?.();
  }

  #discard(): void {
    this.#free = 0;
    for (const loan of this.#loans.values()) {
      loan.isDiscarded = loan.lent > 0 || loan.returning !== undefined;
    }
  }

  #standAt(claim: Claim): void {
    for (const loan of this.#loans.values()) loan.queues = [];
    for (const queue of new Set(claim.queues)) {
      const shard = this.#deps.shardOf(queue);
      const loan = this.#loans.get(shard) ?? this.#newLoan(shard);
      loan.queues.push(queue);
    }
  }

  #newLoan(shard: number): Loan {
    const loan: Loan = {
      queues: [],
      lent: 0,
      returning: undefined,
      isDiscarded: false,
      isDown: false,
      turn: this.#turn++,
      term: 0,
    };
    this.#loans.set(shard, loan);
    return loan;
  }

  /** Gives every free credit to the shard that has the fewest, the one that had its turn longest ago first. */
  #lend(): void {
    if (this.#isClosed || this.#isStopped || this.#claim === undefined) return;
    const open = [...this.#loans].filter(
      ([, loan]) => loan.queues.length > 0 && !loan.isDown && loan.returning === undefined,
    );
    const added = new Map<number, number>();
    while (this.#free > 0 && open.length > 0) {
      const [shard, loan] = open.reduce((best, next) =>
        comesFirst(next[1], best[1]) ? next : best,
      );
      this.#free--;
      loan.lent++;
      loan.turn = this.#turn++;
      added.set(shard, (added.get(shard) ?? 0) + 1);
    }
    for (const [shard, credits] of added) this.#send(shard, credits);
    this.#armMove();
  }

  #send(shard: number, credits: number): void {
    const loan = this.#loans.get(shard);
    if (loan === undefined || this.#claim === undefined) return;
    const claim = { ...this.#claim, queues: loan.queues, credits };
    const { term } = loan;
    void this.#deps.claim(shard, claim).then((isTaken) => {
      if (isTaken || loan.term !== term) return;
      this.#back(loan, credits);
      this.#down(loan);
      this.#lend();
    });
  }

  #takeAllBack(): Promise<unknown> {
    this.#cancelMove?.();
    this.#cancelMove = undefined;
    return Promise.all([...this.#loans].map(([shard, loan]) => this.#takeBack(shard, loan)));
  }

  /** What comes on the way counts as used; the rest is free again. */
  #takeBack(shard: number, loan: Loan): Promise<void> {
    if (loan.returning !== undefined) return loan.returning;
    if (loan.lent === 0 || this.#claim === undefined) return Promise.resolve();
    const claim = { ...this.#claim, queues: loan.queues, credits: 0 };
    const { term } = loan;
    loan.returning = this.#deps.claim(shard, claim).then((isTaken) => {
      loan.returning = undefined;
      if (loan.term === term) {
        if (!isTaken) {
          this.#deps.letGo(shard);
          this.#down(loan);
        }
        this.#back(loan, loan.lent);
        loan.term++;
      }
      loan.isDiscarded = false;
    });
    return loan.returning;
  }

  /** Credits that a shard does not have any more. */
  #back(loan: Loan, credits: number): void {
    const unused = Math.min(credits, loan.lent);
    loan.lent -= unused;
    if (!loan.isDiscarded) this.#free += unused;
  }

  #down(loan: Loan): void {
    loan.isDown = true;
    this.#retryLater();
  }

  #armMove(): void {
    if (this.#isClosed || this.#cancelMove !== undefined || this.#findMove() === undefined) return;
    this.#cancelMove = this.#deps.timers.after(this.#moveMs, () => {
      this.#cancelMove = undefined;
      const found = this.#findMove();
      if (found === undefined) return;
      this.#moveMs = Math.min(moveMsMax, this.#moveMs * 2);
      void this.#takeBack(found.shard, found.loan).then(() => this.#lend());
    });
  }

  /** A shard with the most idle credits, if there is another that has none. */
  #findMove(): { readonly shard: number; readonly loan: Loan } | undefined {
    let isHungry = false;
    let donor: { readonly shard: number; readonly loan: Loan } | undefined;
    for (const [shard, loan] of this.#loans) {
      if (loan.isDown || loan.queues.length === 0) continue;
      if (loan.returning !== undefined) return undefined;
      if (loan.lent === 0) isHungry = true;
      else if (donor === undefined || comesFirst(donor.loan, loan, true)) donor = { shard, loan };
    }
    return isHungry ? donor : undefined;
  }

  #retryLater(): void {
    if (this.#isClosed) return;
    this.#cancelRetry?.();
    this.#cancelRetry = this.#deps.timers.after(retryMs, () => {
      for (const loan of this.#loans.values()) loan.isDown = false;
      this.#lend();
    });
  }
}

/** Fewer credits first, then the one whose turn is longer ago; as donors, more credits first. */
function comesFirst(one: Loan, other: Loan, asDonor = false): boolean {
  if (one.lent !== other.lent) return one.lent < other.lent;
  return asDonor ? one.turn > other.turn : one.turn < other.turn;
}

function isSameClaim(one: Claim, other: Claim): boolean {
  const { credits: _, ...terms } = one;
  const { credits: __, ...otherTerms } = other;
  return JSON.stringify(terms) === JSON.stringify(otherTerms);
}
