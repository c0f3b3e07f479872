/** One action on many jobs. Small ones are done when the call is answered; large ones go on in the background, whoever leads. */
import { Type } from "@sinclair/typebox";
import { requestLimits as limits } from "./limits.ts";
import { operation, Pieces, readOperation } from "./operation.ts";
import { pageQuery, pageResult } from "./page.ts";
import { JobId, Maybe, Priority, QueueName } from "./schemas.ts";
import { Filter } from "./search.ts";

export const bulkActions = [
  "retry",
  "delete",
  "cancel",
  "move",
  "requeue",
  "change_priority",
  "hold",
  "approve",
  "reject",
] as const;

export const bulkStates = ["running", "completed", "failed", "cancelled"] as const;

const Action = Type.Union(bulkActions.map((name) => Type.Literal(name)));
const BulkState = Type.Union(bulkStates.map((name) => Type.Literal(name)));
const BulkId = Type.String({ pattern: "^[A-Za-z0-9_.-]+$", minLength: 1, maxLength: 64 });

/** What tells which jobs and what is done to them. */
export const BulkBody = Type.Object({
  job_ids: Maybe(Type.Array(JobId, { maxItems: limits.bulkIdsMax })),
  filter: Maybe(Filter),
  all: Maybe(
    Type.Boolean({ description: "All jobs, in place of ids and a filter that says something." }),
  ),
  action: Action,
  move_to_queue: Maybe(QueueName),
  priority: Maybe(Priority),
  reason: Maybe(
    Type.String({ description: "Shown with each job, for cancel, hold, reject.", maxLength: 1024 }),
  ),
  async: Maybe(Type.Boolean({ description: "In the background, however few jobs there are." })),
  bulk_operation_id: Maybe(
    BulkId,
    "Id for the action if it goes on in the background. Sent again with the same id it starts nothing.",
  ),
  dry_run: Maybe(Type.Boolean({ description: "Only count the jobs that the action would touch." })),
});

export const BulkOperation = Type.Object({
  id: Type.String(),
  status: BulkState,
  action: Action,
  /** Which jobs, as a filter is written; absent when they were named. */
  filter: Type.Optional(Type.String()),
  /** Jobs that matched at the start. Exact when `total_exact`; otherwise at least this many. */
  total: Type.Integer(),
  total_exact: Type.Boolean(),
  processed: Type.Integer(),
  affected: Type.Integer(),
  /** Jobs that were gone, did not match any more, or were in no state for it when it was their turn. */
  skipped: Type.Integer(),
  errors: Type.Integer(),
  error: Type.Optional(Type.String()),
  created_at: Type.String(),
  updated_at: Type.String(),
  finished_at: Type.Optional(Type.String()),
});

const params = Type.Object({ id: BulkId });
const ofBulk = { tag: "jobs" as const, placement: "parts" as const, params };

export const bulkOperations = {
  bulkJobs: operation({
    ignoresUnknown: true,
    method: "POST",
    path: "/api/v1/jobs/bulk",
    tag: "jobs",
    placement: "parts",
    summary: "One action on many jobs, by ids or by filter; large ones run in the background (202)",
    body: BulkBody,
    result: Type.Object({
      affected: Type.Optional(Type.Integer()),
      errors: Type.Optional(Type.Integer()),
      duration_ms: Type.Optional(Type.Integer()),
      /** Jobs that match the ids or the filter; at least so many unless `matched_exact`. */
      matched: Type.Optional(Type.Integer()),
      matched_exact: Type.Optional(Type.Boolean()),
      bulk_operation_id: Type.Optional(Type.String()),
      status: Type.Optional(Type.String()),
      estimated_total: Type.Optional(Type.Integer()),
      progress_url: Type.Optional(Type.String()),
    }),
    otherStatuses: { 202: "The action runs in the background." },
    errors: [
      "BULK_ERROR",
      "CONFLICT",
      "LIMIT_EXCEEDED",
      "QUEUE_DRAINING",
      "SEARCH_ERROR",
      "UNSUPPORTED",
    ],
  }),
  listBulks: readOperation({
    method: "GET",
    path: "/api/v1/bulk",
    tag: "jobs",
    placement: "parts",
    summary: "Bulk actions in the background, the newest first, and those that are over for a week",
    query: Type.Object({
      status: Type.Optional(BulkState),
      ...pageQuery,
      consistency: Type.Optional(Type.Union([Type.Literal("strong"), Type.Literal("stale")])),
    }),
    result: Type.Object({
      bulk_operations: Type.Array(BulkOperation),
      total: Type.Integer(),
      ...pageResult,
    }),
  }),
  getBulk: readOperation({
    ...ofBulk,
    method: "GET",
    path: "/api/v1/bulk/{id}",
    summary: "How far a bulk action in the background is",
    result: BulkOperation,
    errors: ["NOT_FOUND"],
  }),
  cancelBulk: operation({
    ...ofBulk,
    method: "POST",
    path: "/api/v1/bulk/{id}/cancel",
    summary: "Stop a bulk action; what it has done stays done",
    result: BulkOperation,
    errors: ["NOT_FOUND", "CONFLICT"],
  }),
  bulkProgress: operation({
    ...ofBulk,
    method: "GET",
    path: "/api/v1/bulk/{id}/progress",
    summary: "The progress of a bulk action as server-sent events, up to its end",
    result: Pieces(
      "Events bulk.async.started, bulk.async.progress, and bulk.async.completed or bulk.async.failed at the end.",
    ),
    produces: "text/event-stream",
    errors: ["NOT_FOUND"],
    waits: true,
  }),
};
