/**
 * The index of texts: which jobs contain three characters in a row. It lies in a database of its own beside the state,
 * follows from the state alone, and is thrown away whenever there is doubt about it.
 *
 * - A job's text is its payload, its tags and the errors of its attempts, in the form that ignores case. Only its first
 *   `textCharsMax` characters are indexed; jobs with more are listed in `long`, and every search looks at them itself.
 * - Jobs are numbered upwards, so the index consists of parts, each of so many jobs in a row: an old part goes away as
 *   a whole when its jobs are gone, and a search goes through the parts from its end.
 * - A part has two tables: `docs_N` has a job's text when it was taken in, under the job's number; `changed_N` its whole
 *   text after each change, under 256 times that number plus the change's own, as far as it fits. They keep neither
 *   texts nor positions: of what they give, a search looks at the rows. Measured: about 1.2 bytes per byte of text, 8 us a job.
 * - `position` says what is in the index: jobs up to `through`, and changes up to `change`.
 * - Searches for values of payload members need to know how the values are written. Jobs in which they may be written in
 *   another way than usual (escapes, exponents) are listed in `odd`, and looked at by every search of that kind.
 */
import type { Database } from "bun:sqlite";
import { foldCase } from "../base/fold.ts";

/** Characters of a job's text that are indexed. */
export const textCharsMax = 8192;
/** Jobs of a part. */
export const partJobs = 131_072;
/** Trigrams of one text that are asked for; more make a search slower and hardly more exact. */
const trigramsMax = 16;

/** Trigrams are gathered in memory until they take so much, and written together. */
const hashBytes = 256 * 1024;

export const textVersion = 1;

export const textTables = `
CREATE TABLE IF NOT EXISTS position (
  id INTEGER PRIMARY KEY, version INTEGER NOT NULL, through INTEGER NOT NULL, created INTEGER NOT NULL, change INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS parts (
  id INTEGER PRIMARY KEY, low INTEGER NOT NULL, high INTEGER NOT NULL, docs INTEGER NOT NULL, changed INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS long (seq INTEGER PRIMARY KEY);
CREATE TABLE IF NOT EXISTS odd (seq INTEGER PRIMARY KEY);
`;

/** Up to where the index knows the state. */
export interface TextPosition {
  readonly through: number;
  /** When the job `through` was created; 0 when there is none. */
  readonly created: number;
  readonly change: number;
}

/** Jobs with numbers from `low` to `high`; the last part goes on growing. */
export interface TextPart {
  readonly id: number;
  readonly low: number;
  readonly high: number;
  readonly docs: number;
  readonly changed: number;
}

export function createPartTable(db: Database, table: string): void {
  db.exec(
    `CREATE VIRTUAL TABLE ${table} USING fts5 (text, content='', columnsize=0, detail=none, tokenize='trigram case_sensitive 1')`,
  );
  // Merging while a row is inserted takes tens of milliseconds at once; the indexer merges in small pieces.
  db.exec(`INSERT INTO ${table} (${table}, rank) VALUES ('automerge', 0)`);
  db.exec(`INSERT INTO ${table} (${table}, rank) VALUES ('hashsize', ${hashBytes})`);
}

export function docsTable(part: number): string {
  return `docs_${part}`;
}

export function changedTable(part: number): string {
  return `changed_${part}`;
}

/** Undefined when there is no index, or one of another version. */
export function readPosition(db: Database): TextPosition | undefined {
  const row = db
    .query("SELECT version, through, created, change FROM position WHERE id = 1")
    .get() as (TextPosition & { version: number }) | null;
  return row === null || row.version !== textVersion ? undefined : row;
}

export function readParts(db: Database): TextPart[] {
  return db.query("SELECT id, low, high, docs, changed FROM parts ORDER BY id").all() as TextPart[];
}

/** What is indexed of a job. */
export interface IndexedText {
  readonly text: string;
  readonly isLong: boolean;
  readonly isOdd: boolean;
}

export function indexedTextOf(parts: readonly string[]): IndexedText {
  let text = "";
  let isLong = false;
  for (const part of parts) {
    const room = textCharsMax - text.length;
    if (part.length > room) isLong = true;
    text += `${part.slice(0, Math.max(0, room))}\n`;
  }
  // The tokenizer ends a text at NUL.
  return {
    text: foldCase(text).replaceAll("\0", " "),
    isLong,
    isOdd: oddValues.test(parts[0] ?? ""),
  };
}

/** An escape of a character that needs none, or a number with an exponent: `\\u0041` for A, `1e7` for 10000000. */
const oddValues = /\\u00[2-7]|(?:^|[\s:[,])-?\d[\d.]*[eE]/;

/** A MATCH expression that every job satisfies whose text contains this one; undefined when it is too short to tell. */
export function matchOf(text: string): string | undefined {
  const characters = [...foldCase(text)];
  const all = new Set<string>();
  for (let at = 0; at + 3 <= characters.length; at++) {
    const trigram = characters.slice(at, at + 3).join("");
    // NUL is not indexed, and half a pair has no form in UTF-8.
    if (/\0|\p{Surrogate}/u.test(trigram)) continue;
    all.add(`"${trigram.replaceAll('"', '""')}"`);
  }
  if (all.size === 0) return undefined;
  const found = [...all];
  const step = Math.max(1, found.length / trigramsMax);
  const chosen = Array.from(
    { length: Math.min(found.length, trigramsMax) },
    (_, at) => found[Math.floor(at * step)],
  );
  return chosen.join(" AND ");
}

/** May the writer of a JSON document have written the value in any other way than this, when the job is not odd? */
export function usualText(value: unknown): string | undefined {
  if (typeof value === "string") return /^[\w .:@,-]+$/.test(value) ? value : undefined;
  return typeof value === "number" && Number.isSafeInteger(value) ? String(value) : undefined;
}
