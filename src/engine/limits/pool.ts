/**
 * Lanes of one queue and priority that are looked at together, and which of them is next: by the turn of its group, then
 * by the place in line of its first job. The lanes that nothing is known to stop are in one pool; those that a gate stops
 * are in a pool of that gate.
 *
 * Groups whose turn has come stand in `behind`, by place; the others in `ahead`, by pass. A group's pass only grows, so
 * what is stored of it is put right when it comes to the top, not each time it is served.
 */
import { must } from "../../base/assert.ts";
import { type HeapItem, IndexedHeap } from "../indexed-heap.ts";
import type { ReadyQueue } from "../ready-queue.ts";
import type { Need } from "./gates.ts";
import { groupOf, type Lane } from "./lane.ts";
import type { LaneSet } from "./lane-set.ts";
import type { Turns } from "./turns.ts";

/** The ready jobs of one lane, in the order of their places. */
export class LaneLine implements HeapItem {
  heapAt = -1;
  /** Undefined for the jobs that have no lane. */
  readonly lane: Lane | undefined;
  readonly group: string;
  readonly jobs: ReadyQueue;
  /** What a run needs, gate by gate. That of the queue is not among them. */
  readonly needs: readonly Need[];
  /** Place of the first job, as the pool knows it. */
  place = 0;
  pool: Pool | undefined;

  constructor(lane: Lane | undefined, jobs: ReadyQueue, needs: readonly Need[]) {
    this.lane = lane;
    this.group = groupOf(lane);
    this.jobs = jobs;
    this.needs = needs;
  }
}

interface PoolGroup extends HeapItem {
  readonly name: string;
  readonly lanes: IndexedHeap<LaneLine>;
  isAhead: boolean;
  /** As last seen, while it is ahead. */
  pass: number;
}

const byPlace = (one: LaneLine, other: LaneLine) => one.place < other.place;
const placeOf = (group: PoolGroup) => group.lanes.top?.place ?? 0;

export class Pool {
  readonly #turns: Turns;
  readonly #groups = new Map<string, PoolGroup>();
  readonly #behind = new IndexedHeap<PoolGroup>((one, other) => placeOf(one) < placeOf(other));
  readonly #ahead = new IndexedHeap<PoolGroup>(
    (one, other) =>
      one.pass < other.pass || (one.pass === other.pass && placeOf(one) < placeOf(other)),
  );
  #epoch: number;
  laneCount = 0;

  constructor(turns: Turns) {
    this.#turns = turns;
    this.#epoch = turns.epoch;
  }

  add(lane: LaneLine): void {
    let group = this.#groups.get(lane.group);
    lane.place = lane.jobs.headOrder();
    lane.pool = this;
    this.laneCount++;
    if (group === undefined) {
      const lanes = new IndexedHeap(byPlace);
      lanes.push(lane);
      group = { name: lane.group, lanes, isAhead: false, pass: 0, heapAt: -1 };
      this.#groups.set(lane.group, group);
      this.#behind.push(group);
      return;
    }
    group.lanes.push(lane);
    this.#heapOf(group).update(group);
  }

  remove(lane: LaneLine): void {
    const group = must(this.#groups.get(lane.group), "a lane's group is in its pool");
    group.lanes.remove(lane);
    lane.pool = undefined;
    this.laneCount--;
    if (group.lanes.size > 0) {
      this.#heapOf(group).update(group);
      return;
    }
    this.#heapOf(group).remove(group);
    this.#groups.delete(group.name);
  }

  /** The first job of the lane is another one now. */
  changed(lane: LaneLine): void {
    const group = must(this.#groups.get(lane.group), "a lane's group is in its pool");
    lane.place = lane.jobs.headOrder();
    group.lanes.update(lane);
    this.#heapOf(group).update(group);
  }

  /** The lane that is next, whether or not something stops it. */
  top(): LaneLine | undefined {
    if (this.#groups.size === 1) return this.#groups.values().next().value?.lanes.top;
    this.#settle();
    return (this.#behind.top ?? this.#ahead.top)?.lanes.top;
  }

  *lanes(): Iterable<LaneLine> {
    for (const group of this.#groups.values()) yield* group.lanes.items();
  }

  /** Brings the groups at the top to where they belong by now. */
  #settle(): void {
    if (this.#epoch !== this.#turns.epoch) {
      this.#epoch = this.#turns.epoch;
      for (const group of [...this.#ahead.items()]) this.#toBehind(group);
    }
    for (let first = this.#ahead.top; first !== undefined; first = this.#ahead.top) {
      const pass = this.#turns.rankOf(first.name);
      if (pass <= this.#turns.now) this.#toBehind(first);
      else if (pass === first.pass) break;
      else {
        first.pass = pass;
        this.#ahead.update(first);
      }
    }
    for (let first = this.#behind.top; first !== undefined; first = this.#behind.top) {
      const pass = this.#turns.rankOf(first.name);
      if (pass <= this.#turns.now) return;
      this.#behind.remove(first);
      first.isAhead = true;
      first.pass = pass;
      this.#ahead.push(first);
    }
  }

  #toBehind(group: PoolGroup): void {
    this.#ahead.remove(group);
    group.isAhead = false;
    this.#behind.push(group);
  }

  #heapOf(group: PoolGroup): IndexedHeap<PoolGroup> {
    return group.isAhead ? this.#ahead : this.#behind;
  }
}

/** Something that a time wakes. */
export interface Sleeper extends HeapItem {
  wakeAtMs: number;
  readonly kind: "pool" | "queue";
}

/** The pool of the lanes that one gate stops, of one queue and priority and with one need. */
export class ParkedPool extends Pool implements Sleeper {
  readonly kind = "pool";
  readonly set: LaneSet;
  readonly need: Need;
  heapAt = -1;
  wakeAtMs = 0;
  /** Has the gate room for one of them? Then the pool is looked at with the open one. */
  isAwake = false;

  constructor(set: LaneSet, need: Need) {
    super(set.turns);
    this.set = set;
    this.need = need;
  }
}
