/**
 * Candidates of a search for text, in the order of their numbers: what the index gives, and what a search for text must
 * look at whatever the index says (jobs whose text changed since, jobs with more text than is indexed, jobs with values
 * in unusual forms, jobs of queues with such a name). It reaches up to `throughSeq`; newer jobs are not its business.
 */
import type { Database } from "bun:sqlite";
import { jobStates, stateCode } from "../engine/job.ts";
import type { SeqBounds } from "./search-bounds.ts";
import type { TextAsk } from "./text-ask.ts";
import type { TextIndexView } from "./text-index-view.ts";
import { changedTable, docsTable, type TextPart } from "./text-schema.ts";

export interface Taken {
  /** In the order of the search. */
  readonly seqs: readonly number[];
  /** The last number up to which these are all; undefined when they are all within the bounds. */
  readonly reached: number | undefined;
}

interface Range extends SeqBounds {
  readonly descending: boolean;
  readonly limit: number;
}

/** After so long the rest of the parts is left to the next call, so that the budget of a search is kept. */
const takeMs = 150;

export class TextLane {
  readonly #state: Database;
  readonly #view: TextIndexView;
  readonly #ask: TextAsk;

  readonly #nowMs: () => number;

  constructor(
    env: { readonly db: Database; readonly nowMs: () => number },
    view: TextIndexView,
    ask: TextAsk,
  ) {
    this.#state = env.db;
    this.#nowMs = env.nowMs;
    this.#view = view;
    this.#ask = ask;
  }

  get throughSeq(): number {
    return this.#view.position.through;
  }

  get throughJob(): { readonly seq: number; readonly createdAtMs: number } {
    const { through, created } = this.#view.position;
    return { seq: through, createdAtMs: created };
  }

  take(bounds: SeqBounds, limit: number, descending: boolean): Taken {
    const range = { ...bounds, limit, descending };
    const { db, pending } = this.#view;
    const { queues, withOdd } = this.#ask;
    const sources = [
      this.#fromParts(range),
      listed(db, "SELECT seq FROM long", range),
      ...(withOdd ? [listed(db, "SELECT seq FROM odd", range)] : []),
      ofSorted(pending, range),
      ...queues.map((queue) => this.#ofQueue(queue, range)),
    ];
    return merged(sources, range);
  }

  #fromParts(range: Range): Taken {
    const startedMs = this.#nowMs();
    const parts = this.#view.parts.filter(
      ({ low, high }) => high > range.lowSeq && low < range.highSeq,
    );
    if (range.descending) parts.reverse();
    const seqs: number[] = [];
    for (const [at, part] of parts.entries()) {
      const { seqs: found, reached } = this.#fromPart(part, range);
      seqs.push(...found);
      if (reached !== undefined) return { seqs, reached };
      const isLast = at === parts.length - 1;
      if (!isLast && (seqs.length >= range.limit || this.#nowMs() - startedMs > takeMs)) {
        return { seqs, reached: range.descending ? part.low : part.high };
      }
    }
    return { seqs, reached: undefined };
  }

  #fromPart(part: TextPart, range: Range): Taken {
    const { match } = this.#ask;
    const read = (table: string, per: number): Taken => {
      const rows = this.#view.db
        .query(
          `SELECT rowid FROM ${table} WHERE ${table} MATCH ? AND rowid >= ? AND rowid < ? ORDER BY rowid ${way(range)} LIMIT ?`,
        )
        .values(
          match,
          (range.lowSeq + 1) * per,
          Math.min(range.highSeq, part.high + 1) * per,
          range.limit,
        ) as [number][];
      return cut(
        rows.map(([rowid]) => Math.floor(rowid / per)),
        range,
      );
    };
    const docs = read(docsTable(part.id), 1);
    return part.changed === 0 ? docs : merged([docs, read(changedTable(part.id), 256)], range);
  }

  #ofQueue(queue: number, { lowSeq, highSeq, ...range }: Range): Taken {
    const states = jobStates.map((state) => stateCode[state]);
    const arm =
      "SELECT seq FROM jobs INDEXED BY by_queue WHERE queue = ? AND state = ? AND seq > ? AND seq < ?";
    const rows = this.#state
      .query(`${states.map(() => arm).join(" UNION ALL ")} ORDER BY seq ${way(range)} LIMIT ?`)
      .values(...states.flatMap((state) => [queue, state, lowSeq, highSeq]), range.limit);
    return cut(
      (rows as [number][]).map(([seq]) => seq),
      range,
    );
  }
}

function way({ descending }: Pick<Range, "descending">): string {
  return descending ? "DESC" : "ASC";
}

function listed(db: Database, select: string, range: Range): Taken {
  const rows = db
    .query(`${select} WHERE seq > ? AND seq < ? ORDER BY seq ${way(range)} LIMIT ?`)
    .values(range.lowSeq, range.highSeq, range.limit) as [number][];
  return cut(
    rows.map(([seq]) => seq),
    range,
  );
}

function ofSorted(seqs: readonly number[], range: Range): Taken {
  const within = seqs.filter((seq) => seq > range.lowSeq && seq < range.highSeq);
  if (range.descending) within.reverse();
  return cut(within.slice(0, range.limit), range);
}

function cut(seqs: readonly number[], { limit }: Pick<Range, "limit">): Taken {
  return { seqs, reached: seqs.length < limit ? undefined : seqs.at(-1) };
}

/** What all sources are known to give up to the place that the slowest of them reached. */
function merged(sources: readonly Taken[], { descending }: Pick<Range, "descending">): Taken {
  const ends = sources.flatMap(({ reached }) => reached ?? []);
  const reached =
    ends.length === 0 ? undefined : descending ? Math.max(...ends) : Math.min(...ends);
  const isWithin = (seq: number) =>
    reached === undefined || (descending ? seq >= reached : seq <= reached);
  const all = new Set<number>();
  for (const { seqs } of sources) for (const seq of seqs) if (isWithin(seq)) all.add(seq);
  const sign = descending ? -1 : 1;
  return { seqs: [...all].sort((one, other) => sign * (one - other)), reached };
}
