/**
 * Pages of jobs from all shards, merged by the order that was asked for: the sort key, then the id.
 *
 * The cursor holds, per shard, the shard's own cursor of the page it is in, and the last job of that page that was given.
 * The next call fetches that page again and goes on after that job by its key, whether or not it is still there; so
 * a job that matches all the time is given exactly once, as with one shard.
 */
import type { CallContext, Handlers } from "../../api/operations.ts";
import { must } from "../../base/assert.ts";
import { CorvoError } from "../../base/errors.ts";
import type { Clock } from "../../base/ports.ts";
import { firstCursor, orderOf, pageLimitOf } from "../filter/body.ts";
import type { InputFor, ResultFor, ShardCalls } from "./shard-calls.ts";

type Page = ResultFor<"searchJobs">;
type Summary = Page["jobs"][number];

/** Ids order jobs by creation, then by shard, and within a shard as it was made. */
type Position = readonly [key: number, id: string];

/** How far a shard was given. Undefined `cursor`: from its beginning. */
interface Place {
  readonly cursor: string | undefined;
  readonly after: Position | undefined;
}

/** A shard that has no more, with the matches it had. */
interface Ended {
  readonly total: number;
  readonly isExact: boolean;
}

type Standing = Place | Ended;

const textLimitDefault = 50;

export function createSearchParts(
  calls: ShardCalls,
  clock: Clock,
): Pick<Handlers, "searchJobs" | "listJobs" | "searchText"> {
  const searchJobs = async (
    input: InputFor<"searchJobs">,
    context: CallContext,
  ): Promise<ResultFor<"searchJobs">> => {
    const { body } = input;
    const limit = pageLimitOf(body);
    const order = orderOf(body);
    // A shard of which the first page gave nothing is asked from its beginning again, and by the durations of then.
    const begin: Place = { cursor: firstCursor(body, clock.nowMs()), after: undefined };
    const standings =
      body.cursor == null || body.cursor === ""
        ? calls.all.map(() => begin)
        : decodeCursor(body.cursor, calls.count);
    const sources = await Promise.all(
      standings.map((standing, shard) =>
        openSource(
          standing,
          (cursor) => {
            const part = { ...body, limit, cursor: cursor ?? null };
            return calls.body(shard, "searchJobs", { ...input, body: part }, context);
          },
          order,
        ),
      ),
    );
    const jobs = merge(sources, limit, order.isAscending);
    const left = sources.map((source) => source.standing());
    const hasMore = left.some((standing) => !("total" in standing));
    return {
      jobs,
      total: sources.reduce((sum, source) => sum + source.total, 0),
      total_exact: sources.every((source) => source.isExact),
      ...(hasMore ? { cursor: encodeCursor(left) } : {}),
      has_more: hasMore,
      ...reachOf(sources.flatMap((source) => source.reach ?? [])),
      filter: must(
        sources.find((source) => source.filter !== undefined)?.filter,
        "a search that goes on has a shard to ask",
      ),
      duration_ms: Math.max(...sources.map((source) => source.durationMs)),
    };
  };
  return {
    searchJobs,

    listJobs({ query: { consistency, ...filter } }, context) {
      const query = consistency === undefined ? {} : { consistency };
      return searchJobs({ params: {}, query, body: filter }, context);
    },

    async searchText(
      input: InputFor<"searchText">,
      context: CallContext,
    ): Promise<ResultFor<"searchText">> {
      const parts = await Promise.all(
        calls.all.map((shard) => calls.body(shard, "searchText", input, context)),
      );
      const results = parts.flatMap((part) => part.results);
      // Ids begin with the time of creation.
      results.sort((one, other) => (one.id > other.id ? -1 : 1));
      return {
        q: input.query.q,
        results: results.slice(0, input.query.limit ?? textLimitDefault),
        total: parts.reduce((sum, part) => sum + part.total, 0),
        total_exact: parts.every((part) => part.total_exact),
        ...reachOf(parts),
      };
    },
  };
}

type Reach = Pick<Page, "indexed" | "scanned" | "indexed_through">;

/** Together no shard reaches further than the one that reaches least far. */
function reachOf(parts: readonly Reach[]): Reach {
  const through = parts.flatMap((part) => part.indexed_through ?? []).sort();
  const [least] = through;
  return {
    indexed: parts.every((part) => part.indexed),
    scanned: parts.reduce((sum, part) => sum + part.scanned, 0),
    ...(least === undefined ? {} : { indexed_through: least }),
  };
}

/** The jobs of one shard that are still to be given, as far as its page goes. */
interface Source {
  readonly total: number;
  readonly isExact: boolean;
  readonly durationMs: number;
  /** Undefined for a shard that was not asked any more. */
  readonly reach: Reach | undefined;
  readonly filter: string | undefined;
  /** The next job; `unknown` when the page is used up and there are more. */
  head(): { readonly job: Summary; readonly position: Position } | "unknown" | undefined;
  take(): void;
  standing(): Standing;
}

type Fetch = (cursor: string | undefined) => Promise<Page>;

