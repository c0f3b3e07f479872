/**
 * The time that the leader stamps on its batches. It is the machine's wall clock, except that it never goes back: behind a
 * log that is ahead, because its clock was set back or the leader before it had a wrong one, time goes on at half the
 * pace until the clock has caught up. Were it to stand still, no lease would end and no job would fall due until then.
 */
import type { Clock } from "../base/ports.ts";

/** Slow enough for the clock to catch up, fast enough for leases of workers that are gone. */
const paceBehind = 0.5;

export class LogTime {
  readonly #clock: Clock;
  /** The latest time that was given or seen. Only this node's own pace makes it a fraction. */
  #latestMs: number;
  /** When that was, on the monotonic clock. */
  #latestAtMs: number;

  constructor(clock: Clock, latestMs: number) {
    this.#clock = clock;
    this.#latestMs = latestMs;
    this.#latestAtMs = clock.monotonicMs();
  }

  /** What `next` would give. */
  get nowMs(): number {
    return Math.floor(Math.max(this.#clock.nowMs(), this.#pacedMs()));
  }

  /** The time of the next batch. */
  next(): number {
    this.#latestMs = Math.max(this.#clock.nowMs(), this.#pacedMs());
    this.#latestAtMs = this.#clock.monotonicMs();
    return Math.floor(this.#latestMs);
  }

  /** A batch of this time was applied. */
  note(batchMs: number): void {
    if (batchMs <= this.#pacedMs()) return;
    this.#latestMs = batchMs;
    this.#latestAtMs = this.#clock.monotonicMs();
  }

  /** How long it takes until that time, unless the clock jumps. */
  untilMs(atMs: number): number {
    const byClock = atMs - this.#clock.nowMs();
    return Math.max(0, Math.min(byClock, (atMs - this.#pacedMs()) / paceBehind));
  }

  #pacedMs(): number {
    const elapsedMs = this.#clock.monotonicMs() - this.#latestAtMs;
    return this.#latestMs + elapsedMs * paceBehind;
  }
}
