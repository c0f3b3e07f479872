/** The shape of a filter of jobs, in which filters may stand in each other so many levels deep. */
import type { JobState } from "./job.ts";
import { changeLimits as bounds, filterLimits } from "./limits.ts";
import type { JobFilter, PayloadCondition } from "./query.ts";
import {
  absent,
  checked,
  flag,
  integer,
  list,
  map,
  members,
  optional,
  type Rows,
  type Shape,
  word,
} from "./shape.ts";
import { longText, priority, shortText, time } from "./well-formed-job.ts";

const operand: Shape<PayloadCondition["value"]> = (value) => {
  if (value === null || typeof value === "boolean") return undefined;
  if (typeof value === "string") return longText(value);
  return Number.isFinite(value) && !Object.is(value, -0)
    ? undefined
    : { path: "", value, wanted: "text, a number, true, false or null" };
};

const condition: Shape<PayloadCondition> = checked(
  members<PayloadCondition>({
    path: list(shortText, 0, filterLimits.pathMax),
    operator: word({
      "=": true,
      "!=": true,
      "<": true,
      "<=": true,
      ">": true,
      ">=": true,
      startsWith: true,
      contains: true,
    }),
    of: optional(word({ length: true })),
    value: operand,
  }),
  ({ of, operator, value }) =>
    of === undefined ||
    (typeof value === "number" && operator !== "startsWith" && operator !== "contains")
      ? undefined
      : "a length compared with a number",
);

const jobState: Shape<JobState> = word({
  pending: true,
  scheduled: true,
  active: true,
  retrying: true,
  completed: true,
  dead: true,
  cancelled: true,
  held: true,
});

const plainRows: Omit<Rows<JobFilter>, "any" | "not"> = {
  queue: optional(shortText),
  states: optional(list(jobState, 0, bounds.listMax)),
  priority: optional(priority),
  tags: optional(map(shortText, shortText, bounds.listMax)),
  payloadContains: optional(longText),
  errorContains: optional(longText),
  createdAfterMs: optional(time),
  createdBeforeMs: optional(time),
  scheduledAfterMs: optional(time),
  scheduledBeforeMs: optional(time),
  startedAfterMs: optional(time),
  startedBeforeMs: optional(time),
  completedAfterMs: optional(time),
  completedBeforeMs: optional(time),
  expireAfterMs: optional(time),
  expireBeforeMs: optional(time),
  attemptMin: optional(integer(Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER)),
  attemptMax: optional(integer(Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER)),
  uniqueKey: optional(shortText),
  workerId: optional(shortText),
  parentId: optional(shortText),
  batchId: optional(shortText),
  chainId: optional(shortText),
  hasErrors: optional(flag),
  jobIdPrefix: optional(shortText),
  errorGroup: optional(shortText),
  payloadWhere: optional(list(condition, 1, filterLimits.partsMax)),
  words: optional(list(shortText, 1, filterLimits.partsMax)),
};

const tooDeep = `filters within filters, deeper than ${filterLimits.depthMax}`;

function filterOfDepth(depth: number): Shape<JobFilter> {
  if (depth === 0) {
    return members<JobFilter>({ ...plainRows, any: absent(tooDeep), not: absent(tooDeep) });
  }
  const inner = filterOfDepth(depth - 1);
  const { partsMax } = filterLimits;
  return members<JobFilter>({
    ...plainRows,
    any: optional(list(list(inner, 1, partsMax), 1, partsMax)),
    not: optional(list(inner, 1, partsMax)),
  });
}

export const filter: Shape<JobFilter> = filterOfDepth(filterLimits.depthMax);
