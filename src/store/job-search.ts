/**
 * Answers searches from the state database, on a read-only connection of its own. Synchronous; `query-worker.ts` keeps it
 * off the main thread.
 *
 * Every call reads one snapshot of the database and is bounded by `SearchBudget`. By creation, a page goes through the
 * candidates in order and, when the budget is spent before it is full, is short and has a cursor to go on from. By start
 * or end it does the same along an index (`key-pages.ts`), unless the candidates are few. In any other order there is no
 * index: the candidates are taken in runs of at most `rowsMax`, in the direction of the search by creation, and each run
 * is sorted in itself; a set that fits in one run is sorted as a whole.
 *
 * The total is exact where the counters of the queues know it or the whole set was seen, and a lower bound otherwise.
 * Rules: docs/spec/search.md.
 */
import { Database } from "bun:sqlite";
import { must } from "../base/assert.ts";
import { CorvoError } from "../base/errors.ts";
import type { Job } from "../engine/job.ts";
import type {
  ErrorGroups,
  JobFilter,
  JobPage,
  JobPageRequest,
  JobSort,
  SearchReach,
} from "../engine/query.ts";
import { createMeta, type Meta } from "../engine/state.ts";
import { ErrorGroupCounter, ErrorReader } from "./error-groups.ts";
import { type KeyIndex, KeyPages } from "./key-pages.ts";
import type { SeqBounds } from "./search-bounds.ts";
import { decodeCursor, encodeCursor, type SearchCursor } from "./search-cursor.ts";
import { type PlanEnv, planSearch, type SearchPlan } from "./search-filter.ts";
import { Scan, type ScanBudget } from "./search-scan.ts";
import { sumCounts } from "./state-rows.ts";
import { type JobRow, jobColumns, readJob } from "./state-schema.ts";
import { isDamage } from "./text-files.ts";
import { TextIndexReader } from "./text-index-view.ts";

export interface SearchBudget extends ScanBudget {
  /** How long a full page may be kept back to count what else matches. */
  readonly countMs: number;
  /** So many jobs are sooner sorted than found one after the other in the index of an order. */
  readonly sortedMax: number;
  /** So many jobs are sooner gone through than looked for in the index of texts. */
  readonly fewMax: number;
}

/** Measured: 200,000 rows with a condition on their payload take about a third of a second when they are in memory. */
export const searchBudget: SearchBudget = {
  rowsMax: 200_000,
  timeMs: 900,
  countMs: 40,
  sortedMax: 20_000,
  fewMax: 2000,
};

/** Rows of one page, and sequence numbers of one step. */
const searchRowsMax = 1000;
const searchSeqsMax = 100_000;

export interface JobSearcherOptions {
  readonly budget: SearchBudget;
  readonly nowMs: () => number;
  /** The index of texts, which need not exist; undefined when there is none. */
  readonly textPath?: string | undefined;
}

/** Part of an answer: when `goOnAfterSeq` is given, the budget was spent there. */
export interface SeqStep {
  readonly seqs: number[];
  readonly goOnAfterSeq: number | undefined;
}

const sortColumns: Readonly<Record<Exclude<JobSort, "created_at">, string>> = {
  priority: "priority",
  started_at: "started",
  completed_at: "finished",
  attempt: "attempt",
};

const keyIndexes: Readonly<Partial<Record<JobSort, KeyIndex>>> = {
  started_at: "by_started",
  completed_at: "by_finished",
};

const everything: SeqBounds = { lowSeq: 0, highSeq: Number.MAX_SAFE_INTEGER };

export class JobSearcher {
  readonly #db: Database;
  readonly #budget: SearchBudget;
  readonly #nowMs: () => number;
  readonly #texts: TextIndexReader | undefined;

  /** The database must exist and have its tables. */
  constructor(path: string, options: JobSearcherOptions) {
    this.#db = new Database(path, { readonly: true });
    // First of all: what follows reads the schema, and would not wait for a writer that is about to end.
    this.#db.exec("PRAGMA busy_timeout = 10000");
    this.#db.exec("PRAGMA cache_size = -32768");
    this.#db.exec("PRAGMA temp_store = MEMORY");
    this.#budget = options.budget;
    this.#nowMs = options.nowMs;
    this.#texts =
      options.textPath === undefined ? undefined : new TextIndexReader(options.textPath);
  }

