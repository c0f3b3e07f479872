/**
 * Notices that the leader is another one than when something began. It looks a few times a second, and only while
 * something depends on it; being told would spare the looks, but a call that was forgotten would leave clients hanging.
 */
import type { Timers } from "../../base/ports.ts";

/** What the HTTP side has to know about the cluster. */
export interface Leadership {
  /** Does this node lead, and is ready to? Asked for every request. */
  isLeader(): boolean;
  /** HTTP address of the leader, when it is another node and known. */
  leaderUrl(): string | undefined;
}

interface Watch {
  readonly holds: () => boolean;
  readonly ended: () => void;
}

const lookMs = 100;

export class LeaderWatch {
  readonly #timers: Timers;
  readonly #watches = new Set<Watch>();
  #isArmed = false;

  constructor(timers: Timers) {
    this.#timers = timers;
  }

  /** Calls `ended` once when `holds` no longer does, until the returned function is called. */
  whenOver(holds: () => boolean, ended: () => void): () => void {
    const watch = { holds, ended };
    this.#watches.add(watch);
    this.#arm();
    return () => this.#watches.delete(watch);
  }

  /** Looks now. */
  look(): void {
    for (const watch of this.#watches) {
      if (watch.holds()) continue;
      this.#watches.delete(watch);
      watch.ended();
    }
  }

  #arm(): void {
    if (this.#isArmed || this.#watches.size === 0) return;
    this.#isArmed = true;
    this.#timers.after(lookMs, () => {
      this.#isArmed = false;
      this.look();
      this.#arm();
    });
  }
}
