/**
 * From a filter to conditions on rows. What SQL cannot tell (a payload's members, words in any case, groups of errors,
 * payloads that are not kept as plain JSON) is left to `engine/filter-match.ts`, which looks at each job that SQL lets through: so
 * for such a part the SQL must let every job through that might match. Under a `not` that turns round, and the SQL of
 * what is negated must hold only for jobs that match for certain.
 *
 * NULL counts as false everywhere: a negation wraps what it negates.
 */
import type { Database } from "bun:sqlite";
import { stateCode } from "../engine/job.ts";
import type { JobFilter } from "../engine/query.ts";
import { creationOf } from "./search-bounds.ts";
import { queueId, type Sql, type Value } from "./search-lanes.ts";
import { restColumn } from "./state-schema.ts";

/** Lets through: every job that may match, or only jobs that do. */
type Strictness = "may" | "must";

export interface FilterSql {
  readonly conditions: readonly Sql[];
  /** The part of the filter that is still to be tested on each job; undefined when there is none. */
  readonly rest: JobFilter | undefined;
}

/** Conditions besides those that lanes and bounds answer: queue, states, creation, id. */
export function rowConditions(db: Database, filter: JobFilter): FilterSql {
  return { conditions: conditionsOf(db, filter, "may"), rest: untestedOf(filter) };
}

/** Everything that a filter says, for one that is part of another. */
function whole(db: Database, filter: JobFilter, strictness: Strictness): Sql {
  const all: Sql[] = [];
  if (filter.queue !== undefined) {
    all.push({ text: "queue = ?", values: [queueId(db, filter.queue) ?? -1] });
  }
  if (filter.states !== undefined) {
    const codes = filter.states.map((state) => stateCode[state]);
    all.push({ text: `state IN (${codes.map(() => "?").join(",")})`, values: codes });
  }
  const { bounds, conditions } = creationOf(db, filter);
  const { lowSeq, highSeq } = bounds;
  if (lowSeq > 0) all.push({ text: "seq > ?", values: [lowSeq] });
  if (highSeq < Number.MAX_SAFE_INTEGER) all.push({ text: "seq < ?", values: [highSeq] });
  all.push(...conditions, ...conditionsOf(db, filter, strictness));
  return all.length === 0 ? yes : joined(all, " AND ");
}

const yes: Sql = { text: "1", values: [] };

function joined(parts: readonly Sql[], by: string): Sql {
  return {
    text: `(${parts.map(({ text }) => text).join(by)})`,
    values: parts.flatMap(({ values }) => values),
  };
}

/** In the order of their cost: SQLite tests conditions from the first to the last. */
function conditionsOf(db: Database, filter: JobFilter, strictness: Strictness): Sql[] {
  return [
    ...plainConditions(filter),
    ...textConditions(filter, strictness),
    ...(filter.any ?? []).map((group) =>
      group.length === 0
        ? { text: "0", values: [] }
        : joined(
            group.map((one) => whole(db, one, strictness)),
            " OR ",
          ),
    ),
    ...(filter.not ?? []).map((one) => {
      const inner = whole(db, one, strictness === "may" ? "must" : "may");
      return { text: `NOT ifnull(${inner.text}, 0)`, values: inner.values };
    }),
    ...(hasUntold(filter) && strictness === "must" ? [{ text: "0", values: [] }] : []),
  ];
}

function plainConditions(filter: JobFilter): Sql[] {
  const found: Sql[] = [];
  const add = (text: string, value: Value | undefined) => {
    if (value !== undefined) found.push({ text, values: [value] });
  };
  add("priority = ?", filter.priority);
  add("attempt >= ?", filter.attemptMin);
  add("attempt <= ?", filter.attemptMax);
  add("worker = ?", filter.workerId);
  add(`${restColumn("uniqueKey")} = ?`, filter.uniqueKey);
  add(`${restColumn("parentId")} = ?`, filter.parentId);
  add(`${restColumn("batchId")} = ?`, filter.batchId);
  add(`${restColumn("chainId")} = ?`, filter.chainId);
  add(`${restColumn("scheduledAtMs")} > ?`, filter.scheduledAfterMs);
  add(`${restColumn("scheduledAtMs")} < ?`, filter.scheduledBeforeMs);
  // 0 stands for "never", which is neither before nor after anything.
  add("started <> 0 AND started > ?", filter.startedAfterMs);
  add("started <> 0 AND started < ?", filter.startedBeforeMs);
  add("finished <> 0 AND finished > ?", filter.completedAfterMs);
  add("finished <> 0 AND finished < ?", filter.completedBeforeMs);
  add("expire <> 0 AND expire > ?", filter.expireAfterMs);
  add("expire <> 0 AND expire < ?", filter.expireBeforeMs);
  return found;
}

const withErrors =
  "EXISTS (SELECT 1 FROM attempts a WHERE a.seq = jobs.seq AND a.error IS NOT NULL";

function textConditions(filter: JobFilter, strictness: Strictness): Sql[] {
  const found: Sql[] = [];
  for (const [name, value] of Object.entries(filter.tags ?? {})) {
    found.push({
      text: `EXISTS (SELECT 1 FROM json_each(${restColumn("tags")}) WHERE key = ? AND value = ?)`,
      values: [name, value],
    });
  }
  if (filter.payloadContains !== undefined) {
    const { text, values } = {
      text: "instr(payload, ?) > 0",
      values: [filter.payloadContains],
    };
    found.push(
      strictness === "may"
        ? { text: `(${isPacked} OR ${text})`, values }
        : { text: `(NOT ${isPacked} AND ${text})`, values },
    );
  }
  if (filter.hasErrors !== undefined) {
    found.push({ text: `${filter.hasErrors ? "" : "NOT "}${withErrors})`, values: [] });
  }
  if (filter.errorContains !== undefined) {
    found.push({
      text: `${withErrors} AND instr(a.error, ?) > 0)`,
      values: [filter.errorContains],
    });
  }
  return found;
}

/** No JSON text begins so. */
const isPacked = "substr(payload, 1, 1) = '~'";

/** Says the filter itself something that no SQL here tells? */
function hasUntold({ words, payloadWhere, errorGroup }: JobFilter): boolean {
  return words !== undefined || payloadWhere !== undefined || errorGroup !== undefined;
}

function isUntold(filter: JobFilter): boolean {
  return (
    hasUntold(filter) ||
    filter.payloadContains !== undefined ||
    (filter.any ?? []).some((group) => group.some(isUntold)) ||
    (filter.not ?? []).some(isUntold)
  );
}

function untestedOf(filter: JobFilter): JobFilter | undefined {
  const { words, payloadWhere, errorGroup, payloadContains } = filter;
  const any = (filter.any ?? []).filter((group) => group.some(isUntold));
  const not = (filter.not ?? []).filter(isUntold);
  const rest: JobFilter = {
    ...(words === undefined ? {} : { words }),
    ...(payloadWhere === undefined ? {} : { payloadWhere }),
    ...(errorGroup === undefined ? {} : { errorGroup }),
    ...(payloadContains === undefined ? {} : { payloadContains }),
    ...(any.length === 0 ? {} : { any }),
    ...(not.length === 0 ? {} : { not }),
  };
  return Object.keys(rest).length === 0 ? undefined : rest;
}

/** Does the filter say anything but where its jobs are and when they were created? */
export function isPlaceOnly(filter: JobFilter): boolean {
  const { queue: _, states: __, ...others } = filter;
  return Object.keys(others).length === 0;
}
