/**
 * Counts how many jobs a claim could get from lanes, up to what somebody asks for. Lanes that share a gate share its room, so
 * the count is an estimate, but it is 0 exactly when no job could be claimed.
 */
import type { Gate, Gates, Need } from "./gates.ts";
import type { LaneSet } from "./lane-set.ts";
import type { Parking } from "./parking.ts";
import type { LaneLine } from "./pool.ts";

/** Nobody looks at more lanes than that, once one job was found. */
const lanesSeenMax = 1024;

export class ClaimCounter {
  readonly #gates: Gates;
  readonly #parking: Parking;
  readonly #nowMs: number;
  readonly #most: number;
  /** What the lanes that were counted before may take of a gate. */
  readonly #taken = new Map<Gate, number>();
  #seen = 0;
  count = 0;

  constructor(
    gates: Gates,
    parking: Parking,
    asked: { readonly nowMs: number; readonly most: number },
  ) {
    this.#gates = gates;
    this.#parking = parking;
    this.#nowMs = asked.nowMs;
    this.#most = asked.most;
  }

  get isEnough(): boolean {
    return this.count >= this.#most || (this.#seen >= lanesSeenMax && this.count > 0);
  }

  /** Lanes that turn out to be stopped are parked on the way. */
  add(set: LaneSet): void {
    const stopped: [LaneLine, Need][] = [];
    for (const pool of this.#parking.livePools(set)) {
      for (const line of pool.lanes()) {
        const stop = this.#parking.stopOf(set, line);
        if (stop !== undefined) stopped.push([line, stop]);
        else this.count += this.#fits(line);
        this.#seen++;
        if (this.isEnough) break;
      }
      if (this.isEnough) break;
    }
    for (const [line, need] of stopped) this.#parking.park(set, line, need);
  }

  /** How many jobs of an open lane fit beside those that were counted before. */
  #fits(line: LaneLine): number {
    let fits = line.jobs.size;
    for (const { gate, slots, cost } of line.needs) {
      const taken = this.#taken.get(gate);
      const room = this.#gates.roomOf(gate, this.#nowMs) - (taken ?? 0);
      const least = taken === undefined ? 1 : 0;
      fits = Math.min(fits, Math.max(least, Math.floor(room / Math.max(slots, cost))));
    }
    for (const { gate, slots, cost } of line.needs) {
      this.#taken.set(gate, (this.#taken.get(gate) ?? 0) + fits * Math.max(slots, cost));
    }
    return fits;
  }
}
