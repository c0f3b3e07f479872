/** Operations on batches: jobs that are counted together, and what is run when all of them have ended. */
import { Type } from "@sinclair/typebox";
import { GroupJob } from "./flow.ts";
import { consistencyWith, operation, readOperation } from "./operation.ts";
import { pageQuery, pageResult } from "./page.ts";
import { BatchId, batchFields, Duration, IdempotencyKey, Maybe, QueueName } from "./schemas.ts";

const Params = Type.Object({ batch_id: BatchId });

export const batchStates = [
  "open",
  "running",
  "cancelling",
  "completed",
  "failed",
  "cancelled",
] as const;

const State = Type.Union(
  batchStates.map((state) => Type.Literal(state)),
  { description: "State of a batch." },
);

export const Batch = Type.Object({
  id: Type.String(),
  name: Type.Optional(Type.String()),
  state: State,
  reason: Type.Optional(Type.String()),
  created_at: Type.String(),
  /** When an open batch seals itself. */
  seal_at: Type.Optional(Type.String()),
  finished_at: Type.Optional(Type.String()),
  total: Type.Integer(),
  pending: Type.Integer(),
  completed: Type.Integer(),
  dead: Type.Integer(),
  /** With those that were deleted before their end. */
  cancelled: Type.Integer(),
  success_job: Type.Optional(Type.Object(GroupJob)),
  failure_job: Type.Optional(Type.Object(GroupJob)),
  complete_job: Type.Optional(Type.Object(GroupJob)),
});

export const batchOperations = {
  createBatch: operation({
    method: "POST",
    path: "/api/v1/batches",
    tag: "flow",
    placement: "queue",
    summary: "Open a batch, which jobs join by their batch_id until it is sealed",
    body: Type.Object({
      queue: QueueName,
      ...batchFields,
      seal_after: Maybe(
        Duration,
        "A batch that nobody seals is sealed after this time. Default 24h, at most 720h.",
      ),
      idempotency_key: IdempotencyKey,
    }),
    result: Type.Object({ batch_id: Type.String() }),
    status: 201,
    errors: ["LIMIT_EXCEEDED", "CONFLICT", "OVERLOADED", "READ_ONLY"],
  }),
  listBatches: readOperation({
    method: "GET",
    path: "/api/v1/batches",
    tag: "flow",
    placement: "parts",
    summary: "Batches, newest first",
    query: Type.Object({
      state: Type.Optional(State),
      ...pageQuery,
      consistency: consistencyWith("strong"),
    }),
    result: Type.Object({
      batches: Type.Array(Batch),
      /** All that match, on whatever page. */
      total: Type.Integer(),
      ...pageResult,
    }),
  }),
  getBatch: readOperation({
    method: "GET",
    path: "/api/v1/batches/{batch_id}",
    tag: "flow",
    placement: "job",
    summary: "A batch: its counts, and what was run when it ended",
    params: Params,
    result: Batch,
    errors: ["NOT_FOUND"],
  }),
  sealBatch: operation({
    method: "POST",
    path: "/api/v1/batches/{batch_id}/seal",
    tag: "flow",
    placement: "job",
    summary: "Let no further jobs join; the batch ends when all have ended",
    params: Params,
    result: Batch,
    errors: ["NOT_FOUND"],
  }),
  cancelBatch: operation({
    method: "POST",
    path: "/api/v1/batches/{batch_id}/cancel",
    tag: "flow",
    placement: "job",
    summary: "Seal the batch and cancel its unfinished jobs",
    params: Params,
    body: Type.Object({
      reason: Maybe(Type.String({ description: "Shown with the batch.", maxLength: 1024 })),
    }),
    bodyOptional: true,
    result: Batch,
    errors: ["NOT_FOUND", "BATCH_ERROR"],
  }),
};
