/** From a filter as a client sends it to one that the search takes. */
import type { Static } from "@sinclair/typebox";
import { requestLimits as limits } from "../../api/limits.ts";
import type { Filter as FilterSchema } from "../../api/search.ts";
import { CorvoError } from "../../base/errors.ts";
import type { JobFilter, JobPageRequest, JobSort } from "../../engine/query.ts";
import { toPriority, toTime } from "../values.ts";
import { joinFilters } from "./join.ts";
import { type ParsedFilter, parseFilter } from "./parse.ts";
import { parseJq } from "./payload-jq.ts";
import { printFilter } from "./print.ts";

export type ApiFilter = Static<typeof FilterSchema>;

type Writable<T> = { -readonly [Key in keyof T]: T[Key] };

const times = [
  ["created_after", "createdAfterMs"],
  ["created_before", "createdBeforeMs"],
  ["scheduled_after", "scheduledAfterMs"],
  ["scheduled_before", "scheduledBeforeMs"],
  ["started_after", "startedAfterMs"],
  ["started_before", "startedBeforeMs"],
  ["completed_after", "completedAfterMs"],
  ["completed_before", "completedBeforeMs"],
  ["expire_after", "expireAfterMs"],
  ["expire_before", "expireBeforeMs"],
] as const;

const texts = [
  ["queue", "queue"],
  ["payload_contains", "payloadContains"],
  ["error_contains", "errorContains"],
  ["unique_key", "uniqueKey"],
  ["worker_id", "workerId"],
  ["parent_id", "parentId"],
  ["batch_id", "batchId"],
  ["chain_id", "chainId"],
  ["job_id_prefix", "jobIdPrefix"],
  ["error_group", "errorGroup"],
] as const;

export interface FilterEnv {
  /** The shard whose jobs are meant; undefined for a filter that is only shown. */
  readonly shard: number | undefined;
  /** What the durations of a text count from. */
  readonly nowMs: number;
}

/** For actions, which have no order. */
export function toFilter(filter: ApiFilter, env: FilterEnv): JobFilter {
  const parsed = parseText(filter.q, env);
  if (parsed.sort !== undefined) {
    throw new CorvoError(
      "SEARCH_ERROR",
      "q: sort has no meaning here; what is done is done to all",
    );
  }
  return joinFilters([membersOf(filter, env), parsed.filter]);
}

function parseText(text: string | null | undefined, { shard, nowMs }: FilterEnv): ParsedFilter {
  const toStored = (prefix: string) => toStoredPrefix(prefix, shard);
  return parseFilter(text ?? "", { nowMs, toStoredPrefix: toStored });
}

function membersOf(filter: ApiFilter, { shard }: FilterEnv): JobFilter {
  const result: Writable<JobFilter> = {};
  for (const [from, to] of texts) {
    const value = filter[from];
    if (value != null && value !== "") result[to] = value;
  }
  if (result.jobIdPrefix !== undefined) {
    result.jobIdPrefix = toStoredPrefix(result.jobIdPrefix, shard);
  }
  for (const [from, to] of times) {
    const value = filter[from];
    if (value != null && value !== "") result[to] = toTime(from, value);
  }
  if (filter.state != null && filter.state.length > 0) result.states = filter.state;
  if (filter.priority != null && filter.priority !== "") {
    result.priority = toPriority(filter.priority);
  }
  if (filter.tags != null && Object.keys(filter.tags).length > 0) result.tags = filter.tags;
  if (filter.attempt_min != null) result.attemptMin = filter.attempt_min;
  if (filter.attempt_max != null) result.attemptMax = filter.attempt_max;
  if (filter.has_errors === true) result.hasErrors = true;
  if (filter.payload_jq != null && filter.payload_jq !== "") {
    result.payloadWhere = [parseJq(filter.payload_jq)];
  }
  return result;
}

/** A limit out of bounds means the default, as 0.3 has it. */
export function pageLimitOf({ limit = 50 }: ApiFilter): number {
  return limit !== null && limit >= 1 && limit <= limits.pageRowsMax ? limit : 50;
}

interface AskedPage {
  readonly request: JobPageRequest;
  readonly writeCursor: (cursor: string) => string;
  /** The filter as it was understood, as text. */
  readonly shown: string;
}

/**
 * The page that is asked for, and how the cursor of its answer is to be written. Durations in a text count from the time of
 * the first page, or else the filter of the next one would be another: so a cursor of such a search begins with that time.
 */