  page(request: JobPageRequest): JobPage {
    checkLimit("limit", request.limit, searchRowsMax);
    const cursor = request.cursor === undefined ? undefined : decodeCursor(request.cursor, request);
    return this.#snapshot((env) => {
      const plan = planSearch(request.filter, env);
      const { sort } = request;
      if (sort === "created_at") return this.#pageByCreation(request, plan, cursor);
      const index = keyIndexes[sort];
      const isAlong =
        cursor === undefined
          ? plan.text === undefined && plan.isWide && plan.inPlace > this.#budget.sortedMax
          : isAlongKey(cursor);
      return index !== undefined && isAlong
        ? this.#pageAlongKey(request, plan, { cursor, index })
        : this.#pageByKey(request, plan, { cursor, column: sortColumns[sort] });
    });
  }

  seqs(
    filter: JobFilter,
    range: { readonly afterSeq: number; readonly beforeSeq: number; readonly limit: number },
  ): SeqStep {
    checkLimit("limit", range.limit, searchSeqsMax);
    return this.#snapshot((env) => {
      const plan = planSearch(filter, env);
      const bounds = { lowSeq: Math.max(0, range.afterSeq), highSeq: range.beforeSeq };
      const scan = this.#scan(plan, bounds, false);
      const seqs: number[] = [];
      while (seqs.length < range.limit) {
        const slice = scan.next();
        if (slice === undefined) break;
        for (const seq of scan.seqs(slice, range.limit - seqs.length)) seqs.push(seq);
      }
      const isWhole = seqs.length >= range.limit || scan.finished;
      return { seqs, goOnAfterSeq: isWhole ? undefined : scan.atSeq };
    });
  }

  /** Looks at the newest jobs first, as far as the budget reaches. */
  errorGroups(filter: JobFilter, limit: number): ErrorGroups {
    checkLimit("limit", limit, searchRowsMax);
    return this.#snapshot((env) => {
      const scan = this.#scan(planSearch(filter, env), everything, true);
      const counter = new ErrorGroupCounter(new ErrorReader(this.#db));
      for (let slice = scan.next(); slice !== undefined; slice = scan.next()) {
        for (const seq of scan.seqs(slice, Number.MAX_SAFE_INTEGER)) counter.add(seq);
      }
      return {
        groups: counter.largest(limit),
        groupCount: counter.groups,
        jobs: counter.jobs,
        exact: scan.finished && !counter.isCut,
      };
    });
  }

  close(): void {
    this.#texts?.close();
    this.#db.close();
  }

  #pageByCreation(
    request: JobPageRequest,
    plan: SearchPlan,
    cursor: SearchCursor | undefined,
  ): JobPage {
    const { limit, descending } = request;
    const scan = this.#scan(plan, beyond(cursor?.atSeq, descending), descending);
    const counts = plan.counted === undefined && cursor === undefined;
    const seqs: number[] = [];
    let seen = 0;
    let fullAtMs: number | undefined;
    for (;;) {
      if (seqs.length > limit) {
        fullAtMs ??= scan.elapsedMs;
        if (!counts || scan.elapsedMs - fullAtMs >= this.#budget.countMs) break;
      }
      const slice = scan.next();
      if (slice === undefined) break;
      const wanted = limit + 1 - seqs.length;
      const found = wanted > 0 ? scan.seqs(slice, wanted) : [];
      seqs.push(...found);
      const all = wanted > 0 && found.length < wanted;
      seen += all || !counts ? found.length : scan.count(slice);
    }

    const isFull = seqs.length > limit;
    const before = cursor?.before ?? 0;
    const sawAll = scan.finished && (counts || !isFull);
    const { total, totalExact } = this.#total(plan, cursor, { seen: before + seen, sawAll });
    const given = isFull ? seqs.slice(0, limit) : seqs;
    const atSeq = isFull ? must(given.at(-1), "a full page has a last job") : scan.atSeq;
    const next: SearchCursor = {
      atSeq,
      endSeq: undefined,
      key: undefined,
      keySeq: undefined,
      before: before + given.length,
      total,
      totalExact,
    };
    return {
      jobs: this.#load(given),
      total,
      totalExact,
      cursor: isFull || !scan.finished ? encodeCursor(next, request) : undefined,
      reach: reachOf(plan, plan.indexed, scan.scanned),
    };
  }

  #pageByKey(
    request: JobPageRequest,
    plan: SearchPlan,
    order: { readonly cursor: SearchCursor | undefined; readonly column: string },
  ): JobPage {
    const { limit, descending } = request;
    const { cursor, column } = order;
    // Within a run that was begun before, its own end is the bound: it held no more rows than the budget allows.
    const endSeq = cursor?.endSeq;
    const scan =
      endSeq === undefined
        ? this.#scan(plan, beyond(cursor?.atSeq, descending), descending)
        : this.#scan(
            plan,
            between(must(cursor, "it has an end").atSeq, endSeq),
            descending,
            unbounded,
          );
    const after: readonly [number, number] | undefined =
      cursor?.key === undefined || cursor.keySeq === undefined
        ? undefined
        : [cursor.key, cursor.keySeq];
    const counts = plan.counted === undefined && endSeq === undefined;
    const isBefore = descending ? comesAfter : comesBefore;
    let best: (readonly [number, number])[] = [];
    let seen = 0;
    for (let slice = scan.next(); slice !== undefined; slice = scan.next()) {
      best.push(...scan.keyed(slice, { column, after, limit: limit + 1 }));
      best.sort((one, other) => (isBefore(one, other) ? -1 : 1));
      best = best.slice(0, limit + 1);
      if (counts) seen += scan.count(slice);
    }

    const isFull = best.length > limit;
    const given = isFull ? best.slice(0, limit) : best;
    const before = cursor?.before ?? 0;
    const { total, totalExact } = this.#total(plan, cursor, {
      seen: before + seen,
      sawAll: counts && scan.finished,
    });
    const runEnd = endSeq ?? (scan.finished ? edge(descending) : scan.atSeq);
    const last = given.at(-1);
    const isLastRun = runEnd === edge(descending);
    const next: SearchCursor =
      isFull && last !== undefined
        ? {
            atSeq: cursor?.atSeq ?? edge(!descending),
            endSeq: runEnd,
            key: last[0],
            keySeq: last[1],
            before,
            total,
            totalExact,
          }
        : {
            atSeq: runEnd,
            endSeq: undefined,
            key: undefined,
            keySeq: undefined,
            before: total,
            total,
            totalExact,
          };
    return {
      jobs: this.#load(given.map(([, seq]) => seq)),
      total,
      totalExact,
      cursor: isFull || !isLastRun ? encodeCursor(next, request) : undefined,
      reach: reachOf(plan, plan.indexed && isLastRun, scan.scanned),
    };
  }

  #pageAlongKey(
    request: JobPageRequest,
    plan: SearchPlan,
    order: { readonly cursor: SearchCursor | undefined; readonly index: KeyIndex },
  ): JobPage {
    const { limit, descending, filter } = request;
    const { cursor, index } = order;
    const env = { db: this.#db, budget: this.#budget, nowMs: this.#nowMs };
    const after =
      cursor?.key === undefined ? undefined : ([cursor.key, cursor.keySeq ?? 0] as const);
    const pages = new KeyPages(
      env,
      { plan, filter },
      { index, descending, after, limit: limit + 1 },
    );
    const { places, goOnAfter, scanned } = pages.find();
    const isFull = places.length > limit;
    const given = isFull ? places.slice(0, limit) : places;
    const before = cursor?.before ?? 0;
    const { total, totalExact } = this.#total(plan, cursor, {
      seen: before + places.length,
      sawAll: goOnAfter === undefined,
    });
    const last = isFull ? given.at(-1) : goOnAfter;
    const next: SearchCursor | undefined =
      last === undefined
        ? undefined
        : {
            ...alongKey,
            key: last[0],
            keySeq: last[1],
            before: before + given.length,
            total,
            totalExact,
          };
    return {
      jobs: this.#load(given.map(([, seq]) => seq)),
      total,
      totalExact,
      cursor: next === undefined ? undefined : encodeCursor(next, request),
      reach: reachOf(plan, plan.indexed, scanned),
    };
  }

  /** The best answer there is: the counters, what was counted now, or what an earlier page knew. */
  #total(
    plan: SearchPlan,
    cursor: SearchCursor | undefined,
    counted: { readonly seen: number; readonly sawAll: boolean },
  ): { total: number; totalExact: boolean } {
    if (plan.counted !== undefined) {
      return { total: sumCounts(this.#db, plan.counted), totalExact: true };
    }
    if (counted.sawAll) return { total: counted.seen, totalExact: true };
    return {
      total: Math.max(counted.seen, cursor?.total ?? 0),
      totalExact: cursor?.totalExact ?? false,
    };
  }

  #scan(plan: SearchPlan, bounds: SeqBounds, descending: boolean, budget?: ScanBudget): Scan {
    return new Scan(this.#db, plan, {
      bounds,
      descending,
      budget: budget ?? this.#budget,
      nowMs: this.#nowMs,
    });
  }

  #load(seqs: readonly number[]): Job[] {
    const select = this.#db.query(`SELECT ${jobColumns} FROM jobs WHERE seq = ?`);
    const selectQueue = this.#db.query("SELECT name FROM queues WHERE id = ?");
    const names = new Map<number, string>();
    return seqs.map((seq) => {
      const row = must(select.get(seq), "a row that was found is in the snapshot") as JobRow & {
        queue: number;
      };
      let name = names.get(row.queue);
      if (name === undefined) {
        const queue = selectQueue.get(row.queue) as { name: string } | null;
        name = must(queue, "the queue of a job exists").name;
        names.set(row.queue, name);
      }
      return readJob(row, name);
    });
  }

  /** Everything a call reads belongs together: rows, counters and floors of one checkpoint. */
  #snapshot<Answer>(read: (env: PlanEnv) => Answer): Answer {
    this.#db.exec("BEGIN");
    try {
      const row = this.#db.query("SELECT value FROM meta WHERE key = 'engine'").get() as {
        value: string;
      } | null;
      const meta = row === null ? createMeta() : (JSON.parse(row.value) as Meta);
      const env = {
        db: this.#db,
        floor: meta.floor,
        fewMax: this.#budget.fewMax,
        nowMs: this.#nowMs,
      };
      const texts = this.#texts?.begin(this.#db);
      if (texts === undefined) return read({ ...env, texts });
      try {
        return read({ ...env, texts });
      } catch (error) {
        if (!isDamage(error)) throw error;
        this.#texts?.drop(error);
        return read({ ...env, texts: undefined });
      } finally {
        this.#texts?.end();
      }
    } finally {
      this.#db.exec("ROLLBACK");
    }
  }
}

