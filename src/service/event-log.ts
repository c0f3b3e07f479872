/**
 * The life-cycle events of one shard as this node has them: the latest in memory, the older ones in the database. Every node
 * has them under the same numbers, whether or not it leads.
 */

import type { EventFilter } from "../engine/event-chunk.ts";
import type { EventBounds, EventPage, EventTail } from "../engine/event-tail.ts";
import type { JobSearch } from "../engine/query.ts";

export interface ReadEvents extends EventPage {
  /** The oldest that is kept, when what was asked for is older; then nothing was read. */
  readonly gone: number | undefined;
}

/** Events that are looked at in one go for the story of a job; other queries have their turn in between. */
const jobScanMax = 262_144;

export class EventLog {
  readonly shard: number;
  readonly #tail: EventTail;
  readonly #stored: Pick<JobSearch, "events">;
  /** Has this node all there is, as far as it can know? Else it may yet get events that a reader has from another node. */
  readonly isCurrent: () => boolean;
  readonly isLeading: () => boolean;
  readonly #listeners = new Set<() => void>();

  constructor(
    shard: number,
    tail: EventTail,
    deps: {
      readonly stored: Pick<JobSearch, "events">;
      readonly isCurrent: () => boolean;
      readonly isLeading: () => boolean;
    },
  ) {
    this.shard = shard;
    this.#tail = tail;
    this.#stored = deps.stored;
    this.isCurrent = deps.isCurrent;
    this.isLeading = deps.isLeading;
  }

  /** Number of the next event. */
  get next(): number {
    return this.#tail.next;
  }

  /** Events were added. */
  noteAdded(): void {
    for (const listener of this.#listeners) listener();
  }

  whenAdded(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Events from this number on. None when it is yet to come. */
  async read(from: number, filter: EventFilter, bounds: EventBounds): Promise<ReadEvents> {
    if (from >= this.#tail.first)
      return { gone: undefined, ...this.#tail.read(from, filter, bounds) };
    const { first, events, next } = await this.#stored.events({ from, filter, ...bounds });
    if (first !== undefined && first <= from) return { gone: undefined, events, next };
    return { gone: first ?? this.#tail.first, events: [], next: from };
  }

  /** Number of the oldest event that is kept. */
  async first(): Promise<number> {
    const request = { from: 0, filter: {}, limit: 1, scanMax: 1 };
    const { first } = await this.#stored.events(request);
    return first ?? this.#tail.first;
  }

  /** What is kept of one job, oldest first; `more` when there is more than `limit`. */
  async ofJob(
    { seq, createdAtMs }: { readonly seq: number; readonly createdAtMs: number },
    limit: number,
  ): Promise<{ readonly events: EventPage["events"]; readonly more: boolean }> {
    const filter = { seqs: new Set([seq]) };
    const events: EventPage["events"][number][] = [];
    let from = await this.first();
    while (from < this.#tail.next && events.length <= limit) {
      const bounds = { limit: limit + 1 - events.length, scanMax: jobScanMax };
      const page =
        from >= this.#tail.first
          ? this.#tail.read(from, filter, bounds)
          : await this.#stored.events({ from, filter, ...bounds, sinceMs: createdAtMs });
      // The whole id must match: a guessed number is not an id.
      for (const event of page.events) if (event.createdAtMs === createdAtMs) events.push(event);
      // The oldest were removed meanwhile.
      from = page.next === from ? Math.max(from + 1, await this.first()) : page.next;
    }
    return { events: events.slice(0, limit), more: events.length > limit };
  }
}
