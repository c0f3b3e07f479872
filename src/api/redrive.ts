/** Operations on the dead jobs of a queue: why they died, and running them again. */
import { Type } from "@sinclair/typebox";
import { requestLimits as limits } from "./limits.ts";
import { consistencyWith, operation, readOperation } from "./operation.ts";
import { Maybe, QueueName, Status } from "./schemas.ts";
import { Filter } from "./search.ts";

const params = Type.Object({ name: QueueName });
const ofQueue = { tag: "queues" as const, placement: "queue" as const, params };
const path = "/api/v1/queues/{name}/redrive";

/** Those members of a filter that a queue's dead jobs do not already answer. */
export const RedriveFilter = Type.Omit(Filter, [
  "queue",
  "state",
  "sort",
  "order",
  "limit",
  "cursor",
]);

export const RedriveBody = Type.Object({
  rate_per_second: Maybe(
    Type.Integer({
      description:
        "Jobs that are run again in a second at most. Default as fast as they are found.",
      minimum: 1,
      maximum: limits.redriveRateMax,
    }),
  ),
  to_queue: Maybe(QueueName, "Run them in this queue instead of the one they died in."),
  filter: Maybe(RedriveFilter, "Which of the dead jobs. Default all."),
});

const Redrive = Type.Object({
  queue: Type.String(),
  state: Type.Union([
    Type.Literal("running"),
    Type.Literal("completed"),
    Type.Literal("cancelled"),
  ]),
  /** Which of the dead jobs, as a filter is written. */
  filter: Type.Optional(Type.String()),
  to_queue: Type.Optional(Type.String()),
  rate_per_second: Type.Optional(Type.Integer()),
  /** Dead jobs that matched at the start. Exact when `total_exact`; otherwise at least this many. */
  total: Type.Integer(),
  total_exact: Type.Boolean(),
  retried: Type.Integer(),
  /** Jobs that were no longer dead when it was their turn, or could not be moved. */
  skipped: Type.Integer(),
  started_at: Type.String(),
  finished_at: Type.Optional(Type.String()),
});

const ErrorGroup = Type.Object({
  /** For the filter `error_group`. */
  id: Type.String(),
  error_class: Type.Optional(Type.String()),
  /** First line of the error, with what differs from job to job as `*`. */
  error: Type.String(),
  count: Type.Integer(),
  first_at: Type.Optional(Type.String()),
  last_at: Type.Optional(Type.String()),
  /** The one that died last. */
  sample_job_id: Type.String(),
});

export const redriveOperations = {
  deadGroups: readOperation({
    ...ofQueue,
    method: "GET",
    path: "/api/v1/queues/{name}/dead/groups",
    summary: "Dead jobs of the queue by what went wrong, the largest group first",
    query: Type.Object({
      limit: Type.Optional(Type.Integer({ minimum: 1, maximum: limits.pageRowsMax })),
      consistency: consistencyWith("strong"),
    }),
    result: Type.Object({
      queue: Type.String(),
      groups: Type.Array(ErrorGroup),
      group_count: Type.Integer(),
      /** Dead jobs that were looked at, the newest first. */
      jobs: Type.Integer(),
      /** False when there are more than one call looks at. */
      exact: Type.Boolean(),
    }),
    errors: ["NOT_FOUND"],
  }),
  startRedrive: operation({
    ...ofQueue,
    method: "POST",
    path,
    summary: "Run dead jobs of the queue again, in the background",
    body: RedriveBody,
    bodyOptional: true,
    result: Redrive,
    status: 202,
    errors: ["NOT_FOUND", "CONFLICT", "QUEUE_DRAINING", "SEARCH_ERROR"],
  }),
  getRedrive: readOperation({
    ...ofQueue,
    method: "GET",
    path,
    summary: "How far the last redrive of the queue is",
    result: Redrive,
    errors: ["NOT_FOUND"],
  }),
  cancelRedrive: operation({
    ...ofQueue,
    method: "POST",
    path: `${path}/cancel`,
    summary: "Stop a redrive; what it has done stays done",
    result: Status,
    errors: ["NOT_FOUND"],
  }),
};
