/**
 * Where the candidates of a search come from. A lane is one run of an index in which rows stand in the order of their
 * sequence numbers: the table itself, one state of `by_state`, one state of one queue of `by_queue`, or one value of an
 * index of rows that have something (`indexedColumns`). Several lanes are merged by SQLite without sorting.
 *
 * Values only ever travel as parameters. Names of columns and paths come from this program.
 */
import type { Database } from "bun:sqlite";
import { isFinished, type JobState, jobStates, stateCode } from "../engine/job.ts";
import type { JobFilter } from "../engine/query.ts";
import { type Meta, retentionClassOf } from "../engine/state.ts";
import type { SeqBounds } from "./search-bounds.ts";
import { sumCounts } from "./state-rows.ts";
import { indexedColumns, type PartialIndex } from "./state-schema.ts";

export type Value = string | number;

/** A piece of SQL with the values of its parameters. */
export interface Sql {
  readonly text: string;
  readonly values: readonly Value[];
}

/** One ordered source of candidates. */
export interface Lane {
  readonly index: "by_state" | "by_queue" | PartialIndex | undefined;
  /** The start of the index that all candidates share. */
  readonly where: readonly Sql[];
  /** What else holds for every job of the lane; apart, because going past other rows costs as much. */
  readonly kept: readonly Sql[];
}

/** Queues and states that a filter is limited to. */
export interface Places {
  /** Ids; undefined for all queues. */
  readonly queues: readonly number[] | undefined;
  readonly states: readonly JobState[];
}

/** More queues than this are a condition on rows. */
const queueLanesMax = 16;

/** With fewer jobs than this in the wanted states, those are gone through rather than all jobs of a worker. */
const fewJobs = 10_000;

const keyMembers = [
  ["uniqueKey", "by_unique"],
  ["batchId", "by_batch"],
  ["chainId", "by_chain"],
  ["parentId", "by_parent"],
  ["workerId", "by_worker"],
] as const;

/** An empty list of states matches nothing, so that a bulk action built from one cannot touch everything. */
export function placesOf(db: Database, filter: JobFilter): Places {
  const states = [...new Set(filter.states ?? jobStates)];
  const names = queuesOf(filter);
  return { queues: names?.flatMap((name) => queueId(db, name) ?? []), states };
}

export function queueId(db: Database, name: string): number | undefined {
  const row = db.query("SELECT id FROM queues WHERE name = ?").get(name);
  return (row as { id: number } | null)?.id;
}

/** The queue, or the queues of a group of filters that name nothing else. */
function queuesOf(filter: JobFilter): readonly string[] | undefined {
  if (filter.queue !== undefined) return [filter.queue];
  for (const group of filter.any ?? []) {
    const names = group.flatMap((one) =>
      one.queue !== undefined && Object.keys(one).length === 1 ? [one.queue] : [],
    );
    if (names.length === group.length && names.length <= queueLanesMax) return [...new Set(names)];
  }
  return undefined;
}

export function lanesOf(
  db: Database,
  filter: JobFilter,
  env: { readonly places: Places; readonly floor: Meta["floor"] },
): Lane[] {
  const { places, floor } = env;
  const { queues, states } = places;
  if (queues?.length === 0 || states.length === 0) return [];
  for (const [member, index] of keyMembers) {
    const value = filter[member];
    if (value === undefined) continue;
    if (index === "by_worker" && countOf(db, filter.queue, states) <= fewJobs) continue;
    return [keyLane(index, value, env)];
  }
  if (queues !== undefined) {
    return queues.flatMap((queue) =>
      states.map((state) => ({
        index: "by_queue" as const,
        where: [{ text: "queue = ? AND state = ?", values: [queue, stateCode[state]] }],
        kept: keptOf(state, floor),
      })),
    );
  }
  if (states.length === jobStates.length) return [tableLane(places, floor)];
  return states.map((state) => ({
    index: "by_state",
    where: [{ text: "state = ?", values: [stateCode[state]] }],
    kept: keptOf(state, floor),
  }));
}

function keyLane(
  index: PartialIndex,
  value: string,
  { places, floor }: { readonly places: Places; readonly floor: Meta["floor"] },
): Lane {
  const { kept } = tableLane(places, floor);
  return { index, where: [{ text: `${indexedColumns[index]} = ?`, values: [value] }], kept };
}

/** All jobs of some places, by the table. */
export function tableLane({ queues, states }: Places, floor: Meta["floor"]): Lane {
  const kept: Sql[] = [];
  if (queues !== undefined) kept.push(isOneOf("queue", queues));
  if (states.length < jobStates.length) {
    kept.push(
      isOneOf(
        "state",
        states.map((state) => stateCode[state]),
      ),
    );
  }
  return { index: undefined, where: [], kept: [...kept, keptOfAny(floor)] };
}

function isOneOf(column: string, values: readonly number[]): Sql {
  return { text: `${column} IN (${values.map(() => "?").join(",")})`, values };
}

/** How many jobs the counters know there; the counters of a queue are exact. */
export function countOf(
  db: Database,
  queue: string | undefined,
  states: readonly JobState[],
): number {
  return sumCounts(db, { queue, states });
}

/** Rows of finished jobs below their floor no longer exist for anyone, though the writer may not have come to them. */
function keptOf(state: JobState, floor: Meta["floor"]): Sql[] {
  const below = isFinished(state) ? floor[retentionClassOf(state)] : 0;
  return below > 0 ? [{ text: "finish >= ?", values: [below] }] : [];
}

export function keptOfAny(floor: Meta["floor"]): Sql {
  return {
    text: "(finish = 0 OR finish >= CASE state WHEN ? THEN ? ELSE ? END)",
    values: [stateCode.dead, floor.dead, floor.done],
  };
}

interface LaneSelect {
  readonly columns: string;
  readonly bounds: SeqBounds;
  /** Left out to count every entry of the lanes, whether its job still exists and matches or not. */
  readonly conditions: readonly Sql[] | undefined;
  /** What follows the merged lanes, such as ORDER BY. */
  readonly tail: Sql;
}

/** A SELECT over the merged lanes. */
export function laneSelect(lanes: readonly Lane[], what: LaneSelect): Sql {
  const values: Value[] = [];
  const arms = lanes.map((lane) => {
    const parts = [
      ...lane.where,
      { text: "seq > ? AND seq < ?", values: [what.bounds.lowSeq, what.bounds.highSeq] },
      ...(what.conditions === undefined ? [] : [...lane.kept, ...what.conditions]),
    ];
    for (const part of parts) values.push(...part.values);
    const source = lane.index === undefined ? "jobs" : `jobs INDEXED BY ${lane.index}`;
    return `SELECT ${what.columns} FROM ${source} WHERE ${parts.map((part) => part.text).join(" AND ")}`;
  });
  return {
    text: `${arms.join(" UNION ALL ")} ${what.tail.text}`,
    values: [...values, ...what.tail.values],
  };
}
