/** Sleeps until the next thing that time alone causes, then has it proposed. */
import type { Timers } from "../base/ports.ts";
import type { LogTime } from "./log-time.ts";

interface AlarmDeps {
  readonly time: LogTime;
  readonly timers: Timers;
  /** Is it this node's duty now? */
  readonly isOnDuty: () => boolean;
  /** When there is something to do next; Infinity when never. */
  readonly nextDeadlineMs: () => number;
  /** Proposes it; calls back when that ended, with whether it went through. Throws when it was refused at once. */
  readonly advance: (done: (ok: boolean) => void) => void;
}

/** Timers do not notice when the clock is set forward, or when the machine slept: it is looked at again so often. */
const lookAgainMs = 1000;
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
    const delayMs = Math.min(lookAgainMs, this.#deps.time.untilMs(atMs));
    this.#cancel = this.#deps.timers.after(delayMs, () => this.#ring());
  }

  #ring(): void {
    this.stop();
    if (this.#advancing || !this.#deps.isOnDuty()) return;
    if (this.#deps.nextDeadlineMs() > this.#deps.time.nowMs) {
      this.arm();
      return;
    }
    this.#advancing = true;
    try {
      this.#deps.advance((ok) => {
        this.#advancing = false;
        // The apply that follows arms the next one; after a refusal nothing would.
        if (!ok) this.#set(this.#deps.time.nowMs + retryMs);
      });
    } catch {
      this.#advancing = false;
      this.#set(this.#deps.time.nowMs + retryMs);
    }
  }
}
