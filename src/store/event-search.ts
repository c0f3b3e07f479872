/**
 * Reads stored life-cycle events, on a connection of its own. Synchronous; `query-worker.ts` keeps it off the main thread.
 *
 * A call decompresses chunks until it has enough, or has looked at as many events as it may. Chunks that hold no job of
 * the filter, or end too early, are passed over without a look.
 */
import { Database } from "bun:sqlite";
import type { LifecycleEvent } from "../engine/event-chunk.ts";
import type { StoredEvents, StoredEventsRequest } from "../engine/query.ts";
import { readEventRow } from "./event-rows.ts";

/** Rows read at once; one has a few kilobytes. */
const rowsPerRead = 16;

interface Row {
  readonly first: number;
  readonly count: number;
  readonly body: Uint8Array;
}

export class EventSearcher {
  readonly #db: Database;

  /** The database must exist and have its tables. */
  constructor(path: string) {
    this.#db = new Database(path, { readonly: true });
    this.#db.exec("PRAGMA busy_timeout = 10000");
    this.#db.exec("PRAGMA cache_size = -2048");
  }

  read(request: StoredEventsRequest): StoredEvents {
    // Bounds and rows of one moment: the writer removes and adds meanwhile.
    this.#db.exec("BEGIN");
    try {
      const { first, next } = this.#bounds();
      if (first === undefined || request.from < first) {
        return { first, events: [], next: request.from };
      }
      return { first, ...this.#collect(request, next) };
    } finally {
      this.#db.exec("ROLLBACK");
    }
  }

  close(): void {
    this.#db.close();
  }

  #bounds(): { readonly first: number | undefined; readonly next: number } {
    const [first] =
      this.#db.query("SELECT first FROM events ORDER BY first LIMIT 1").values()[0] ?? [];
    const last = this.#db
      .query("SELECT first, count FROM events ORDER BY first DESC LIMIT 1")
      .get() as Row | null;
    return {
      first: typeof first === "number" ? first : undefined,
      next: last === null ? 0 : last.first + last.count,
    };
  }

  #collect(
    { from, filter, limit, scanMax, sinceMs }: StoredEventsRequest,
    end: number,
  ): { events: LifecycleEvent[]; next: number } {
    const seqs = [...(filter.seqs ?? [])];
    const low = seqs.length === 0 ? -1 : Math.min(...seqs);
    const high = seqs.length === 0 ? Number.MAX_SAFE_INTEGER : Math.max(...seqs);
    const rows = this.#db.query(
      `SELECT first, count, body FROM events
       WHERE first >= ? AND first + count > ? AND high >= ? AND low <= ? AND end >= ?
       ORDER BY first LIMIT ${rowsPerRead}`,
    );
    const events: LifecycleEvent[] = [];
    let at = from;
    let firstRow = this.#rowWith(from);
    let scanned = 0;
    for (;;) {
      const found = rows.all(firstRow, at, low, high, sinceMs ?? 0) as Row[];
      for (const row of found) {
        const chunk = readEventRow(row);
        for (at = Math.max(at, chunk.first); at < chunk.next; at++) {
          if (events.length >= limit) return { events, next: at };
          if (!chunk.matches(at, filter)) continue;
          const event = chunk.event(at);
          if (event !== undefined) events.push(event);
        }
        firstRow = chunk.next;
        scanned += chunk.count;
        if (scanned >= scanMax) return { events, next: at };
      }
      if (found.length < rowsPerRead) return { events, next: Math.max(at, end) };
    }
  }

  /** First number of the row that has this event, or would have it. */
  #rowWith(number: number): number {
    const row = this.#db
      .query("SELECT first FROM events WHERE first <= ? ORDER BY first DESC LIMIT 1")
      .values(number)[0];
    return Number(row?.[0] ?? 0);
  }
}
