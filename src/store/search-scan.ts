/**
 * Walks the candidates of a search slice by slice, within a budget of rows and time.
 *
 * A slice is a range of sequence numbers that holds a known number of index entries, so every statement over it is
 * bounded whatever its conditions cost. Slices grow while they are quick and shrink when they are slow: a payload may be
 * a hundred bytes or a quarter of a megabyte.
 */
import type { Database } from "bun:sqlite";
import { laneSelect, type SearchPlan, type SeqBounds, type Sql } from "./search-filter.ts";

export interface ScanBudget {
  /** Index entries that are looked at. */
  readonly rowsMax: number;
  readonly timeMs: number;
}

const sliceRowsMin = 64;
const sliceRowsFirst = 1024;
const sliceRowsMax = 16_384;
const quickMs = 8;
const slowMs = 32;

export class Scan {
  readonly #db: Database;
  readonly #plan: SearchPlan;
  readonly #descending: boolean;
  readonly #budget: ScanBudget;
  readonly #nowMs: () => number;
  #lowSeq: number;
  #highSeq: number;
  #sliceRows = sliceRowsFirst;
  #rows = 0;
  readonly #startedMs: number;
  #sliceStartedMs: number;
  #finished: boolean;

  constructor(
    db: Database,
    plan: SearchPlan,
    options: {
      readonly bounds: SeqBounds;
      readonly descending: boolean;
      readonly budget: ScanBudget;
      readonly nowMs: () => number;
    },
  ) {
    this.#db = db;
    this.#plan = plan;
    this.#descending = options.descending;
    this.#budget = options.budget;
    this.#nowMs = options.nowMs;
    this.#lowSeq = Math.max(options.bounds.lowSeq, plan.bounds.lowSeq);
    this.#highSeq = Math.min(options.bounds.highSeq, plan.bounds.highSeq);
    this.#finished = plan.lanes.length === 0 || this.#highSeq - this.#lowSeq <= 1;
    this.#startedMs = this.#nowMs();
    this.#sliceStartedMs = this.#startedMs;
  }

  /** Was every candidate within the bounds in some slice? */
  get finished(): boolean {
    return this.#finished;
  }

  /** What was not in any slice yet lies beyond this sequence number. */
  get atSeq(): number {
    return this.#descending ? this.#highSeq : this.#lowSeq;
  }

  get elapsedMs(): number {
    return this.#nowMs() - this.#startedMs;
  }

  /** The next slice; undefined when there is none or the budget is spent. The first one is always given. */
  next(): SeqBounds | undefined {
    if (this.#finished) return undefined;
    const nowMs = this.#nowMs();
    if (this.#rows > 0) {
      if (this.#rows >= this.#budget.rowsMax || nowMs - this.#startedMs >= this.#budget.timeMs) {
        return undefined;
      }
      this.#adapt(nowMs - this.#sliceStartedMs);
    }
    this.#sliceStartedMs = nowMs;
    const rows = Math.min(this.#sliceRows, this.#budget.rowsMax - this.#rows);
    const rest = { lowSeq: this.#lowSeq, highSeq: this.#highSeq };
    const last = this.#entryAt(rest, rows);
    this.#rows += rows;
    if (last === undefined) {
      this.#finished = true;
      return rest;
    }
    if (this.#descending) {
      this.#highSeq = last;
      return { lowSeq: last - 1, highSeq: rest.highSeq };
    }
    this.#lowSeq = last;
    return { lowSeq: rest.lowSeq, highSeq: last + 1 };
  }

  /** The matching candidates of a slice in the order of the scan. */
  seqs(slice: SeqBounds, limit: number): number[] {
    const { accepts } = this.#plan;
    if (accepts !== undefined) {
      return this.#candidates(slice, Number.MAX_SAFE_INTEGER).filter(accepts).slice(0, limit);
    }
    return this.#candidates(slice, limit);
  }

  #candidates(slice: SeqBounds, limit: number): number[] {
    const found = this.#read({
      columns: "seq",
      bounds: slice,
      conditions: this.#plan.conditions,
      tail: { text: `${this.#order} LIMIT ?`, values: [limit] },
    });
    return found.map(([seq = 0]) => seq);
  }

  /** The first matching candidates of a slice by a key; with `after`, only those beyond it. */
  keyed(slice: SeqBounds, order: KeyOrder): (readonly [number, number])[] {
    const { accepts } = this.#plan;
    const way = this.#descending ? "DESC" : "ASC";
    const after: Sql[] =
      order.after === undefined
        ? []
        : [
            {
              text: `(${order.column}, seq) ${this.#descending ? "<" : ">"} (?, ?)`,
              values: order.after,
            },
          ];
    const found = this.#read({
      columns: `${order.column} AS key, seq`,
      bounds: slice,
      conditions: [...this.#plan.conditions, ...after],
      tail: {
        text: `ORDER BY key ${way}, seq ${way} LIMIT ?`,
        values: [accepts === undefined ? order.limit : Number.MAX_SAFE_INTEGER],
      },
    });
    const keyed = found.map(([key = 0, seq = 0]) => [key, seq] as const);
    if (accepts === undefined) return keyed;
    return keyed.filter(([, seq]) => accepts(seq)).slice(0, order.limit);
  }

  count(slice: SeqBounds): number {
    if (this.#plan.accepts !== undefined) return this.seqs(slice, Number.MAX_SAFE_INTEGER).length;
    const inner = laneSelect(this.#plan.lanes, {
      columns: "1",
      bounds: slice,
      conditions: this.#plan.conditions,
      tail: { text: "", values: [] },
    });
    const rows = run(this.#db, {
      text: `SELECT count(*) FROM (${inner.text})`,
      values: inner.values,
    });
    return rows[0]?.[0] ?? 0;
  }

  /** The entry at this position of the lanes, whether its job matches or not; undefined beyond the end. */
  #entryAt(bounds: SeqBounds, position: number): number | undefined {
    const rows = this.#read({
      columns: "seq",
      bounds,
      conditions: undefined,
      tail: { text: `${this.#order} LIMIT 1 OFFSET ?`, values: [position - 1] },
    });
    return rows[0]?.[0];
  }

  get #order(): string {
    return this.#descending ? "ORDER BY seq DESC" : "ORDER BY seq";
  }

  #adapt(tookMs: number): void {
    if (tookMs < quickMs) this.#sliceRows = Math.min(this.#sliceRows * 2, sliceRowsMax);
    else if (tookMs > slowMs) this.#sliceRows = Math.max(this.#sliceRows >> 1, sliceRowsMin);
  }

  #read(what: Parameters<typeof laneSelect>[1]): number[][] {
    return run(this.#db, laneSelect(this.#plan.lanes, what));
  }
}

interface KeyOrder {
  readonly column: string;
  readonly after: readonly [number, number] | undefined;
  readonly limit: number;
}

/** Shapes of searches are many, so statements are not kept. */
function run(db: Database, sql: Sql): number[][] {
  const statement = db.prepare(sql.text);
  try {
    return statement.values(...sql.values) as number[][];
  } finally {
    statement.finalize();
  }
}
