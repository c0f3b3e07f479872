/**
 * Says each thing once in a while. A node that is misconfigured, or not ours, calls again every second or two for as long
 * as it runs; its reason belongs into the log and not ten thousand times.
 */
import type { Clock, Logger } from "../../base/ports.ts";
import { peerLimits } from "./limits.ts";

interface Said {
  atMs: number;
  suppressed: number;
}

const keysMax = 256;

export class LogLimiter {
  readonly #logger: Logger;
  readonly #clock: Clock;
  readonly #said = new Map<string, Said>();

  constructor(logger: Logger, clock: Clock) {
    this.#logger = logger;
    this.#clock = clock;
  }

  /** Lines with one `key` appear at most once per `logEveryMs`; the next one says how many were left out. */
  warn(key: string, message: string): void {
    const nowMs = this.#clock.monotonicMs();
    const said = this.#said.get(key);
    if (said !== undefined && nowMs - said.atMs < peerLimits.logEveryMs) {
      said.suppressed += 1;
      return;
    }
    const suppressed = said?.suppressed ?? 0;
    this.#said.delete(key);
    this.#said.set(key, { atMs: nowMs, suppressed: 0 });
    for (const oldest of this.#said.keys()) {
      if (this.#said.size <= keysMax) break;
      this.#said.delete(oldest);
    }
    this.#logger.warn(message, suppressed === 0 ? {} : { suppressed });
  }
}
