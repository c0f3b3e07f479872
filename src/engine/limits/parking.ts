/**
 * Finds the lane that is next among those that no gate stops. A lane whose first job a gate stops is parked in a pool of
 * that gate, and is not looked at again until the gate may have room: a unit came back, its time came, a setting changed.
 * Then its pool is awake, and looked at beside the open one, so a gate that holds back a hundred thousand lanes costs no
 * more than one that holds back one.
 *
 * Parking is memory only. Which lane is next depends on gates, turns and places alone, never on who is parked where.
 */
import { must } from "../../base/assert.ts";
import { type HeapItem, IndexedHeap } from "../indexed-heap.ts";
import type { Gate, Gates, Need } from "./gates.ts";
import { costOf } from "./lane.ts";
import type { LaneSet } from "./lane-set.ts";
import { type LaneLine, ParkedPool, type Pool, type Sleeper } from "./pool.ts";

/** A pool that small goes back into the open one as a whole when its gate opens. */
const smallPoolLanes = 4;

export interface ParkingHost {
  readonly nowMs: number;
  /** A stand may have something to give again. */
  ready(stand: string): void;
}

/** A queue whose gate is shut for all its jobs. */
export class SleepingQueue implements Sleeper, HeapItem {
  readonly kind = "queue";
  readonly gate: Gate;
  heapAt = -1;
  wakeAtMs = 0;

  constructor(gate: Gate) {
    this.gate = gate;
  }
}

export class Parking {
  readonly #gates: Gates;
  readonly #host: ParkingHost;
  readonly #pools = new Map<Gate, Map<string, ParkedPool>>();
  readonly #sleepers = new IndexedHeap<Sleeper>((one, other) => one.wakeAtMs < other.wakeAtMs);

  constructor(gates: Gates, host: ParkingHost) {
    this.#gates = gates;
    this.#host = host;
  }

  /** When time alone may let go what is stopped; Infinity when it will not. */
  nextWakeMs(): number {
    return this.#sleepers.top?.wakeAtMs ?? Number.POSITIVE_INFINITY;
  }

