/**
 * Which jobs have another text than they had when they were added: those that failed, those that a later enqueue
 * replaced, and those that were restored under a number that others are beyond. The index of texts (`text-indexer.ts`) follows this list. A checkpoint writes it in its own transaction, so it
 * is never behind the rows; what the index has taken in is removed by a later one.
 *
 * - Numbers only grow. `done` in `text_changes_done` is the last one that was removed: an index that has not taken in
 *   that one has missed something and begins anew.
 * - Without an index to read it the list is not kept. When the index is too far behind, the list is dropped as a whole.
 */
import type { Database } from "bun:sqlite";
import type { Attempt, Job } from "../engine/job.ts";

export const textChangeTables = `
CREATE TABLE IF NOT EXISTS text_changes (ordinal INTEGER PRIMARY KEY, seq INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS text_changes_done (id INTEGER PRIMARY KEY, done INTEGER NOT NULL);
`;

/** Changes kept for an index that is behind. */
export const textChangesMax = 1_000_000;

/** The jobs of a checkpoint whose text may differ from what was stored before. */
export function changedTexts(
  jobs: readonly Job[],
  attempts: readonly (readonly [key: string, attempt: Attempt])[],
  restored: readonly number[],
): number[] {
  const seqs = new Set(restored);
  for (const { seq, options } of jobs) {
    const { onConflict } = options;
    if (onConflict === "replace" || onConflict === "keep_last") seqs.add(seq);
  }
  for (const [, { seq, error }] of attempts) if (error !== undefined) seqs.add(seq);
  return [...seqs];
}

export class TextChangeWriter {
  readonly #db: Database;
  #next: number;
  #first: number;

  constructor(db: Database) {
    this.#db = db;
    const { low, high } = db
      .query("SELECT min(ordinal) AS low, max(ordinal) AS high FROM text_changes")
      .get() as { low: number | null; high: number | null };
    const done = textChangesDone(db);
    this.#next = Math.max(high ?? 0, done) + 1;
    this.#first = low ?? this.#next;
  }

  /** Where the list stands; for `reset`. */
  get mark(): readonly [number, number] {
    return [this.#first, this.#next];
  }

  /** The transaction was undone. */
  reset([first, next]: readonly [number, number]): void {
    this.#first = first;
    this.#next = next;
  }

  /** Within the transaction of the checkpoint. */
  write(seqs: readonly number[], takenIn: number): void {
    const insert = this.#db.query("INSERT INTO text_changes VALUES (?, ?)");
    for (const seq of seqs) insert.run(this.#next++, seq);
    const overflows = this.#next - this.#first > textChangesMax;
    const upTo = overflows ? this.#next - 1 : Math.min(takenIn, this.#next - 1);
    if (upTo < this.#first) return;
    this.#db.query("DELETE FROM text_changes WHERE ordinal <= ?").run(upTo);
    this.#db.query("INSERT OR REPLACE INTO text_changes_done VALUES (1, ?)").run(upTo);
    this.#first = upTo + 1;
  }
}

/** The last change that is no longer in the list. */
export function textChangesDone(db: Database): number {
  const row = db.query("SELECT done FROM text_changes_done WHERE id = 1").get();
  return (row as { done: number } | null)?.done ?? 0;
}

/** The last change there was. */
export function lastTextChange(db: Database): number {
  const row = db.query("SELECT max(ordinal) AS last FROM text_changes").get();
  return Math.max((row as { last: number | null }).last ?? 0, textChangesDone(db));
}
