/** Which things happen in a random cluster, and how often. */
import { below, SeededRandom } from "../support/seeded-random.ts";

/** How often each thing may happen at most, relative to the others. A run draws its own mix. */
const weightsMax = {
  tick: 60,
  moveMessage: 300,
  completeAppend: 120,
  completeApply: 60,
  propose: 25,
  read: 15,
  transfer: 3,
  changeMembership: 8,
  compact: 6,
  partition: 5,
  reportSnapshots: 8,
  reportUnreachable: 4,
  forgetLeader: 3,
  campaign: 3,
  crash: 4,
} as const;

export type Action = keyof typeof weightsMax;

/** Without these nothing would ever happen. */
const weightsMin: Partial<Record<Action, number>> = {
  tick: 25,
  moveMessage: 120,
  completeAppend: 40,
  completeApply: 20,
  propose: 6,
};

/** A mix of its own for every run, or rare things would always be drowned by the same others. */
export class Mix {
  /** Chances in percent: of a restart when it is a dead node's turn, and of a message's fates. */
  readonly restart: number;
  readonly lost: number;
  readonly doubled: number;
  readonly inOrder: number;
  readonly #random: SeededRandom;
  readonly #weights: readonly (readonly [Action, number])[];
  readonly #total: number;

  constructor(seed: number) {
    this.#random = new SeededRandom(seed);
    this.#weights = Object.entries(weightsMax).map(([name, max]) => {
      const action = name as Action;
      return [action, Math.max(weightsMin[action] ?? 0, below(this.#random, max + 1))] as const;
    });
    this.#total = this.#weights.reduce((sum, [, weight]) => sum + weight, 0);
    this.restart = 10 + below(this.#random, 60);
    this.lost = below(this.#random, 15);
    this.doubled = below(this.#random, 15);
    this.inOrder = below(this.#random, 100);
  }

  draw(): Action {
    let rest = below(this.#random, this.#total);
    for (const [action, weight] of this.#weights) {
      if (rest < weight) return action;
      rest -= weight;
    }
    return "tick";
  }
}