  /** Looks at every gate again whose time has come. */
  wakeDue(): void {
    for (let first = this.#sleepers.top; first !== undefined; first = this.#sleepers.top) {
      if (first.wakeAtMs > this.#host.nowMs) return;
      this.#sleepers.remove(first);
      if (first instanceof ParkedPool) this.#tryWake(first);
      else if (first instanceof SleepingQueue && this.isQueueOpen(first)) {
        this.#host.ready(first.gate.target.queue);
      }
    }
  }

  /** May any job of the queue run? If not, time wakes the queue when time is what it takes. */
  isQueueOpen(queue: SleepingQueue): boolean {
    const need = { gate: queue.gate, slots: 1, cost: 1 };
    const opensAtMs = this.#gates.opensAtMs(need, this.#host.nowMs);
    if (opensAtMs <= this.#host.nowMs) return true;
    this.#sleep(queue, opensAtMs);
    return false;
  }

  /** The lane whose first job is next; undefined when all are stopped. */
  best(set: LaneSet): LaneLine | undefined {
    for (;;) {
      let best = set.open.top();
      for (const pool of set.awake) {
        if (!this.#isOpen(pool.need)) this.#putToSleep(pool);
        else best = earlier(set, best, pool.top());
      }
      if (best === undefined) return undefined;
      const stop = this.stopOf(set, best);
      if (stop === undefined) return best;
      this.park(set, best, stop);
    }
  }

  /** The first gate that has no room for a job of the lane. */
  stopOf(set: LaneSet, line: LaneLine): Need | undefined {
    for (const need of line.needs) if (!this.#isOpen(need)) return need;
    const cost = costOf(line.lane);
    if (set.queueGate === undefined || cost === 1) return undefined;
    const need = { gate: set.queueGate, slots: 1, cost };
    return this.#isOpen(need) ? undefined : need;
  }

  park(set: LaneSet, line: LaneLine, need: Need): void {
    this.#takeOut(line);
    const name = `${set.stand}\n${set.priority}\n${need.slots}\n${need.cost}`;
    let pools = this.#pools.get(need.gate);
    if (pools === undefined) {
      pools = new Map();
      this.#pools.set(need.gate, pools);
    }
    let pool = pools.get(name);
    if (pool === undefined) {
      pool = new ParkedPool(set, need);
      pools.set(name, pool);
    }
    pool.add(line);
    this.#putToSleep(pool);
  }

  /** The jobs of a lane changed: brings its place up to the first of them. */
  changed(set: LaneSet, line: LaneLine): void {
    if (line.jobs.size === 0) this.#takeOut(line);
    else if (line.pool === undefined) set.open.add(line);
    else if (line.place !== line.jobs.headOrder()) line.pool.changed(line);
  }

  /** A gate may be open to more than before. */
  gateChanged(gate: Gate): void {
    for (const pool of [...(this.#pools.get(gate)?.values() ?? [])]) {
      if (!pool.isAwake) this.#tryWake(pool);
    }
  }

  /** Forgets that a queue waits for its gate. */
  forgetQueue(queue: SleepingQueue): void {
    if (queue.heapAt !== -1) this.#sleepers.remove(queue);
  }

  /** Pools that a claim would look at. */
  livePools(set: LaneSet): Pool[] {
    for (const pool of set.awake) if (!this.#isOpen(pool.need)) this.#putToSleep(pool);
    return [set.open, ...set.awake];
  }

  #isOpen(need: Need): boolean {
    return this.#gates.isOpen(need, this.#host.nowMs);
  }

  #tryWake(pool: ParkedPool): void {
    if (!this.#isOpen(pool.need)) {
      this.#putToSleep(pool);
      return;
    }
    if (pool.heapAt !== -1) this.#sleepers.remove(pool);
    if (pool.laneCount > smallPoolLanes) {
      pool.isAwake = true;
      pool.set.awake.add(pool);
    } else {
      for (const line of [...pool.lanes()]) {
        this.#takeOut(line);
        pool.set.open.add(line);
      }
    }
    this.#host.ready(pool.set.stand);
  }

  #putToSleep(pool: ParkedPool): void {
    pool.isAwake = false;
    pool.set.awake.delete(pool);
    this.#sleep(pool, this.#gates.opensAtMs(pool.need, this.#host.nowMs));
  }

  #sleep(sleeper: Sleeper, atMs: number): void {
    const isListed = sleeper.heapAt !== -1;
    if (isListed && sleeper.wakeAtMs === atMs) return;
    if (isListed) this.#sleepers.remove(sleeper);
    sleeper.wakeAtMs = atMs;
    if (atMs !== Number.POSITIVE_INFINITY) this.#sleepers.push(sleeper);
  }

  /** Takes a lane out of its pool; a pool of a gate goes with its last lane. */
  #takeOut(line: LaneLine): void {
    const { pool } = line;
    if (pool === undefined) return;
    pool.remove(line);
    if (pool.laneCount > 0 || !(pool instanceof ParkedPool)) return;
    const { gate, slots, cost } = pool.need;
    const pools = must(this.#pools.get(gate), "a gate with a pool is known");
    pools.delete(`${pool.set.stand}\n${pool.set.priority}\n${slots}\n${cost}`);
    if (pools.size === 0) this.#pools.delete(gate);
    pool.set.awake.delete(pool);
    if (pool.heapAt !== -1) this.#sleepers.remove(pool);
  }
}

/** Which of two lanes is next: by turn, then by place. */
function earlier(
  set: LaneSet,
  one: LaneLine | undefined,
  other: LaneLine | undefined,
): LaneLine | undefined {
  if (one === undefined || other === undefined) return one ?? other;
  const ranks = set.turns.rankOf(one.group) - set.turns.rankOf(other.group);
  return ranks < 0 || (ranks === 0 && one.place < other.place) ? one : other;
}
