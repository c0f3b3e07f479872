/** Where a page of a search ended, as opaque text that only fits the search it came from. */
import { CorvoError } from "../base/errors.ts";
import type { JobPageRequest } from "../engine/query.ts";

/**
 * Pages by creation use `atSeq` alone. Pages in another order belong to a run: the candidates between `atSeq` and
 * `endSeq`, of which those up to (`key`, `keySeq`) were given. A cursor without `endSeq` starts the next run.
 */
export interface SearchCursor {
  /** Candidates beyond this one, in the direction of the search, are still to come. */
  readonly atSeq: number;
  readonly endSeq: number | undefined;
  readonly key: number | undefined;
  readonly keySeq: number | undefined;
  /** Matches given before this page, or counted in the runs before this one. */
  readonly before: number;
  readonly total: number;
  readonly totalExact: boolean;
}

const cursorVersion = 1;

export function encodeCursor(cursor: SearchCursor, request: JobPageRequest): string {
  const text = JSON.stringify([
    cursorVersion,
    signature(request),
    cursor.atSeq,
    cursor.endSeq ?? null,
    cursor.key ?? null,
    cursor.keySeq ?? null,
    cursor.before,
    cursor.total,
    cursor.totalExact ? 1 : 0,
  ]);
  return new TextEncoder().encode(text).toBase64({ alphabet: "base64url", omitPadding: true });
}

export function decodeCursor(text: string, request: JobPageRequest): SearchCursor {
  const parts = parse(text);
  if (parts === undefined || parts.length !== 9 || parts[0] !== cursorVersion) {
    throw refused("is not one that a search returned");
  }
  if (parts[1] !== signature(request))
    throw refused("belongs to a search with another filter or order");
  const [atSeq, endSeq, key, keySeq, before, total, exact] = parts.slice(2);
  if (!isCount(atSeq) || !isCount(before) || !isCount(total) || !(exact === 0 || exact === 1)) {
    throw refused("is damaged");
  }
  const inRun = isCount(endSeq) && isCount(key) && isCount(keySeq);
  if (!inRun && !(endSeq === null && key === null && keySeq === null)) throw refused("is damaged");
  return {
    atSeq,
    endSeq: inRun ? endSeq : undefined,
    key: inRun ? key : undefined,
    keySeq: inRun ? keySeq : undefined,
    before,
    total,
    totalExact: exact === 1,
  };
}

function parse(text: string): unknown[] | undefined {
  try {
    const bytes = Uint8Array.fromBase64(text, { alphabet: "base64url" });
    const value: unknown = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
    return Array.isArray(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function refused(why: string): CorvoError {
  return new CorvoError("SEARCH_ERROR", `the cursor ${why}`, {
    hint: "Send the cursor of the page before with the same filter, sort and order, or leave it out to start again.",
  });
}

/** Equal for requests that differ in nothing but the page. */
function signature(request: JobPageRequest): string {
  const { filter } = request;
  const parts = [
    request.sort,
    request.descending,
    sortedEntries({
      ...filter,
      ...(filter.states === undefined ? {} : { states: [...new Set(filter.states)].sort() }),
      ...(filter.tags === undefined ? {} : { tags: sortedEntries(filter.tags) }),
    }),
  ];
  return Bun.hash(JSON.stringify(parts)).toString(36);
}

function sortedEntries(object: object): [string, unknown][] {
  return Object.entries(object)
    .filter(([, value]) => value !== undefined)
    .sort(([one], [other]) => (one < other ? -1 : 1));
}
