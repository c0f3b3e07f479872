/** Operations of producers and workers: enqueue, claim, ack, fail, release, snooze, heartbeat. */
import { Type } from "@sinclair/typebox";
import { requestLimits as limits } from "./limits.ts";
import { Json, operation } from "./operation.ts";
import { BlobHash, ContentType } from "./payload-fields.ts";
import {
  BatchId,
  ClaimedJob,
  Duration,
  EnqueueResult,
  ErrorClass,
  IdempotencyKey,
  ItemResult,
  JobId,
  Labels,
  LeaseToken,
  MapOf,
  Maybe,
  NewBatch,
  NewJob,
  QueueName,
  Time,
} from "./schemas.ts";

const JobParams = Type.Object({ job_id: JobId });
const Output = Maybe(
  Type.String({ description: "Output of the handler; the last 64 KiB are kept with the attempt." }),
);

const ackFields = {
  lease_token: Maybe(LeaseToken),
  result: Maybe(Json("Result of the job.")),
  result_base64: Maybe(Type.String(), "Instead of result: bytes in base64."),
  result_blob: Maybe(BlobHash, "Instead of result: a blob that was uploaded before."),
  result_type: Maybe(ContentType),
  checkpoint: Maybe(Json("Last checkpoint.")),
  output: Output,
  step_status: Maybe(
    Type.Union([Type.Literal("continue"), Type.Literal("exit")], {
      description: "exit ends the chain that the job is a step of, as if this were its last.",
    }),
  ),
  exit_reason: Maybe(
    Type.String({ description: "Why the chain ends early; shown with it.", maxLength: 1024 }),
  ),
};
export const AckItem = Type.Object({ job_id: JobId, ...ackFields });

const pauseFields = {
  pause: Maybe(Duration, "Stops what pause_scope names for so long, for all workers."),
  pause_scope: Maybe(
    Type.Union([Type.Literal("queue"), Type.Literal("key"), Type.Literal("resource")]),
    "What to pause: the queue (default), the limit key of the job, or a resource.",
  ),
  pause_resource: Maybe(
    Type.String({
      description: "The resource, with pause_scope resource.",
      minLength: 1,
      maxLength: limits.keyLengthMax,
    }),
  ),
};

const failFields = {
  lease_token: Maybe(LeaseToken),
  error: Type.String({ description: "What went wrong." }),
  error_class: Maybe(ErrorClass),
  backtrace: Maybe(Type.String()),
  retryable: Maybe(Type.Boolean({ description: "false sends the job to dead at once." })),
  delay: Maybe(Duration, "How long until the next attempt, instead of the job's backoff."),
  output: Output,
  ...pauseFields,
  keep_attempt: Maybe(
    Type.Boolean({
      description:
        "With a pause: the attempt is not spent, and the job is ready again when the pause is over.",
    }),
  ),
};
export const FailItem = Type.Object({ job_id: JobId, ...failFields });

const releaseFields = {
  lease_token: Maybe(LeaseToken),
  delay: Maybe(Duration),
  ...pauseFields,
};
export const ReleaseItem = Type.Object({ job_id: JobId, ...releaseFields });

const snoozeFields = {
  lease_token: Maybe(LeaseToken),
  delay: Duration,
  checkpoint: Maybe(Json("Checkpoint that the next attempt gets.")),
};
export const SnoozeItem = Type.Object({ job_id: JobId, ...snoozeFields });

const heartbeatFields = {
  lease_token: Maybe(LeaseToken),
  lease_ms: Maybe(Type.Integer({ minimum: limits.leaseMsMin, maximum: limits.leaseMsMax })),
  progress: Maybe(Json("Progress to show.")),
  checkpoint: Maybe(Json("Checkpoint that the next attempt gets if this one ends early.")),
};
export const HeartbeatItem = Type.Object({ job_id: JobId, ...heartbeatFields });

const claimFields = {
  queues: Type.Array(QueueName, { minItems: 1, maxItems: limits.claimQueuesMax }),
  worker_id: Maybe(Type.String({ maxLength: limits.keyLengthMax })),
  hostname: Maybe(Type.String({ maxLength: limits.keyLengthMax })),
  client: Maybe(
    Type.String({ description: "Name and version of the worker's program.", maxLength: 128 }),
  ),
  started_at: Maybe(Time, "When the worker's process began."),
  labels: Maybe(Labels, "What the worker has of what jobs may require."),
  lease_ms: Maybe(
    Type.Integer({
      description: "Lease in milliseconds; wins over `timeout`.",
      minimum: limits.leaseMsMin,
      maximum: limits.leaseMsMax,
    }),
  ),
};
const fetchFields = {
  ...claimFields,
  timeout: Maybe(
    Type.Number({
      description:
        "Seconds to wait for a job (default 30, at most 60) and of the lease (default 60).",
    }),
  ),
  wait_ms: Maybe(
    Type.Integer({
      description: "Milliseconds to wait for a job; wins over `timeout`.",
      minimum: 0,
      maximum: limits.waitMsMax,
    }),
  ),
};

