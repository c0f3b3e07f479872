/**
 * How fast each queue was claimed lately, for who asks when a job may start. Counted in spans of half a minute, of which the
 * current one and the one before are kept. In memory of the node that leads, and forgotten with its role.
 */
const spanMs = 30_000;
/** Queues that are counted at once; more are not counted until others are silent. */
const queuesMax = 100_000;

/** Claims just begun are not taken for a rate of thousands. */
const coveredMsMin = 5000;

interface Counted {
  readonly firstMs: number;
  spanStartMs: number;
  count: number;
  before: number;
}

export class ClaimRates {
  readonly #nowMs: () => number;
  readonly #queues = new Map<string, Counted>();
  #sweepAtMs: number;

  /** The clock must not go back. */
  constructor(monotonicMs: () => number) {
    this.#nowMs = monotonicMs;
    this.#sweepAtMs = monotonicMs() + 2 * spanMs;
  }

  note(queue: string, count: number): void {
    const nowMs = this.#nowMs();
    if (nowMs >= this.#sweepAtMs) this.#sweep(nowMs);
    let counted = this.#queues.get(queue);
    if (counted === undefined) {
      if (this.#queues.size >= queuesMax) return;
      counted = { firstMs: nowMs, spanStartMs: nowMs, count: 0, before: 0 };
      this.#queues.set(queue, counted);
    }
    roll(counted, nowMs);
    counted.count += count;
  }

  /** Claims per second over the last half to whole minute; 0 when there were none. */
  perSecond(queue: string): number {
    const counted = this.#queues.get(queue);
    if (counted === undefined) return 0;
    const nowMs = this.#nowMs();
    roll(counted, nowMs);
    const sinceMs = Math.max(counted.firstMs, counted.spanStartMs - spanMs);
    const coveredMs = Math.max(coveredMsMin, nowMs - sinceMs);
    return ((counted.count + counted.before) * 1000) / coveredMs;
  }

  #sweep(nowMs: number): void {
    this.#sweepAtMs = nowMs + 2 * spanMs;
    for (const [queue, counted] of this.#queues) {
      if (nowMs - counted.spanStartMs >= 2 * spanMs) this.#queues.delete(queue);
    }
  }
}

function roll(counted: Counted, nowMs: number): void {
  const pastMs = nowMs - counted.spanStartMs;
  if (pastMs < spanMs) return;
  counted.before = pastMs < 2 * spanMs ? counted.count : 0;
  counted.count = 0;
  counted.spanStartMs = nowMs - (pastMs % spanMs);
}
