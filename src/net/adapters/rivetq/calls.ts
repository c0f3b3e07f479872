/** Rows of RivetQ's HTTP calls. What is different on purpose stands in docs/reference/adapters.md. */
import { Type } from "@sinclair/typebox";
import { requestLimits as limits } from "../../../api/limits.ts";
import { Json, operation } from "../../../api/operation.ts";
import { Maybe, QueueName, Tags } from "../../../api/schemas.ts";

const QueueParams = Type.Object({ queue: QueueName });
const Headers = Type.Record(Type.String(), Type.String());
const Success = Type.Object({ success: Type.Boolean() });
const common = { tag: "worker" as const, placement: "queue" as const };

const LeasedJob = Type.Object({
  id: Type.String(),
  queue: Type.String(),
  payload: Json("As it was sent."),
  headers: Type.Optional(Headers),
  priority: Type.Integer(),
  /** Runs before this one. */
  tries: Type.Integer(),
  lease_id: Type.String(),
});

const leaseOf = {
  job_id: Type.String({ maxLength: 64 }),
  lease_id: Type.String({ minLength: 1, maxLength: 64 }),
};

export const rivetqRows = {
  enqueue: operation({
    ...common,
    method: "POST",
    path: "/v1/queues/{queue}/enqueue",
    summary: "Add a job",
    params: QueueParams,
    body: Type.Object({
      payload: Type.Optional(Json("Any JSON value.")),
      headers: Maybe(Tags),
      priority: Maybe(Type.Integer({ minimum: 0 })),
      delay_ms: Maybe(Type.Integer({ minimum: 0, maximum: limits.delayMsMax })),
      max_retries: Maybe(Type.Integer({ minimum: 0, maximum: limits.retriesMax })),
      idempotency_key: Maybe(Type.String({ maxLength: limits.keyLengthMax })),
    }),
    result: Type.Object({ job_id: Type.String() }),
  }),
  lease: operation({
    ...common,
    method: "POST",
    path: "/v1/queues/{queue}/lease",
    summary: "Take jobs that are ready",
    params: QueueParams,
    body: Type.Object({
      max_jobs: Maybe(Type.Integer({ minimum: 1 })),
      visibility_ms: Maybe(
        Type.Integer({ minimum: limits.leaseMsMin, maximum: limits.leaseMsMax }),
      ),
    }),
    bodyOptional: "or null",
    result: Type.Object({ jobs: Type.Array(LeasedJob) }),
    waits: true,
    claims: true,
  }),
  ack: operation({
    ...common,
    method: "POST",
    path: "/v1/ack",
    summary: "Finish a job",
    body: Type.Object(leaseOf),
    result: Success,
  }),
  nack: operation({
    ...common,
    method: "POST",
    path: "/v1/nack",
    summary: "Fail an attempt",
    body: Type.Object({ ...leaseOf, reason: Maybe(Type.String()) }),
    result: Success,
  }),
  stats: operation({
    ...common,
    method: "GET",
    path: "/v1/queues/{queue}/stats",
    summary: "How many jobs are ready, leased and dead",
    params: QueueParams,
    result: Type.Object({
      ready: Type.Integer(),
      inflight: Type.Integer(),
      dlq: Type.Integer(),
    }),
  }),
  list: operation({
    ...common,
    method: "GET",
    path: "/v1/queues",
    summary: "Names of all queues",
    result: Type.Object({ queues: Type.Array(Type.String()) }),
  }),
  listSlash: operation({
    ...common,
    method: "GET",
    path: "/v1/queues/",
    summary: "The same",
    result: Type.Object({ queues: Type.Array(Type.String()) }),
  }),
  setRate: operation({
    ...common,
    method: "POST",
    path: "/v1/queues/{queue}/rate_limit",
    summary: "Limit how fast jobs of a queue are leased",
    params: QueueParams,
    body: Type.Object({
      capacity: Type.Number({ minimum: 1, maximum: limits.limitUnitsMax }),
      // One unit in the longest window.
      refill_rate: Type.Number({
        minimum: 1000 / limits.rateWindowMsMax,
        maximum: limits.limitUnitsMax,
      }),
    }),
    result: Success,
  }),
  getRate: operation({
    ...common,
    method: "GET",
    path: "/v1/queues/{queue}/rate_limit",
    summary: "What was set",
    params: QueueParams,
    result: Type.Object({
      capacity: Type.Number(),
      refill_rate: Type.Number(),
      exists: Type.Boolean(),
    }),
  }),
};
