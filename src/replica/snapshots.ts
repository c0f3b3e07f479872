/**
 * Snapshots for members whose next entries are gone from the log. One is made when the core asks for it and kept for a
 * while; a member that joined after it was made needs a newer one, since it would not find itself in it.
 *
 * While one is on its way, however long that takes, and for as long again as its receiver needs to start with it, the log
 * keeps the entries that follow it. Otherwise a large state under load would arrive too old each time, without end.
 */
import type { Logger, Timers } from "../base/ports.ts";
import { type ConfState, isMember, type NodeId, type Snapshot } from "../raft/message.ts";
import { isGap } from "../raft/storage.ts";
import type { RaftLogStorage } from "./raft-log.ts";

export interface MadeSnapshot {
  readonly path: string;
  readonly bytes: number;
  readonly index: number;
  readonly conf: ConfState;
}

/** A snapshot that nobody asked for, or that arrived, so long ago is dropped, and the log may shrink again. */
const keepMs = 60_000;

/**
 * Before the core may have another one begun after one that failed. It takes the disk no less than one that succeeds, and while
 * one is made the log lets go of nothing: without a pause a leader without room for it would fill its disk.
 */
const restMs = 10_000;

/** A snapshot that is being sent. */
interface LentSnapshot extends MadeSnapshot {
  /** It arrived, or will not. */
  giveBack(): void;
}

interface SnapshotDeps {
  readonly timers: Timers;
  readonly storage: RaftLogStorage;
  readonly logger: Logger;
  /** Stores the state and copies it. */
  readonly make: () => Promise<MadeSnapshot>;
  readonly remove: (path: string) => void;
}

export class Snapshots {
  readonly #deps: SnapshotDeps;
  #latest: MadeSnapshot | undefined;
  #making: Promise<MadeSnapshot> | undefined;
  #cancelDrop: (() => void) | undefined;
  /** Set during the pause after one that failed. */
  #cancelRest: (() => void) | undefined;
  /** Snapshots on their way, or just given back. */
  readonly #lent = new Set<MadeSnapshot>();

  constructor(deps: SnapshotDeps) {
    this.#deps = deps;
    deps.storage.snapshotFor = (to) => this.#for(to);
  }

  /** The log must keep the entries after this index for the snapshots that may be on their way. */
  get neededAfter(): number {
    const isWanted = this.#making !== undefined || this.#latest !== undefined;
    const latest = isWanted ? (this.#latest?.index ?? 0) : Number.POSITIVE_INFINITY;
    return Math.min(latest, ...[...this.#lent].map(({ index }) => index));
  }

  /** The file behind a snapshot that the core has handed out, to be sent and given back. */
  lend(index: number): LentSnapshot | undefined {
    const made = this.#latest;
    if (made?.index !== index) return undefined;
    const lent = { ...made };
    this.#lent.add(lent);
    const giveBack = () => {
      this.#deps.timers.after(keepMs, () => this.#lent.delete(lent));
    };
    return { ...made, giveBack };
  }

  /** Makes one of the state as it is now, after the one that may be under way. Rejects, and has logged why, when it cannot. */
  async make(): Promise<MadeSnapshot> {
    while (this.#making !== undefined) await this.#making.catch(() => undefined);
    this.#making = this.#deps.make();
    try {
      const made = await this.#making;
      this.#keepMade(made);
      return made;
    } catch (error) {
      this.#deps.logger.error("no snapshot could be made", { error });
      this.#rest();
      throw error;
    } finally {
      this.#making = undefined;
    }
  }

  #for(to: NodeId): Snapshot | "unavailable" {
    const made = this.#latest;
    if (made !== undefined && isMember(made.conf, to)) {
      this.#keep();
      const term = this.#deps.storage.term(made.index);
      // Compacted past it: what follows the snapshot is gone too, so it is of no use any more.
      if (!isGap(term)) {
        return { index: made.index, term, conf: made.conf, data: new Uint8Array(0) };
      }
    }
    // A failure was logged, and the core asks again.
    const mayMake = this.#making === undefined && this.#cancelRest === undefined;
    if (mayMake) this.make().catch(() => undefined);
    return "unavailable";
  }

  #rest(): void {
    this.#cancelRest?.();
    this.#cancelRest = this.#deps.timers.after(restMs, () => {
      this.#cancelRest = undefined;
    });
  }

  #keep(): void {
    this.#cancelDrop?.();
    this.#cancelDrop = this.#deps.timers.after(keepMs, () => {
      const made = this.#latest;
      if ([...this.#lent].some(({ index }) => index === made?.index)) {
        this.#keep();
        return;
      }
      if (made !== undefined) this.#deps.remove(made.path);
      this.#latest = undefined;
    });
  }

  #keepMade(made: MadeSnapshot): void {
    if (this.#latest !== undefined && this.#latest.path !== made.path) {
      this.#deps.remove(this.#latest.path);
    }
    this.#latest = made;
    this.#keep();
    this.#deps.logger.info("made a snapshot", { index: made.index, bytes: made.bytes });
  }
}
