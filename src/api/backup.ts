/** Backups of the node that is asked: each has the jobs of all shards, and first waits for what was acknowledged elsewhere. */
import { Type } from "@sinclair/typebox";
import { requestLimits as limits } from "./limits.ts";
import { Json, operation, Pieces } from "./operation.ts";
import { BlobHash, ContentType } from "./payload-fields.ts";
import { Maybe, Priority, QueueName, State, Tags, Time } from "./schemas.ts";

const Text = Maybe(Type.String({ maxLength: 1024 }));
const Count = Maybe(Type.Integer({ minimum: 0 }));
const When = Maybe(Type.Union([Time, Type.Literal("")]));

/** A job of `GET /api/v1/admin/backup`, or of 0.3. Other members are ignored. */
const JobDocument = Type.Object({
  id: Text,
  queue: QueueName,
  state: Maybe(State),
  payload: Maybe(Json("As it was sent.")),
  payload_base64: Maybe(Type.String()),
  payload_blob: Maybe(BlobHash),
  content_type: Maybe(ContentType),
  priority: Maybe(Priority),
  attempt: Count,
  max_retries: Count,
  retry_backoff: Maybe(
    Type.Union([
      Type.Literal("none"),
      Type.Literal("fixed"),
      Type.Literal("linear"),
      Type.Literal("exponential"),
    ]),
  ),
  retry_base_delay_ms: Count,
  retry_max_delay_ms: Count,
  unique_key: Text,
  tags: Maybe(Tags),
  parent_id: Text,
  batch_id: Text,
  chain_id: Text,
  chain_config: Maybe(Json("Of 0.3: with the jobs that this one depends on.")),
  worker_id: Text,
  hostname: Text,
  hold_reason: Text,
  created_at: When,
  scheduled_at: When,
  started_at: When,
  completed_at: When,
  failed_at: When,
  expire_at: When,
  checkpoint: Maybe(Json("The last one.")),
  progress: Maybe(Json("The last one.")),
  result: Maybe(Json("Of a completed job.")),
  result_base64: Maybe(Type.String()),
  result_blob: Maybe(BlobHash),
  result_type: Maybe(ContentType),
  errors: Maybe(
    Type.Array(
      Type.Object({
        attempt: Count,
        error: Maybe(Type.String()),
        backtrace: Maybe(Type.String()),
        created_at: When,
      }),
    ),
  ),
  corvo: Maybe(
    Type.String({
      description: "What only the server knows of the job; JSON text, written by it.",
    }),
  ),
});

const QueueDocument = Type.Object({
  name: QueueName,
  paused: Maybe(Type.Boolean()),
  max_concurrency: Count,
  rate_limit: Count,
  rate_window_ms: Count,
  corvo: Maybe(Type.String({ description: "Its settings, limits and schedules; JSON text." })),
});

const queues = Type.Optional(
  Type.String({
    description: "Only these queues with their jobs and settings, separated by commas.",
    maxLength: limits.cursorLengthMax,
  }),
);

export const backupOperations = {
  createBackup: operation({
    method: "GET",
    path: "/api/v1/backup",
    tag: "system",
    placement: "node",
    summary:
      "Everything that was acknowledged before the call, in one file; `corvo restore` reads it",
    query: Type.Object({ queues }),
    result: Pieces("The backup, as docs/spec/backup.md describes it."),
    produces: "application/octet-stream",
    answeredBy: "any",
    errors: ["NOT_FOUND"],
  }),
  adminBackup: operation({
    method: "GET",
    path: "/api/v1/admin/backup",
    tag: "system",
    placement: "node",
    summary: "Jobs and queues with their settings as one JSON document",
    query: Type.Object({
      namespace: Type.Optional(Type.String({ maxLength: 255 })),
      queues,
    }),
    result: Pieces(
      "{namespace, created_at, jobs, queues, meta}, as POST /api/v1/admin/restore takes it.",
    ),
    answeredBy: "any",
    errors: ["NOT_FOUND", "UNSUPPORTED"],
  }),
  adminRestore: operation({
    method: "POST",
    path: "/api/v1/admin/restore",
    // A job is shown with more than is read of it.
    ignoresUnknown: true,
    tag: "system",
    placement: "parts",
    summary:
      "Bring jobs and queues back, up to 1000 jobs a call; what is there already is left as it is",
    body: Type.Object({
      namespace: Text,
      created_at: When,
      jobs: Maybe(Type.Array(JobDocument, { maxItems: limits.restoreJobsMax })),
      queues: Maybe(Type.Array(QueueDocument, { maxItems: limits.restoreJobsMax })),
      new_ids: Maybe(
        Type.Boolean({ description: "Jobs get new ids, and are as old as the call." }),
      ),
      meta: Maybe(Type.Object({ format: Maybe(Type.Integer({ minimum: 1, maximum: 1 })) })),
    }),
    result: Type.Object({
      status: Type.String(),
      namespace: Type.String(),
      restored_jobs: Type.Integer(),
      refused: Type.Array(
        Type.Object({ job_id: Type.String(), code: Type.String(), error: Type.String() }),
      ),
      /** What was there already: "queue mail", "schedule nightly". */
      kept: Type.Array(Type.String()),
    }),
    errors: ["LIMIT_EXCEEDED", "QUEUE_DRAINING", "UNSUPPORTED"],
  }),
};