export function toPageRequest(filter: ApiFilter, env: FilterEnv): AskedPage {
  const hasText = filter.q != null && filter.q !== "";
  const given = filter.cursor == null || filter.cursor === "" ? undefined : filter.cursor;
  const begun = hasText && given !== undefined ? begunAt(given) : undefined;
  const nowMs = begun?.nowMs ?? env.nowMs;
  const parsed = parseText(filter.q, { ...env, nowMs });
  const cursor = begun === undefined ? given : begun.cursor || undefined;
  const { sort, isAscending } = orderOf(filter, parsed);
  return {
    request: {
      filter: joinFilters([membersOf(filter, env), parsed.filter]),
      sort,
      descending: !isAscending,
      limit: pageLimitOf(filter),
      ...(cursor === undefined ? {} : { cursor }),
    },
    shown: shownText(filter, nowMs),
    writeCursor: (next) => (hasText ? `${nowMs.toString(36)}${timeMark}${next}` : next),
  };
}

function shownText(filter: ApiFilter, nowMs: number): string {
  const env = { shard: undefined, nowMs };
  return printFilter(joinFilters([membersOf(filter, env), parseText(filter.q, env).filter]));
}

const timeMark = "~";

/** Of a first page whose durations count from this time: what is split into several searches has one such time for all. */
export function firstCursor({ q }: ApiFilter, nowMs: number): string | undefined {
  return q == null || q === "" ? undefined : `${nowMs.toString(36)}${timeMark}`;
}

function begunAt(cursor: string): { readonly nowMs: number; readonly cursor: string } {
  const at = cursor.indexOf(timeMark);
  const nowMs = Number.parseInt(cursor.slice(0, Math.max(0, at)), 36);
  if (at > 0 && at <= 11 && Number.isSafeInteger(nowMs))
    return { nowMs, cursor: cursor.slice(at + 1) };
  throw new CorvoError("SEARCH_ERROR", "the cursor is not one that a search with q returned", {
    hint: "Send the cursor of the page before with the same q, or leave it out to start again.",
  });
}

/** In which order a search gives its jobs. */
export function orderOf(
  filter: ApiFilter,
  parsed: ParsedFilter = parseText(filter.q, { shard: 0, nowMs: 0 }),
): { readonly sort: JobSort; readonly isAscending: boolean } {
  if (parsed.sort !== undefined && filter.sort != null && filter.sort !== parsed.sort) {
    throw new CorvoError("SEARCH_ERROR", `both sort "${filter.sort}" and one in q were given`);
  }
  const order = parsed.order ?? filter.order;
  return {
    sort: (parsed.sort ?? filter.sort ?? "created_at") as JobSort,
    isAscending: order === "asc",
  };
}

/** Does the filter select anything in particular? */
export function isEmptyFilter(filter: JobFilter): boolean {
  return Object.keys(filter).length === 0;
}

const shardFrom = "job_".length + 11;
const shardTo = shardFrom + 3;

/** Stored rows know no shard: 0 stands for this one, and a prefix that names another one is one that no job has. */
function toStoredPrefix(prefix: string, shard: number | undefined): string {
  if (shard === undefined) return prefix;
  const asked = prefix.slice(shardFrom, shardTo);
  if (!shard.toString(16).padStart(3, "0").startsWith(asked)) return noPrefix;
  return prefix.slice(0, shardFrom) + "0".repeat(asked.length) + prefix.slice(shardTo);
}

/** No id begins so. */
const noPrefix = "none";

/** A filter that is kept with an action, as text. */
export function printStored(filter: JobFilter, shard: number): string {
  return printFilter(fromStored(filter, shard));
}

function fromStored(filter: JobFilter, shard: number): JobFilter {
  const { jobIdPrefix: prefix, any: groups, not } = filter;
  const digits = shard.toString(16).padStart(3, "0");
  const of = (one: JobFilter) => fromStored(one, shard);
  return {
    ...filter,
    ...(prefix === undefined || prefix.length <= shardFrom
      ? {}
      : {
          jobIdPrefix:
            prefix.slice(0, shardFrom) +
            digits.slice(0, prefix.length - shardFrom) +
            prefix.slice(shardTo),
        }),
    ...(groups === undefined ? {} : { any: groups.map((group) => group.map(of)) }),
    ...(not === undefined ? {} : { not: not.map(of) }),
  };
}
