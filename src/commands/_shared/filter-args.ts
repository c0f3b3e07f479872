/** Arguments that choose jobs: flags from the search filter of the API, and the filter as text. */

import { requestLimits } from "../../api/limits.ts";
import type { BodyOf } from "../../api/operation.ts";
import type { Operations } from "../../api/operations.ts";
import { Filter } from "../../api/search.ts";
import type { Arguments } from "./args.ts";
import { BadValue, type Reader, readCount, readPastTime } from "./readers.ts";
import { schemaFlags, schemaValues } from "./schema-args.ts";
import { systemClock } from "./system.ts";

export type FilterBody = BodyOf<Operations["searchJobs"]>;

const shared = {
  alias: { tags: ["tag"] },
  readTime: readPastTime(() => systemClock.nowMs()),
};

const readRows: Reader<number> = (text) => {
  const rows = readCount(text);
  const { pageRowsMax } = requestLimits;
  if (rows <= pageRowsMax) return rows;
  throw new BadValue(`${rows} is more than ${pageRowsMax}`, "--cursor goes on where a page ended.");
};

/** Which jobs, in which order, which page of them; the text stands for itself. */
export const listArgs = {
  filter: {
    type: "positional",
    required: false,
    rest: true,
    label: "FILTER",
    mayBeEmpty: true,
    description: "Which jobs, such as 'state:dead created<2h timeout'; docs/reference/filters.md.",
  },
  ...schemaFlags(Filter, { ...shared, omit: ["q"] }),
  // The server takes any number, as 0.3 did, and answers one that it does not like with the default.
  limit: {
    type: "string",
    valueHint: "N",
    read: readRows,
    description: `Rows of the page, default 50, at most ${requestLimits.pageRowsMax}.`,
  },
} as const satisfies Arguments;

/** The filter as text, beside positionals that are something else. */
export const filterFlag = {
  filter: {
    type: "string",
    valueHint: "FILTER",
    description:
      "Filter as text, such as 'state:dead created<2h timeout'; docs/reference/filters.md.",
  },
} as const satisfies Arguments;

/** Which jobs. */
export const filterFlags = {
  ...filterFlag,
  ...schemaFlags(Filter, { ...shared, omit: ["q", "sort", "order", "limit", "cursor"] }),
} as const satisfies Arguments;

export function filterOf(values: Readonly<Record<string, unknown>>): FilterBody {
  const { filter, ...others } = values;
  const text = filterText(filter);
  // Each value was read and checked by the schema of its member.
  return { ...(schemaValues(Filter, others) as FilterBody), ...(text === "" ? {} : { q: text }) };
}

/** Several arguments are one filter, as they are for a person. */
export function filterText(value: unknown): string {
  return (Array.isArray(value) ? value.join(" ") : String(value ?? "")).trim();
}
