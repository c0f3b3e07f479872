/** Reading the texts of jobs from the state database: for the index of texts, and for searches that look at rows. */
import type { Database } from "bun:sqlite";
import { jsonOf } from "../base/stored-value.ts";
import type { Meta } from "../engine/state.ts";
import { keptOfAny } from "./search-lanes.ts";
import { restPath } from "./state-schema.ts";
import { type IndexedText, indexedTextOf, textCharsMax } from "./text-schema.ts";

export interface TextRow {
  readonly seq: number;
  readonly createdAtMs: number;
  readonly indexed: IndexedText;
}

interface Row {
  readonly seq: number;
  readonly created: number;
  readonly payload: string;
  readonly tags: string | null;
  readonly history: number | null;
}

/** One character more than is indexed, so that a longer text is known to be longer; other forms than JSON come whole. */
const columns = `seq, created, CASE WHEN payload GLOB '~*' THEN payload ELSE substr(payload, 1, ${textCharsMax + 1}) END AS payload,
  rest ->> '${restPath("tags")}' AS tags, rest ->> '${restPath("history")}' AS history`;

export class TextReader {
  readonly #db: Database;

  constructor(db: Database) {
    this.#db = db;
  }

  /** The first `limit` jobs from `low` to `high` in the order of their numbers. */
  *rows(
    bounds: { readonly low: number; readonly high: number; readonly limit: number },
    floor: Meta["floor"],
  ): Iterable<TextRow> {
    const kept = keptOfAny(floor);
    const found = this.#db
      .query(
        `SELECT ${columns} FROM jobs WHERE seq >= ? AND seq <= ? AND ${kept.text} ORDER BY seq LIMIT ?`,
      )
      .iterate(bounds.low, bounds.high, ...kept.values, bounds.limit);
    for (const row of found) yield this.#textOf(row as Row);
  }

  /** How many these jobs are. */
  count(bounds: { readonly low: number; readonly high: number }, floor: Meta["floor"]): number {
    const kept = keptOfAny(floor);
    const row = this.#db
      .query(`SELECT count(*) AS n FROM jobs WHERE seq >= ? AND seq <= ? AND ${kept.text}`)
      .get(bounds.low, bounds.high, ...kept.values) as { readonly n: number };
    return row.n;
  }

  /** Undefined when the job is gone. */
  row(seq: number): TextRow | undefined {
    const row = this.#db.query(`SELECT ${columns} FROM jobs WHERE seq = ?`).get(seq);
    return row === null ? undefined : this.#textOf(row as Row);
  }

  #textOf({ seq, created, payload, tags, history }: Row): TextRow {
    const errors = (history ?? 0) > 0 ? errorsOf(this.#db, seq) : [];
    const parts = [jsonOf(payload) ?? "", tags ?? "", ...errors];
    return { seq, createdAtMs: created, indexed: indexedTextOf(parts) };
  }
}

/** The errors of a job's attempts, oldest first. */
export function errorsOf(db: Database, seq: number): string[] {
  const rows = db
    .query("SELECT error FROM attempts WHERE seq = ? AND error IS NOT NULL ORDER BY ordinal")
    .values(seq) as [string][];
  return rows.map(([error]) => error);
}
