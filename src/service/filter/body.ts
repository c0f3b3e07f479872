/** From a filter as a client sends it to one that the search takes. */
import type { Static } from "@sinclair/typebox";
import { requestLimits as limits } from "../../api/limits.ts";
import type { Filter as FilterSchema } from "../../api/search.ts";
import type { JobFilter, JobPageRequest, JobSort } from "../../engine/query.ts";
import { refuseUnsupportedFilter } from "../unsupported.ts";
import { toPriority, toTime } from "../values.ts";

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

export function toFilter(filter: ApiFilter, shard: number): JobFilter {
  refuseUnsupportedFilter(filter);
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
  return result;
}

/** A limit out of bounds means the default, as 0.3 has it. */
export function pageLimitOf({ limit = 50 }: ApiFilter): number {
  return limit !== null && limit >= 1 && limit <= limits.pageRowsMax ? limit : 50;
}

export function toPageRequest(filter: ApiFilter, shard: number): JobPageRequest {
  return {
    filter: toFilter(filter, shard),
    sort: (filter.sort ?? "created_at") as JobSort,
    descending: filter.order !== "asc",
    limit: pageLimitOf(filter),
    ...(filter.cursor == null || filter.cursor === "" ? {} : { cursor: filter.cursor }),
  };
}

/** Does the filter select anything in particular? */
export function isEmptyFilter(filter: JobFilter): boolean {
  return Object.keys(filter).length === 0;
}

const shardFrom = "job_".length + 11;
const shardTo = shardFrom + 3;

/** Stored rows know no shard: 0 stands for this one, and a prefix that names another one is one that no job has. */
function toStoredPrefix(prefix: string, shard: number): string {
  const asked = prefix.slice(shardFrom, shardTo);
  if (!shard.toString(16).padStart(3, "0").startsWith(asked)) return noPrefix;
  return prefix.slice(0, shardFrom) + "0".repeat(asked.length) + prefix.slice(shardTo);
}

/** No id begins so. */
const noPrefix = "none";