function reachOf(plan: SearchPlan, indexed: boolean, scanned: number): SearchReach {
  return { indexed, scanned, textThrough: plan.text?.throughJob };
}

/** What tells a cursor along the index of an order from that of a run. */
const alongKey = { atSeq: 0, endSeq: 0 } as const;

function isAlongKey({ atSeq, endSeq }: SearchCursor): boolean {
  return atSeq === alongKey.atSeq && endSeq === alongKey.endSeq;
}

const unbounded: ScanBudget = {
  rowsMax: Number.MAX_SAFE_INTEGER,
  timeMs: Number.POSITIVE_INFINITY,
};

/** The sequence number past the last candidate in a direction. */
function edge(descending: boolean): number {
  return descending ? everything.lowSeq : everything.highSeq;
}

function beyond(atSeq: number | undefined, descending: boolean): SeqBounds {
  if (atSeq === undefined) return everything;
  return descending ? { ...everything, highSeq: atSeq } : { ...everything, lowSeq: atSeq };
}

/** From beyond `atSeq` up to and with `endSeq`, the last entry of the run. */
function between(atSeq: number, endSeq: number): SeqBounds {
  return atSeq > endSeq
    ? { lowSeq: Math.max(0, endSeq - 1), highSeq: atSeq }
    : { lowSeq: atSeq, highSeq: endSeq + 1 };
}

type Keyed = readonly [key: number, seq: number];

function comesBefore(one: Keyed, other: Keyed): boolean {
  return one[0] < other[0] || (one[0] === other[0] && one[1] < other[1]);
}

function comesAfter(one: Keyed, other: Keyed): boolean {
  return comesBefore(other, one);
}

function checkLimit(name: string, value: number, max: number): void {
  if (Number.isInteger(value) && value >= 1 && value <= max) return;
  throw new CorvoError("SEARCH_ERROR", `${name} ${value} is not a whole number from 1 to ${max}`);
}