async function openSource(
  standing: Standing,
  fetch: Fetch,
  order: { readonly sort: string; readonly isAscending: boolean },
): Promise<Source> {
  if ("total" in standing) return endedSource(standing);
  let { cursor, after } = standing;
  const { isAscending } = order;
  for (;;) {
    const page = await fetch(cursor);
    const items = page.jobs
      .map((job) => ({ job, position: positionOf(job, order.sort) }))
      .filter(
        ({ position }) =>
          after === undefined || comesAfter(inShard(position), inShard(after), isAscending),
      );
    // Everything of this page was given before; an empty page with a cursor is one whose time was spent, and is passed on.
    if (items.length === 0 && page.jobs.length > 0 && page.cursor !== undefined) {
      cursor = page.cursor;
      after = undefined;
      continue;
    }
    return pageSource(page, items, { cursor, after });
  }
}

function endedSource(ended: Ended): Source {
  return {
    ...ended,
    durationMs: 0,
    reach: undefined,
    filter: undefined,
    head: () => undefined,
    take: () => {},
    standing: () => ended,
  };
}

function pageSource(
  page: Page,
  items: readonly { readonly job: Summary; readonly position: Position }[],
  place: Place,
): Source {
  let used = 0;
  return {
    total: page.total,
    isExact: page.total_exact,
    durationMs: page.duration_ms,
    reach: page,
    filter: page.filter,
    head: () => items[used] ?? (page.cursor === undefined ? undefined : "unknown"),
    take: () => {
      used++;
    },
    standing() {
      if (used < items.length) {
        return used === 0 ? place : { ...place, after: items[used - 1]?.position };
      }
      return page.cursor === undefined
        ? { total: page.total, isExact: page.total_exact }
        : { cursor: page.cursor, after: undefined };
    },
  };
}

/** Ends at the limit, or where a shard whose next job is not known might come first. */
function merge(sources: readonly Source[], limit: number, isAscending: boolean): Summary[] {
  const jobs: Summary[] = [];
  while (jobs.length < limit) {
    let best:
      | { readonly source: Source; readonly job: Summary; readonly position: Position }
      | undefined;
    for (const source of sources) {
      const head = source.head();
      if (head === "unknown") return jobs;
      if (head === undefined) continue;
      if (best === undefined || comesAfter(best.position, head.position, isAscending)) {
        best = { source, ...head };
      }
    }
    if (best === undefined) break;
    best.source.take();
    jobs.push(best.job);
  }
  return jobs;
}

function comesAfter(one: Position, other: Position, isAscending: boolean): boolean {
  const isGreater = one[0] > other[0] || (one[0] === other[0] && one[1] > other[1]);
  const isSame = one[0] === other[0] && one[1] === other[1];
  return !isSame && isGreater === isAscending;
}

/** A shard orders its jobs by their numbers. Of restored ones these need not grow with the times in the ids. */
function inShard([key, id]: Position): Position {
  return [key, id.slice(-numberDigits)];
}

const numberDigits = 12;

function positionOf(job: Summary, sort: string): Position {
  return [keyOf(job, sort), job.id];
}

/** As the search of a shard orders jobs; a time that a job does not have counts as 0. */
function keyOf(job: Summary, sort: string): number {
  switch (sort) {
    case "priority":
      return job.priority;
    case "attempt":
      return job.attempt;
    case "started_at":
      return timeOf(job.started_at);
    case "completed_at":
      return finishedAt(job);
    default:
      return 0;
  }
}

/** A retrying job has failed and is not finished. */
function finishedAt(job: Summary): number {
  if (job.state === "completed") return timeOf(job.completed_at);
  if (job.state === "dead") return timeOf(job.failed_at);
  return timeOf(job.cancelled_at);
}

function timeOf(text: string | undefined): number {
  return text === undefined ? 0 : Date.parse(text);
}

const cursorMark = "shards-1";

function encodeCursor(standings: readonly Standing[]): string {
  const parts = standings.map((standing) =>
    "total" in standing
      ? [standing.total, standing.isExact]
      : [standing.cursor ?? null, ...(standing.after === undefined ? [] : [standing.after])],
  );
  const text = JSON.stringify([cursorMark, ...parts]);
  return new TextEncoder().encode(text).toBase64({ alphabet: "base64url", omitPadding: true });
}

function decodeCursor(text: string, count: number): Standing[] {
  const [mark, ...parts] = parseArray(text);
  if (mark !== cursorMark || parts.length !== count) throw refusedCursor();
  return parts.map((part) => {
    if (!Array.isArray(part) || part.length > 2) throw refusedCursor();
    const [first, second] = part as unknown[];
    if (typeof first === "number" && typeof second === "boolean") {
      return { total: first, isExact: second };
    }
    const isPlace = first === null || typeof first === "string";
    if (!isPlace || !(second === undefined || isPosition(second))) throw refusedCursor();
    return { cursor: first ?? undefined, after: second };
  });
}

function isPosition(value: unknown): value is Position {
  return (
    Array.isArray(value) &&
    value.length === 2 &&
    Number.isFinite(value[0]) &&
    typeof value[1] === "string"
  );
}

function parseArray(text: string): unknown[] {
  try {
    const bytes = Uint8Array.fromBase64(text, { alphabet: "base64url" });
    const value: unknown = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
    return Array.isArray(value) ? value : [];
  } catch {
    return [];
  }
}

function refusedCursor(): CorvoError {
  return new CorvoError("SEARCH_ERROR", "the cursor is not one that a search returned", {
    hint: "Send the cursor of the page before with the same filter, sort and order, or leave it out to start again.",
  });
}
