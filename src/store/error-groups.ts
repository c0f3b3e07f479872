/**
 * Errors of jobs by group, read from the state database. What counts is the error of the last attempt that has one, and
 * for a job that never had an attempt the reason of its end. Groups are worked out when they are asked for: the engine
 * keeps nothing of them, so jobs cost nothing more, and retention needs not count backwards.
 */
import type { Database } from "bun:sqlite";
import { type ErrorGroup, errorGroupOf } from "../engine/error-group.ts";
import type { ErrorGroupCount } from "../engine/query.ts";
import { restPath } from "./state-schema.ts";

/** Groups that are told apart in one answer; what belongs to further ones is only counted. */
export const groupsMax = 10_000;

interface ErrorRow {
  readonly outcome: string;
  readonly error: string;
}

interface EndRow {
  readonly created: number;
  readonly finished: number;
  readonly reason: string | null;
}

export class ErrorReader {
  readonly #error;
  readonly #end;

  constructor(db: Database) {
    this.#error = db.query<ErrorRow, [number]>(
      "SELECT outcome, error FROM attempts WHERE seq = ? AND error IS NOT NULL ORDER BY ordinal DESC LIMIT 1",
    );
    this.#end = db.query<EndRow, [number]>(
      `SELECT created, finished, rest ->> '${restPath("reason")}' AS reason FROM jobs WHERE seq = ?`,
    );
  }

  /** Undefined when nothing is known to be wrong with the job. */
  groupOf(seq: number): ErrorGroup | undefined {
    const row = this.#error.get(seq);
    if (row === null) {
      const reason = this.#end.get(seq)?.reason;
      return reason == null ? undefined : errorGroupOf(reason, undefined);
    }
    const blank = row.outcome.indexOf(" ");
    return errorGroupOf(row.error, blank < 0 ? undefined : row.outcome.slice(blank + 1));
  }

  timesOf(seq: number): { readonly createdAtMs: number; readonly finishedAtMs: number } {
    const row = this.#end.get(seq);
    return { createdAtMs: row?.created ?? 0, finishedAtMs: row?.finished ?? 0 };
  }
}

export class ErrorGroupCounter {
  readonly #reader: ErrorReader;
  readonly #groups = new Map<string, Writable<ErrorGroupCount>>();
  /** Jobs that were looked at. */
  jobs = 0;
  /** Were there more groups than are told apart? */
  isCut = false;

  constructor(reader: ErrorReader) {
    this.#reader = reader;
  }

  add(seq: number): void {
    this.jobs++;
    const group = this.#reader.groupOf(seq) ?? { id: "none", errorClass: undefined, error: "" };
    const { createdAtMs, finishedAtMs: atMs } = this.#reader.timesOf(seq);
    const sample = { seq, createdAtMs };
    const known = this.#groups.get(group.id);
    if (known === undefined) {
      if (this.#groups.size >= groupsMax) {
        this.isCut = true;
        return;
      }
      this.#groups.set(group.id, { group, count: 1, firstMs: atMs, lastMs: atMs, sample });
      return;
    }
    known.count++;
    known.firstMs = Math.min(known.firstMs, atMs);
    if (atMs >= known.lastMs) {
      known.lastMs = atMs;
      known.sample = sample;
    }
  }

  /** The largest first. */
  largest(limit: number): ErrorGroupCount[] {
    const all = [...this.#groups.values()];
    all.sort((one, other) => other.count - one.count || other.lastMs - one.lastMs);
    return all.slice(0, limit);
  }

  get groups(): number {
    return this.#groups.size;
  }
}

type Writable<T> = { -readonly [Key in keyof T]: T[Key] };
