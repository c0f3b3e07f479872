/**
 * One clock for all groups of a node. Groups that tick together send their heartbeats together, so those to one node leave
 * in one frame.
 */
import type { Timers } from "../base/ports.ts";

export class Ticker {
  readonly #timers: Timers;
  readonly #tickMs: number;
  readonly #callbacks = new Set<() => void>();
  #cancel: (() => void) | undefined;

  constructor(timers: Timers, tickMs: number) {
    this.#timers = timers;
    this.#tickMs = tickMs;
  }

  /** Calls back with every tick, until the returned function is called. */
  every(callback: () => void): () => void {
    this.#callbacks.add(callback);
    this.#arm();
    return () => {
      this.#callbacks.delete(callback);
      if (this.#callbacks.size > 0) return;
      this.#cancel?.();
      this.#cancel = undefined;
    };
  }

  #arm(): void {
    this.#cancel ??= this.#timers.after(this.#tickMs, () => {
      this.#cancel = undefined;
      for (const callback of [...this.#callbacks]) callback();
      if (this.#callbacks.size > 0) this.#arm();
    });
  }
}