/** What a streaming worker sends to receive jobs. */
export const ClaimRequest = Type.Object({
  ...claimFields,
  credits: Type.Integer({
    description:
      "How many more jobs the server may push, on top of earlier credits; 0 takes all of them back.",
    minimum: 0,
    maximum: 10_000,
  }),
});

const FailResult = Type.Object({
  status: Type.Union([Type.Literal("retrying"), Type.Literal("dead")]),
  attempt: Type.Integer(),
  next_attempt_at: Type.Optional(Type.String()),
  attempts_remaining: Type.Integer(),
});

const HeartbeatAnswer = Type.Object({
  /** `ok`; `cancel`: stop, the job was cancelled or is over; `lost`: another attempt may be running. */
  status: Type.String(),
  lease_expires_at: Type.Optional(Type.String()),
});

const enqueueErrors = [
  "NOT_FOUND",
  "BLOB_NOT_FOUND",
  "BATCH_ERROR",
  "PARENT_ERROR",
  "PAYLOAD_TOO_LARGE",
  "LIMIT_EXCEEDED",
  "QUEUE_FULL_BYTES",
  "DISK_BUDGET",
  "CONFLICT",
  "UNSUPPORTED",
  "OVERLOADED",
  "READ_ONLY",
] as const;

export const workerOperations = {
  enqueueJob: operation({
    ignoresUnknown: true,
    method: "POST",
    path: "/api/v1/enqueue",
    tag: "worker",
    placement: "queue",
    summary: "Add a job",
    body: Type.Object({ ...NewJob.properties, idempotency_key: IdempotencyKey }),
    result: EnqueueResult,
    status: 201,
    otherStatuses: {
      200: "A job with this unique key exists; it is the answer, or became this one (`replaced`).",
    },
    errors: enqueueErrors,
  }),
  enqueueJobs: operation({
    ignoresUnknown: true,
    method: "POST",
    path: "/api/v1/enqueue/batch",
    tag: "worker",
    placement: "parts",
    summary: "Add many jobs in one durable step",
    body: Type.Object({
      jobs: Type.Array(NewJob, { minItems: 1, maxItems: limits.enqueueJobsMax }),
      batch: Maybe(NewBatch),
      part_of: Maybe(
        BatchId,
        "Set by servers: the jobs are one of the parts that this batch waits for.",
      ),
      idempotency_key: IdempotencyKey,
    }),
    result: Type.Object({
      job_ids: Type.Array(Type.String()),
      /** One per job. A job that was refused has an empty id, `status: error`, and the code and text of the refusal. */
      results: Type.Array(Type.Union([EnqueueResult, ItemResult])),
      batch_id: Type.Optional(Type.String()),
    }),
    status: 201,
    errors: enqueueErrors,
  }),
  fetchJob: operation({
    ignoresUnknown: true,
    method: "POST",
    path: "/api/v1/fetch",
    tag: "worker",
    placement: "parts",
    summary: "Claim one job, waiting for it if need be; 204 when none came",
    body: Type.Object(fetchFields),
    result: ClaimedJob,
    otherStatuses: { 204: "No job came in time." },
    waits: true,
    claims: true,
    errors: ["OVERLOADED", "READ_ONLY"],
  }),
  fetchJobs: operation({
    ignoresUnknown: true,
    method: "POST",
    path: "/api/v1/fetch/batch",
    tag: "worker",
    placement: "parts",
    summary: "Claim up to `count` jobs, waiting for the first",
    body: Type.Object({
      ...fetchFields,
      count: Maybe(Type.Integer({ description: "1 to 512, default 1.", maximum: 1_000_000 })),
    }),
    result: Type.Object({
      jobs: Type.Array(ClaimedJob),
      /** `quiet` or `stop`: what an operator asks of the worker; it is given no jobs meanwhile. */
      order: Type.Optional(Type.String()),
    }),
    errors: ["OVERLOADED", "READ_ONLY"],
    waits: true,
    claims: true,
  }),
  ackJobs: operation({
    ignoresUnknown: true,
    method: "POST",
    path: "/api/v1/ack/batch",
    tag: "worker",
    placement: "parts",
    summary: "Finish many jobs; each item has its own result",
    body: Type.Object({
      acks: Type.Array(AckItem, { minItems: 1, maxItems: limits.batchItemsMax }),
    }),
    result: Type.Object({ acked: Type.Integer(), results: Type.Array(ItemResult) }),
    errors: ["LEASE_TOKEN_REQUIRED", "OVERLOADED", "READ_ONLY"],
  }),
  ackJob: operation({
    ignoresUnknown: true,
    method: "POST",
    path: "/api/v1/ack/{job_id}",
    tag: "worker",
    placement: "job",
    summary: "Finish a job",
    params: JobParams,
    body: Type.Object(ackFields),
    bodyOptional: true,
    result: Type.Object({ status: Type.Literal("ok") }),
    errors: ["ACK_ERROR", "LEASE_LOST", "LEASE_TOKEN_REQUIRED", "NOT_FOUND"],
  }),
  failJobs: operation({
    method: "POST",
    path: "/api/v1/fail/batch",
    tag: "worker",
    placement: "parts",
    summary: "Fail many attempts; each item has its own result",
    body: Type.Object({
      fails: Type.Array(FailItem, { minItems: 1, maxItems: limits.batchItemsMax }),
    }),
    result: Type.Object({ failed: Type.Integer(), results: Type.Array(ItemResult) }),
    errors: ["LEASE_TOKEN_REQUIRED", "OVERLOADED", "READ_ONLY"],
  }),
  failJob: operation({
    ignoresUnknown: true,
    method: "POST",
    path: "/api/v1/fail/{job_id}",
    tag: "worker",
    placement: "job",
    summary: "Fail the attempt: the job is retried, or dead when no attempts remain",
    params: JobParams,
    body: Type.Object(failFields),
    result: FailResult,
    errors: ["FAIL_ERROR", "LEASE_LOST", "LEASE_TOKEN_REQUIRED", "NOT_FOUND"],
  }),
  releaseJob: operation({
    method: "POST",
    path: "/api/v1/release/{job_id}",
    tag: "worker",
    placement: "job",
    summary: "Give a job back without spending the attempt",
    params: JobParams,
    body: Type.Object(releaseFields),
    bodyOptional: true,
    result: Type.Object({ status: Type.String() }),
    errors: ["RELEASE_ERROR", "LEASE_LOST", "LEASE_TOKEN_REQUIRED", "NOT_FOUND"],
  }),
  snoozeJobs: operation({
    method: "POST",
    path: "/api/v1/snooze/batch",
    tag: "worker",
    summary: "Put many jobs off; each item has its own result",
    placement: "parts",
    body: Type.Object({
      snoozes: Type.Array(SnoozeItem, { minItems: 1, maxItems: limits.batchItemsMax }),
    }),
    result: Type.Object({ snoozed: Type.Integer(), results: Type.Array(ItemResult) }),
    errors: ["LEASE_TOKEN_REQUIRED", "OVERLOADED", "READ_ONLY"],
  }),
  snoozeJob: operation({
    method: "POST",
    path: "/api/v1/snooze/{job_id}",
    tag: "worker",
    summary: "Put a job off without spending the attempt, at most max_snoozes times",
    placement: "job",
    params: JobParams,
    body: Type.Object(snoozeFields),
    result: Type.Object({ status: Type.String(), next_attempt_at: Type.String() }),
    errors: ["SNOOZE_ERROR", "LEASE_LOST", "LEASE_TOKEN_REQUIRED", "NOT_FOUND"],
  }),
  heartbeat: operation({
    ignoresUnknown: true,
    method: "POST",
    path: "/api/v1/heartbeat",
    tag: "worker",
    placement: "parts",
    summary: "Extend leases, report progress and checkpoints, learn of cancellations",
    body: Type.Object({
      jobs: MapOf(Type.Object(heartbeatFields), 64, {
        description: "Leases to extend, by job id.",
        maxProperties: limits.batchItemsMax,
      }),
    }),
    result: Type.Object({
      jobs: Type.Record(Type.String(), HeartbeatAnswer),
      acked: Type.Array(Type.String()),
      unknown: Type.Array(Type.String()),
      canceled: Type.Array(Type.String()),
    }),
    errors: ["LEASE_TOKEN_REQUIRED", "LIMIT_EXCEEDED", "OVERLOADED", "READ_ONLY"],
  }),
};
