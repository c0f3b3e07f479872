/** Operations on workers: who they are, and what an operator asks of them. */
import { Type } from "@sinclair/typebox";
import { requestLimits as limits } from "./limits.ts";
import { consistencyWith, operation, readOperation } from "./operation.ts";
import { Labels, QueueName } from "./schemas.ts";

const WorkerParams = Type.Object({
  worker_id: Type.String({
    description: "Id of the worker.",
    minLength: 1,
    maxLength: limits.keyLengthMax,
  }),
});

export const WorkerState = Type.String({
  description:
    "working: it has jobs in hand. idle: it waits for one. quiet: it was asked to take no more. stopping: it was asked to end. gone: nothing was heard of it for 90 seconds.",
});

export const Worker = Type.Object({
  id: Type.String(),
  hostname: Type.Optional(Type.String()),
  /** Name and version of its program, as it says. */
  client: Type.Optional(Type.String()),
  queues: Type.Array(Type.String()),
  labels: Type.Optional(Labels),
  state: WorkerState,
  /** Jobs under its leases. */
  in_hand: Type.Integer(),
  /** Streams that it has open; 0 when it asks by HTTP. */
  streams: Type.Integer(),
  /** When it began, as it says; else when it was first seen. */
  started_at: Type.Optional(Type.String()),
  last_heartbeat: Type.Optional(Type.String()),
});

const Ordered = Type.Object({
  status: Type.String(),
  /** Has a worker of this id been heard of, or has it jobs in hand? */
  known: Type.Boolean(),
});

const order = (name: string, summary: string) =>
  operation({
    method: "POST",
    path: `/api/v1/workers/{worker_id}/${name}`,
    tag: "workers",
    placement: "parts",
    summary,
    params: WorkerParams,
    result: Ordered,
    errors: ["LIMIT_EXCEEDED", "OVERLOADED", "READ_ONLY"],
  });

export const workersOperations = {
  listWorkers: readOperation({
    method: "GET",
    path: "/api/v1/workers",
    tag: "workers",
    placement: "parts",
    summary: "Workers that asked for jobs lately or have some in hand, the last heard of first",
    query: Type.Object({
      queue: Type.Optional(QueueName),
      consistency: consistencyWith("strong"),
    }),
    result: Type.Array(Worker),
  }),
  quietWorker: order("quiet", "Ask a worker to take no more jobs and to finish those it has"),
  stopWorker: order("stop", "Ask a worker to finish the jobs it has and to end"),
  resumeWorker: order("resume", "Take back what was asked of a worker"),
};
