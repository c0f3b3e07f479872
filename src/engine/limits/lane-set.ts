/** The lanes of one stand and priority. It exists while some ready job there has a lane. */
import { ReadyQueue } from "../ready-queue.ts";
import type { Gate } from "./gates.ts";
import { LaneLine, type ParkedPool, Pool } from "./pool.ts";
import type { Turns } from "./turns.ts";

export class LaneSet {
  readonly stand: string;
  readonly priority: number;
  readonly turns: Turns;
  /** The gate of the queue, when it has one. */
  queueGate: Gate | undefined;
  /** Every ready job that has a lane, also one that waits for an older job of its key. */
  readonly jobs = new ReadyQueue();
  readonly lanes = new Map<string, LaneLine>();
  /** The ready jobs without a lane, as one of the lanes. */
  readonly plain: LaneLine;
  readonly open: Pool;
  /** Pools of gates that have room for one of theirs. */
  readonly awake = new Set<ParkedPool>();
  /** Ready jobs by group, of those that have a lane. */
  readonly #groups = new Map<string, number>();

  constructor(place: { stand: string; priority: number }, turns: Turns, plain: ReadyQueue) {
    this.stand = place.stand;
    this.priority = place.priority;
    this.turns = turns;
    this.open = new Pool(turns);
    this.plain = new LaneLine(undefined, plain, []);
    if (plain.size > 0) this.open.add(this.plain);
  }

  count(group: string, by: number): void {
    const count = (this.#groups.get(group) ?? 0) + by;
    if (count === 0) this.#groups.delete(group);
    else this.#groups.set(group, count);
  }

  /** Groups that have ready jobs. Jobs without a group are one. */
  get groupCount(): number {
    const plain = this.plain.jobs.size > 0 && !this.#groups.has("") ? 1 : 0;
    return this.#groups.size + plain;
  }
}
