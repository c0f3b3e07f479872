/**
 * Pages of lists that are kept in memory. Each row of a list stands at a place, a text; the list is in the order of the places,
 * or in the reverse one. A cursor is the name of its list and the place where a page ended, so rows that come and go between
 * two pages neither repeat nor hide others, and pages of several shards are put together by the same rule.
 */
import { requestLimits as limits } from "../api/limits.ts";
import { pageRowsDefault } from "../api/page.ts";
import { CorvoError } from "../base/errors.ts";

export interface PageQuery {
  readonly limit?: number;
  readonly cursor?: string;
}

export interface Listing<Row> {
  /** Its path without what all have in common; cursors of other lists are refused. */
  readonly list: string;
  readonly placeOf: (row: Row) => string;
  readonly isReverse: boolean;
}

interface PageEnd {
  has_more: boolean;
  cursor?: string;
}

/** Where the page begins: behind this place. Empty for the first page. */
export function startOf(list: string, { cursor }: PageQuery): string {
  if (cursor === undefined || cursor === "") return "";
  const [found, place] = decode(cursor);
  if (found === list && typeof place === "string" && place !== "") return place;
  const shown = cursor.length > 40 ? `${cursor.slice(0, 40)}…` : cursor;
  throw new CorvoError(
    "VALIDATION_ERROR",
    `cursor: ${JSON.stringify(shown)} is not one that a page of ${list} ended with`,
    { hint: "Send the cursor of the page before, or none to begin anew." },
  );
}

/** What a page says of the ones behind it; `lastPlace` is that of its last row. */
export function endOf(list: string, hasMore: boolean, lastPlace: string | undefined): PageEnd {
  if (!hasMore || lastPlace === undefined) return { has_more: hasMore };
  const bytes = new TextEncoder().encode(JSON.stringify([list, lastPlace]));
  return { has_more: true, cursor: bytes.toBase64({ alphabet: "base64url", omitPadding: true }) };
}

/** The rows of one page among all rows, which come in any order. `hasMoreElsewhere`: some are not among them. */
export function pageOf<Row>(
  { list, placeOf, isReverse }: Listing<Row>,
  query: PageQuery,
  rows: Iterable<Row>,
  hasMoreElsewhere = false,
): { readonly rows: Row[]; readonly end: PageEnd } {
  const start = startOf(list, query);
  const most = Math.min(query.limit ?? pageRowsDefault, limits.pageRowsMax);
  const isBefore = (one: string, other: string) => (isReverse ? one > other : one < other);
  // The first rows so far, one more than are given, in order. There may be many more than that.
  const first: { readonly place: string; readonly row: Row }[] = [];
  for (const row of rows) {
    const place = placeOf(row);
    if (start !== "" && !isBefore(start, place)) continue;
    const last = first.length > most ? first[most] : undefined;
    if (last !== undefined && !isBefore(place, last.place)) continue;
    if (last !== undefined) first.pop();
    first.splice(positionOf(first, place, isBefore), 0, { place, row });
  }
  const page = first.slice(0, most);
  const hasMore = first.length > most || hasMoreElsewhere;
  return { rows: page.map(({ row }) => row), end: endOf(list, hasMore, page.at(-1)?.place) };
}

function positionOf(
  sorted: readonly { readonly place: string }[],
  place: string,
  isBefore: (one: string, other: string) => boolean,
): number {
  let [low, high] = [0, sorted.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (isBefore(sorted[middle]?.place ?? "", place)) low = middle + 1;
    else high = middle;
  }
  return low;
}

function decode(cursor: string): unknown[] {
  try {
    const bytes = Uint8Array.fromBase64(cursor, { alphabet: "base64url" });
    const value: unknown = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
    return Array.isArray(value) ? value : [];
  } catch {
    return [];
  }
}
