/** Chains and batches that are over are forgotten in the order in which they ended. */

interface EndedGroup {
  readonly seq: number;
  readonly finishedAtMs: number;
}

export interface GroupKeeper {
  ended(): readonly EndedGroup[];
  forget(seq: number): void;
}

export class NaiveGroups {
  readonly #keepers: readonly GroupKeeper[];

  constructor(keepers: readonly GroupKeeper[]) {
    this.#keepers = keepers;
  }

  nextMs(keepMs: number): number {
    return (this.#all()[0]?.finishedAtMs ?? Number.POSITIVE_INFINITY) + keepMs;
  }

  forgetOldest(keepMs: number, nowMs: number): boolean {
    const [first] = this.#all();
    if (first === undefined || first.finishedAtMs + keepMs > nowMs) return false;
    for (const keeper of this.#keepers) keeper.forget(first.seq);
    return true;
  }

  #all(): EndedGroup[] {
    return this.#keepers
      .flatMap((keeper) => keeper.ended())
      .sort((one, other) => one.finishedAtMs - other.finishedAtMs || one.seq - other.seq);
  }
}
