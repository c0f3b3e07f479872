/** Flags that choose jobs, from the search filter of the API. */

import type { BodyOf } from "../../api/operation.ts";
import type { Operations } from "../../api/operations.ts";
import { Filter } from "../../api/search.ts";
import { readPastTime } from "./readers.ts";
import { schemaFlags, schemaValues } from "./schema-args.ts";
import { systemClock } from "./system.ts";

export type FilterBody = BodyOf<Operations["searchJobs"]>;

const shared = {
  alias: { tags: ["tag"] },
  readTime: readPastTime(() => systemClock.nowMs()),
};

/** Which jobs, in which order, which page of them. */
export const listFlags = schemaFlags(Filter, shared);

/** Which jobs. */
export const filterFlags = schemaFlags(Filter, {
  ...shared,
  omit: ["sort", "order", "limit", "cursor"],
});

export function filterOf(values: Readonly<Record<string, unknown>>): FilterBody {
  // Each value was read and checked by the schema of its member.
  return schemaValues(Filter, values) as FilterBody;
}
