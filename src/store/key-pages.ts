/**
 * Pages in the order of a time that has an index: by start or by end. The index holds the jobs that have such a time; those
 * that have none count as 0, and stand before all others when ascending and after them when descending, by creation.
 *
 * Entries of the index are taken in their order, a bounded number at a time, and tested on their rows; so the order is
 * exact over all pages. A page is short when the budget is spent before it is full, and has a cursor to go on from.
 */
import type { Database } from "bun:sqlite";
import type { JobFilter } from "../engine/query.ts";
import type { SearchPlan } from "./search-filter.ts";
import { laneSelect, type Sql } from "./search-lanes.ts";
import { isOneOf, readRows, Scan, type ScanBudget } from "./search-scan.ts";

export type KeyIndex = "by_started" | "by_finished";

/** A place in the order: the key, and the job of that key. */
export type KeyPlace = readonly [key: number, seq: number];

export interface KeyFound {
  readonly places: readonly KeyPlace[];
  /** What was not looked at yet comes after this; undefined when there is nothing of the kind. */
  readonly goOnAfter: KeyPlace | undefined;
  readonly scanned: number;
}

interface KeyOrder {
  readonly index: KeyIndex;
  readonly descending: boolean;
  readonly after: KeyPlace | undefined;
  /** Stops when so many are found. */
  readonly limit: number;
}

interface KeyEnv {
  readonly db: Database;
  readonly budget: ScanBudget;
  readonly nowMs: () => number;
}

const stepEntries = 1024;
const columns = { by_started: "started", by_finished: "finished" } as const;

export class KeyPages {
  readonly #env: KeyEnv;
  readonly #plan: SearchPlan;
  readonly #filter: JobFilter;
  readonly #order: KeyOrder;
  readonly #startedMs: number;
  readonly #found: KeyPlace[] = [];
  #at: KeyPlace | undefined;
  #scanned = 0;

  constructor(env: KeyEnv, search: { plan: SearchPlan; filter: JobFilter }, order: KeyOrder) {
    this.#env = env;
    this.#plan = search.plan;
    this.#filter = search.filter;
    this.#order = order;
    this.#at = order.after;
    this.#startedMs = env.nowMs();
  }

  find(): KeyFound {
    const { after, descending } = this.#order;
    const isInZeros = after !== undefined && after[0] === 0;
    const isWhole = descending
      ? (isInZeros || this.#fromIndex()) && this.#fromZeros()
      : (after !== undefined && !isInZeros ? true : this.#fromZeros()) && this.#fromIndex();
    return {
      places: this.#found,
      goOnAfter: isWhole ? undefined : this.#at,
      scanned: this.#scanned,
    };
  }

  /** True when the end was reached; else `#at` is where it stopped. */
  #fromIndex(): boolean {
    for (;;) {
      const entries = this.#entries();
      if (entries.length === 0) return true;
      this.#scanned += entries.length;
      const matching = this.#matching(entries.map(([, seq]) => seq));
      for (const place of entries) {
        this.#at = place;
        if (!matching.has(place[1])) continue;
        this.#found.push(place);
        if (this.#found.length >= this.#order.limit) return false;
      }
      if (entries.length < stepEntries) return true;
      if (this.#isSpent) return false;
    }
  }

  #entries(): KeyPlace[] {
    const { index, descending } = this.#order;
    const at = this.#at?.[0] === 0 ? undefined : this.#at;
    const sql = keyEntries(index, { descending, at, bounds: this.#keyBounds() });
    return readRows(this.#env.db, sql).map(([key = 0, seq = 0]) => [key, seq]);
  }

  /** Conditions of the filter on the key itself end the walk early. */
  #keyBounds(): Sql[] {
    const [afterMs, beforeMs] = this.#keyTimes();
    const column = columns[this.#order.index];
    return [
      ...(afterMs === undefined ? [] : [{ text: `${column} > ?`, values: [afterMs] }]),
      ...(beforeMs === undefined ? [] : [{ text: `${column} < ?`, values: [beforeMs] }]),
    ];
  }

  #keyTimes(): readonly [number | undefined, number | undefined] {
    const { startedAfterMs, startedBeforeMs, completedAfterMs, completedBeforeMs } = this.#filter;
    return this.#order.index === "by_started"
      ? [startedAfterMs, startedBeforeMs]
      : [completedAfterMs, completedBeforeMs];
  }

  #matching(seqs: readonly number[]): Set<number> {
    const { table, bounds, conditions, accepts } = this.#plan;
    const rows = readRows(
      this.#env.db,
      laneSelect([table], {
        columns: "seq",
        bounds,
        conditions: [isOneOf(seqs), ...conditions],
        tail: { text: "", values: [] },
      }),
    );
    const found = rows.map(([seq = 0]) => seq);
    return new Set(accepts === undefined ? found : found.filter(accepts));
  }

  /** The jobs without such a time, by creation. */
  #fromZeros(): boolean {
    if (this.#keyTimes().some((timeMs) => timeMs !== undefined)) return true;
    const { db, budget, nowMs } = this.#env;
    const { index, descending, limit, after } = this.#order;
    const column = columns[index];
    const conditions = [{ text: `${column} = 0`, values: [] }, ...this.#plan.conditions];
    const from = after !== undefined && after[0] === 0 ? after[1] : undefined;
    const scan = new Scan(
      db,
      { ...this.#plan, conditions },
      {
        bounds: {
          lowSeq: descending ? 0 : (from ?? 0),
          highSeq: descending ? (from ?? Number.MAX_SAFE_INTEGER) : Number.MAX_SAFE_INTEGER,
        },
        descending,
        budget,
        nowMs,
      },
    );
    for (let slice = scan.next(); slice !== undefined; slice = scan.next()) {
      for (const seq of scan.seqs(slice, limit - this.#found.length)) this.#found.push([0, seq]);
      if (this.#found.length < limit) continue;
      this.#at = this.#found.at(-1);
      this.#scanned += scan.scanned;
      return false;
    }
    this.#scanned += scan.scanned;
    this.#at = scan.finished ? undefined : [0, scan.atSeq];
    return scan.finished;
  }

  get #isSpent(): boolean {
    const { budget, nowMs } = this.#env;
    return this.#scanned >= budget.rowsMax || nowMs() - this.#startedMs >= budget.timeMs;
  }
}

/** The next entries of an index in its order. */
export function keyEntries(
  index: KeyIndex,
  from: {
    readonly descending: boolean;
    readonly at: KeyPlace | undefined;
    readonly bounds: readonly Sql[];
  },
): Sql {
  const column = columns[index];
  const { descending, at, bounds } = from;
  const parts: Sql[] = [{ text: `${column} <> 0`, values: [] }, ...bounds];
  if (at !== undefined) {
    parts.push({ text: `(${column}, seq) ${descending ? "<" : ">"} (?, ?)`, values: at });
  }
  const way = descending ? "DESC" : "ASC";
  const where = parts.map(({ text }) => text).join(" AND ");
  return {
    text: `SELECT ${column}, seq FROM jobs INDEXED BY ${index} WHERE ${where} ORDER BY ${column} ${way}, seq ${way} LIMIT ${stepEntries}`,
    values: parts.flatMap(({ values }) => values),
  };
}
