/**
 * The plan of a search: which index entries are candidates, and what a candidate's row must satisfy besides. Candidates
 * come from lanes (`search-lanes.ts`) or, when the filter asks for texts and there is an index of them, from that
 * (`text-lane.ts`). Conditions on the time of creation become bounds on the sequence number, because both grow together.
 */
import type { Database } from "bun:sqlite";
import type { JobState } from "../engine/job.ts";
import type { JobFilter } from "../engine/query.ts";
import type { Meta } from "../engine/state.ts";
import { isPlaceOnly, rowConditions } from "./filter-sql.ts";
import { JobAcceptor } from "./job-acceptor.ts";
import { creationOf, type SeqBounds } from "./search-bounds.ts";
import { countOf, type Lane, lanesOf, placesOf, type Sql, tableLane } from "./search-lanes.ts";
import { indexedColumns } from "./state-schema.ts";
import { type TextAsk, textAskOf } from "./text-ask.ts";
import type { TextIndexView } from "./text-index-view.ts";
import { TextLane } from "./text-lane.ts";

export interface SearchPlan {
  /** Empty when nothing can match. */
  readonly lanes: readonly Lane[];
  /** The same jobs by the table. */
  readonly table: Lane;
  /** The same jobs, and of those up to where it reaches hardly others than match, by the index of texts. */
  readonly text: TextLane | undefined;
  /** Conditions on the row of a candidate. */
  readonly conditions: readonly Sql[];
  /** What SQL cannot tell of a candidate that satisfies them; undefined when there is nothing of the kind. */
  readonly accepts: ((seq: number) => boolean) | undefined;
  readonly bounds: SeqBounds;
  /** The counters of these queues and states answer how many match; undefined when only a scan can. */
  readonly counted:
    | { readonly queue: string | undefined; readonly states: readonly JobState[] }
    | undefined;
  /** Are the candidates only limited by queue and state? */
  readonly isWide: boolean;
  /** Jobs of the states and the queue that are asked for, whatever else is. */
  readonly inPlace: number;
  /** False when rows are tested one by one for what no index tells. */
  readonly indexed: boolean;
}

export interface PlanEnv {
  readonly db: Database;
  readonly floor: Meta["floor"];
  readonly nowMs: () => number;
  /** So many jobs are gone through rather than looked for in the index of texts. */
  readonly fewMax: number;
  /** Undefined when there is no index of texts that can be used. */
  readonly texts: TextIndexView | undefined;
}

export function planSearch(
  filter: JobFilter,
  { db, floor, fewMax, nowMs, texts }: PlanEnv,
): SearchPlan {
  const { conditions, rest } = rowConditions(db, filter);
  const creation = creationOf(db, filter);
  const places = placesOf(db, filter);
  const lanes = lanesOf(db, filter, { places, floor });
  const isByKey = lanes.some(({ index }) => index !== undefined && index in indexedColumns);
  const inPlace = countOf(db, filter.queue, places.states);
  const ask =
    isByKey || inPlace <= fewMax || texts === undefined ? undefined : textAskOf(db, filter);
  const states = places.states;
  return {
    lanes,
    table: tableLane(places, floor),
    text:
      texts === undefined || ask === undefined
        ? undefined
        : new TextLane({ db, nowMs }, texts, ask),
    conditions: [...creation.conditions, ...conditions],
    accepts: rest === undefined ? undefined : new JobAcceptor(db, rest).accepts,
    bounds: creation.bounds,
    counted: isPlaceOnly(filter) ? { queue: filter.queue, states } : undefined,
    isWide: !isByKey,
    inPlace,
    indexed: creation.isInOrder && isIndexed(filter, isByKey, ask),
  };
}

const placed = ["queue", "states", "createdAfterMs", "createdBeforeMs", "jobIdPrefix"];
const keys = ["uniqueKey", "batchId", "chainId", "parentId", "workerId"];

/** Does every member of the filter narrow down what is looked at? */
function isIndexed(filter: JobFilter, isByKey: boolean, ask: TextAsk | undefined): boolean {
  const told = new Set([...placed, ...(isByKey ? keys : []), ...(ask?.members ?? [])]);
  return Object.keys(filter).every((member) => told.has(member));
}
