/**
 * The latest events of a state machine, in memory. They are no part of the state: nothing reads them back, and no hash has
 * them; only their count (`meta.nextEvent`) is replicated, so the same event has the same number everywhere.
 *
 * A state that can be stored (`keepsUntilStored`) hands out what its database lacks with each checkpoint, so events are as
 * durable as the state that follows from them. After a crash the replay of the log makes the missing ones again.
 */
import { must } from "../base/assert.ts";
import {
  EventChunk,
  type EventFilter,
  type EventSubject,
  type LifecycleEvent,
} from "./event-chunk.ts";

/** Events that stay in memory although the database has them: readers who keep up need no query. */
export const tailEventsMax = 8192;
/** Fewer stay when their texts are long. */
const tailTextMax = 4 * 1024 * 1024;

/** How many events a reader takes, and how many are looked at for it. */
export interface EventBounds {
  readonly limit: number;
  readonly scanMax: number;
}

export interface EventPage {
  readonly events: readonly LifecycleEvent[];
  /** Number of the event to go on with. */
  readonly next: number;
}

export class EventTail {
  /** Events by the code of their type, since this was made. */
  readonly added = new Float64Array(64);
  readonly #keepsUntilStored: boolean;
  readonly #chunks: EventChunk[] = [];
  #next: number;
  /** Events below this number are stored, and those below `#taken` are on their way. */
  #stored: number;
  #taken: number;
  /** Characters of the texts of all chunks but the last. */
  #textLength = 0;

  constructor(next: number, keepsUntilStored: boolean) {
    this.#next = next;
    this.#stored = next;
    this.#taken = next;
    this.#keepsUntilStored = keepsUntilStored;
  }

  /** Number of the oldest event that is here; that of the next one when there is none. */
  get first(): number {
    return this.#chunks[0]?.first ?? this.#next;
  }

  get next(): number {
    return this.#next;
  }

  /** Events that no database has yet. */
  get unstored(): number {
    return this.#next - this.#stored;
  }

  add(code: number, subject: EventSubject, atMs: number, text: string | undefined): void {
    let chunk = this.#chunks.at(-1);
    if (chunk === undefined || chunk.isFull) {
      this.#textLength += chunk?.textLength ?? 0;
      chunk = EventChunk.empty(this.#next);
      this.#chunks.push(chunk);
      if (!this.#keepsUntilStored) this.#stored = this.#next;
      this.#forget();
    }
    chunk.add(code, subject, atMs, text);
    this.added[code] = (this.added[code] ?? 0) + 1;
    this.#next++;
  }

  /** Events from `from` on, which must not be below `first`. */
  read(from: number, filter: EventFilter, { limit, scanMax }: EventBounds): EventPage {
    const events: LifecycleEvent[] = [];
    const end = Math.min(this.#next, from + scanMax);
    let next = from;
    let place = this.#chunkWith(from);
    while (next < end && events.length < limit) {
      const chunk = must(this.#chunks[place], "events up to the next number are here");
      const stop = Math.min(end, chunk.next);
      for (; next < stop && events.length < limit; next++) {
        if (!chunk.matches(next, filter)) continue;
        const event = chunk.event(next);
        if (event !== undefined) events.push(event);
      }
      place++;
    }
    return { events, next };
  }

  /** The chunks that the database lacks or has in part. `settle` or `restore` must follow before the next call. */
  take(): readonly EventChunk[] {
    this.#taken = this.#next;
    return this.#chunks.filter((chunk) => chunk.next > this.#stored);
  }

  settle(): void {
    this.#stored = this.#taken;
    this.#forget();
  }

  restore(): void {
    this.#taken = this.#stored;
  }

  /** Lets go of stored chunks, as long as enough stays without them. */
  #forget(): void {
    while (this.#chunks.length > 1) {
      const oldest = must(this.#chunks[0], "there are two");
      const isEnough = this.#next - oldest.next >= tailEventsMax || this.#textLength > tailTextMax;
      if (!isEnough || oldest.next > this.#stored) return;
      this.#textLength -= oldest.textLength;
      this.#chunks.shift();
    }
  }

  #chunkWith(number: number): number {
    let low = 0;
    let high = this.#chunks.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if ((this.#chunks[middle]?.first ?? 0) <= number) low = middle;
      else high = middle - 1;
    }
    return low;
  }
}
