/** Time that passes only from event to event. Events of one moment happen in the order in which they were planned. */
import type { Clock, Timers } from "../../src/base/ports.ts";

interface Event {
  readonly atMs: number;
  readonly order: number;
  run: (() => void) | undefined;
}

/** A binary heap of events. */
export class EventQueue {
  nowMs = 0;
  count = 0;
  readonly #heap: Event[] = [];
  #order = 0;

  /** Returns how to call it off. */
  after(delayMs: number, run: () => void): () => void {
    const event: Event = { atMs: this.nowMs + Math.max(0, delayMs), order: this.#order++, run };
    this.#push(event);
    return () => {
      event.run = undefined;
    };
  }

  /** Lets time pass to this moment, with everything that happens before it. */
  runUntil(atMs: number): void {
    for (let next = this.#heap[0]; next !== undefined && next.atMs <= atMs; next = this.#heap[0]) {
      this.#pop();
      if (next.run === undefined) continue;
      this.nowMs = next.atMs;
      this.count++;
      next.run();
    }
    this.nowMs = atMs;
  }

  #push(event: Event): void {
    const heap = this.#heap;
    let at = heap.length;
    heap.push(event);
    while (at > 0) {
      const above = (at - 1) >> 1;
      const parent = heap[above] as Event;
      if (!isBefore(event, parent)) break;
      heap[at] = parent;
      at = above;
    }
    heap[at] = event;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return;
    let at = 0;
    for (;;) {
      let below = at * 2 + 1;
      if (below >= heap.length) break;
      const right = heap[below + 1];
      if (right !== undefined && isBefore(right, heap[below] as Event)) below++;
      const child = heap[below] as Event;
      if (!isBefore(child, last)) break;
      heap[at] = child;
      at = below;
    }
    heap[at] = last;
  }
}

function isBefore(one: Event, other: Event): boolean {
  return one.atMs < other.atMs || (one.atMs === other.atMs && one.order < other.order);
}

const epochMs = Date.UTC(2030, 0, 1);

/** What one machine takes for the time: its clock runs fast or slow, and is set forward or back. */
export class MachineClock implements Clock {
  readonly #events: EventQueue;
  /** Seconds of this clock to a second. */
  #rate = 1;
  #wallMs = epochMs;
  #monotonicMs = 0;
  #readAtMs = 0;

  constructor(events: EventQueue) {
    this.#events = events;
  }

  nowMs(): number {
    this.#advance();
    return Math.floor(this.#wallMs);
  }

  monotonicMs(): number {
    this.#advance();
    return this.#monotonicMs;
  }

  get rate(): number {
    return this.#rate;
  }

  setRate(rate: number): void {
    this.#advance();
    this.#rate = rate;
  }

  jump(byMs: number): void {
    this.#advance();
    this.#wallMs += byMs;
  }

  #advance(): void {
    const passedMs = (this.#events.nowMs - this.#readAtMs) * this.#rate;
    this.#readAtMs = this.#events.nowMs;
    this.#wallMs += passedMs;
    this.#monotonicMs += passedMs;
  }
}

/** Timers of one process: they follow its machine's clock rate, and are gone with the process. */
export function processTimers(
  events: EventQueue,
  clock: MachineClock,
  enter: (work: () => void) => void,
): Timers {
  return {
    after: (delayMs, callback) => {
      let isOff = false;
      const cancel = events.after(delayMs / clock.rate, () =>
        enter(() => {
          if (!isOff) callback();
        }),
      );
      return () => {
        isOff = true;
        cancel();
      };
    },
  };
}
