/** Sleeps until the next thing that time alone causes, then has it proposed. */
import type { Clock, Timers } from "../base/ports.ts";

interface AlarmDeps {
  readonly clock: Clock;
  readonly timers: Timers;
  /** Is it this node's duty now? */
  readonly isOnDuty: () => boolean;
  /** When there is something to do next; Infinity when never. */
  readonly nextDeadlineMs: () => number;
  /** Proposes it; calls back when that ended, with whether it went through. Throws when it was refused at once. */
  readonly advance: (done: (ok: boolean) => void) => void;
}

/** Timers of the platform take at most a signed 32-bit number of milliseconds. */
const timerMsMax = 2 ** 31 - 1;
/** How soon a refused step is tried again. */
const retryMs = 500;

export class Alarm {
  readonly #deps: AlarmDeps;
  #atMs = Number.POSITIVE_INFINITY;
  #cancel: (() => void) | undefined;
  #advancing = false;

  constructor(deps: AlarmDeps) {
    this.#deps = deps;
  }

  /** Looks at the next deadline again; cheap, called after every batch. */
  arm(): void {
    if (this.#advancing || !this.#deps.isOnDuty()) return;
    const atMs = this.#deps.nextDeadlineMs();
    if (atMs < this.#atMs) this.#set(atMs);
  }

  stop(): void {
    this.#cancel?.();
    this.#cancel = undefined;
    this.#atMs = Number.POSITIVE_INFINITY;
  }

  #set(atMs: number): void {
    this.#cancel?.();
    this.#atMs = atMs;
    const delayMs = Math.min(timerMsMax, Math.max(0, atMs - this.#deps.clock.nowMs()));
    this.#cancel = this.#deps.timers.after(delayMs, () => this.#ring());
  }

  #ring(): void {
    this.stop();
    if (this.#advancing || !this.#deps.isOnDuty()) return;
    if (this.#deps.nextDeadlineMs() > this.#deps.clock.nowMs()) {
      this.arm();
      return;
    }
    this.#advancing = true;
    try {
      this.#deps.advance((ok) => {
        this.#advancing = false;
        // The apply that follows arms the next one; after a refusal nothing would.
        if (!ok) this.#set(this.#deps.clock.nowMs() + retryMs);
      });
    } catch {
      this.#advancing = false;
      this.#set(this.#deps.clock.nowMs() + retryMs);
    }
  }
}
