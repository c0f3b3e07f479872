/**
 * Walks the candidates of a search slice by slice, within a budget of rows and time. Where the index of texts reaches,
 * a slice holds the candidates that it gives; elsewhere those of the lanes.
 *
 * A slice is a range of sequence numbers that holds a known number of index entries, so every statement over it is
 * bounded whatever its conditions cost. Slices grow while they are quick and shrink when they are slow: a payload may be
 * a hundred bytes or a quarter of a megabyte.
 */
import type { Database } from "bun:sqlite";
import { must } from "../base/assert.ts";
import type { SeqBounds } from "./search-bounds.ts";
import type { SearchPlan } from "./search-filter.ts";
import { laneSelect, type Sql } from "./search-lanes.ts";
import type { TextLane } from "./text-lane.ts";

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

export interface Slice extends SeqBounds {
  /** The candidates; undefined when they are all entries of the lanes. */
  readonly only: readonly number[] | undefined;
}

/** Bounds in which the candidates come from one place. */
interface Segment extends SeqBounds {
  readonly text: TextLane | undefined;
}

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

  /** Index entries and candidates looked at. */
  get scanned(): number {
    return this.#rows;
  }

  /** What was not in any slice yet lies beyond this sequence number. */
  get atSeq(): number {
    return this.#descending ? this.#highSeq : this.#lowSeq;
  }

  get elapsedMs(): number {
    return this.#nowMs() - this.#startedMs;
  }

  /** The next slice; undefined when there is none or the budget is spent. The first one is always given. */
  next(): Slice | undefined {
    if (this.#finished) return undefined;
    const nowMs = this.#nowMs();
    if (this.#rows > 0) {
      if (this.#rows >= this.#budget.rowsMax || nowMs - this.#startedMs >= this.#budget.timeMs) {
        return undefined;
      }
      this.#adapt(nowMs - this.#sliceStartedMs);
    }
    this.#sliceStartedMs = nowMs;
    const segment = this.#segment();
    const rows = Math.min(this.#sliceRows, this.#budget.rowsMax - this.#rows);
    if (segment.text === undefined) {
      this.#rows += rows;
      return this.#passTo(segment, this.#entryAt(segment, rows), undefined);
    }
    const { seqs, reached } = segment.text.take(segment, rows, this.#descending);
    this.#rows += Math.max(1, seqs.length);
    return this.#passTo(segment, reached, seqs);
  }

  /** The slice from here to `last`, or to the end of the segment; what follows begins behind it. */
  #passTo(segment: Segment, last: number | undefined, only: Slice["only"]): Slice {
    const { lowSeq, highSeq } = segment;
    const slice = this.#descending
      ? { lowSeq: last === undefined ? lowSeq : last - 1, highSeq, only }
      : { lowSeq, highSeq: last === undefined ? highSeq : last + 1, only };
    if (this.#descending) this.#highSeq = slice.lowSeq + 1;
    else this.#lowSeq = slice.highSeq - 1;
    this.#finished = this.#highSeq - this.#lowSeq <= 1;
    return slice;
  }

  /** What is left of the segment in which the next candidates are. */
  #segment(): Segment {
    const lowSeq = this.#lowSeq;
    const highSeq = this.#highSeq;
    const { text } = this.#plan;
    if (text === undefined) return { lowSeq, highSeq, text };
    const { throughSeq } = text;
    const older = { lowSeq, highSeq: Math.min(highSeq, throughSeq + 1), text };
    const newer = { lowSeq: Math.max(lowSeq, throughSeq), highSeq, text: undefined };
    const inOrder = this.#descending ? [newer, older] : [older, newer];
    return must(
      inOrder.find((one) => one.highSeq - one.lowSeq > 1),
      "something is left",
    );
  }

  /** The matching candidates of a slice in the order of the scan. */
  seqs(slice: Slice, limit: number): number[] {
    const { accepts } = this.#plan;
    if (accepts !== undefined) {
      return this.#candidates(slice, Number.MAX_SAFE_INTEGER).filter(accepts).slice(0, limit);
    }
    return this.#candidates(slice, limit);
  }

  #candidates(slice: Slice, limit: number): number[] {
    const found = this.#read(slice, {
      columns: "seq",
      conditions: this.#plan.conditions,
      tail: { text: `${this.#order} LIMIT ?`, values: [limit] },
    });
    return found.map(([seq = 0]) => seq);
  }

  /** The first matching candidates of a slice by a key; with `after`, only those beyond it. */
  keyed(slice: Slice, order: KeyOrder): (readonly [number, number])[] {
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
    const found = this.#read(slice, {
      columns: `${order.column} AS key, seq`,
      conditions: [...this.#plan.conditions, ...after],
      tail: {
        text: `ORDER BY key ${way}, seq ${way} LIMIT ?`,
        values: [accepts === undefined ? order.limit : -1],
      },
    });
    const keyed = found.map(([key = 0, seq = 0]) => [key, seq] as const);
    if (accepts === undefined) return keyed;
    return keyed.filter(([, seq]) => accepts(seq)).slice(0, order.limit);
  }

  count(slice: Slice): number {
    if (this.#plan.accepts !== undefined) return this.seqs(slice, Number.MAX_SAFE_INTEGER).length;
    const inner = this.#select(slice, {
      columns: "1",
      conditions: this.#plan.conditions,
      tail: { text: "", values: [] },
    });
    const rows = readRows(this.#db, {
      text: `SELECT count(*) FROM (${inner.text})`,
      values: inner.values,
    });
    return rows[0]?.[0] ?? 0;
  }

  /** The entry at this position of the lanes, whether its job matches or not; undefined beyond the end. */
  #entryAt(bounds: SeqBounds, position: number): number | undefined {
    const { lowSeq, highSeq } = bounds;
    const entries = { lowSeq, highSeq, only: undefined };
    const rows = this.#read(entries, {
      columns: "seq",
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

  #read(slice: Slice, what: SliceSelect): number[][] {
    return readRows(this.#db, this.#select(slice, what));
  }

  #select(slice: Slice, { columns, conditions, tail }: SliceSelect): Sql {
    const { lanes, table } = this.#plan;
    if (slice.only === undefined) {
      return laneSelect(lanes, { columns, bounds: slice, conditions, tail });
    }
    const given = isOneOf(slice.only);
    return laneSelect([table], {
      columns,
      bounds: slice,
      conditions: [given, ...(conditions ?? [])],
      tail,
    });
  }
}

interface SliceSelect {
  readonly columns: string;
  readonly conditions: readonly Sql[] | undefined;
  readonly tail: Sql;
}

/** The rows with these numbers, whatever many. */
export function isOneOf(seqs: readonly number[]): Sql {
  return { text: "seq IN (SELECT value FROM json_each(?))", values: [JSON.stringify(seqs)] };
}

interface KeyOrder {
  readonly column: string;
  readonly after: readonly [number, number] | undefined;
  readonly limit: number;
}

/** Shapes of searches are many, so statements are not kept. */
export function readRows(db: Database, sql: Sql): number[][] {
  const statement = db.prepare(sql.text);
  try {
    return statement.values(...sql.values) as number[][];
  } finally {
    statement.finalize();
  }
}
