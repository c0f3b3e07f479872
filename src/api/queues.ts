/** Operations on queues. A queue exists from its first use. */
import { Type } from "@sinclair/typebox";
import { operation, readOperation } from "./operation.ts";
import { Queue } from "./queue-schema.ts";
import { Maybe, QueueDefaults, QueueName, Status } from "./schemas.ts";

const QueueParams = Type.Object({ name: QueueName });
const action = (name: string, summary: string) => ({
  method: "POST" as const,
  path: `/api/v1/queues/{name}/${name}`,
  tag: "queues" as const,
  placement: "queue" as const,
  summary,
  params: QueueParams,
  result: Status,
});

const Drain = Type.Object({
  /** draining, or drained when no unfinished job is left. */
  status: Type.String(),
  /** Unfinished jobs; only with refuse_new. */
  left: Type.Optional(Type.Integer()),
});
const Defaults = Type.Object({ queue: Type.String(), defaults: QueueDefaults });
const QueueBytes = Type.Object({
  queue: Type.String(),
  /** Of payloads and results of all its jobs, and of its finished jobs alone. */
  bytes: Type.Integer(),
  finished_bytes: Type.Integer(),
  max_bytes: Type.Optional(Type.Integer()),
  keep_bytes: Type.Optional(Type.Integer()),
});
const ofBytes = {
  path: "/api/v1/queues/{name}/bytes",
  tag: "queues" as const,
  placement: "queue" as const,
  params: QueueParams,
  result: QueueBytes,
};
const ofDefaults = {
  path: "/api/v1/queues/{name}/defaults",
  tag: "queues" as const,
  placement: "queue" as const,
  params: QueueParams,
};

export const queueOperations = {
  listQueues: readOperation({
    ignoresUnknown: true,
    method: "GET",
    path: "/api/v1/queues",
    tag: "queues",
    placement: "parts",
    summary: "All queues with their counts",
    result: Type.Array(Queue),
  }),
  getQueue: readOperation({
    method: "GET",
    path: "/api/v1/queues/{name}",
    tag: "queues",
    placement: "queue",
    summary: "One queue with its counts",
    params: QueueParams,
    result: Queue,
    errors: ["NOT_FOUND"],
  }),
  pauseQueue: operation(action("pause", "Stop handing out jobs of the queue")),
  resumeQueue: operation(action("resume", "Hand out jobs of the queue again")),
  drainQueue: operation({
    ...action(
      "drain",
      "With refuse_new: take no new jobs, and work off those there are. Without: stop handing out jobs, as pause does",
    ),
    body: Type.Object({
      refuse_new: Maybe(
        Type.Boolean({ description: "Take no new jobs; those that are there are still run." }),
      ),
    }),
    bodyOptional: true,
    result: Drain,
    errors: ["LIMIT_EXCEEDED"],
  }),
  undrainQueue: operation(action("undrain", "Take new jobs again")),
  getQueueDefaults: readOperation({
    ...ofDefaults,
    method: "GET",
    summary: "The options that jobs of the queue have unless they say otherwise",
    result: Defaults,
  }),
  setQueueDefaults: operation({
    ...ofDefaults,
    method: "PUT",
    summary: "Set them, for jobs that are added from now on; replaces what was set before",
    body: QueueDefaults,
    result: Defaults,
    errors: ["LIMIT_EXCEEDED"],
  }),
  removeQueueDefaults: operation({
    ...ofDefaults,
    method: "DELETE",
    summary: "Remove them; jobs that are there keep what they have",
    result: Status,
  }),
  getQueueBytes: readOperation({
    ...ofBytes,
    method: "GET",
    summary: "How many bytes the payloads and results of the queue take up, and its bounds on them",
  }),
  setQueueBytes: operation({
    ...ofBytes,
    method: "PUT",
    summary: "Set both bounds; one that is not given is removed",
    body: Type.Object({
      max_bytes: Maybe(
        Type.Integer({
          description: "New jobs are refused that would bring the queue beyond this.",
          minimum: 1,
        }),
      ),
      keep_bytes: Maybe(
        Type.Integer({
          description: "Finished jobs beyond this are removed, the oldest first.",
          minimum: 0,
        }),
      ),
    }),
    errors: ["LIMIT_EXCEEDED", "UNSUPPORTED"],
  }),
  clearQueue: operation({
    ...action("clear", "Delete the waiting jobs of the queue (pending, scheduled, retrying)"),
    result: Type.Object({ status: Type.String(), deleted: Type.Integer() }),
    errors: ["NOT_FOUND"],
  }),
  deleteQueue: operation({
    method: "DELETE",
    path: "/api/v1/queues/{name}",
    tag: "queues",
    placement: "queue",
    summary: "Delete the queue with all its jobs; refused while jobs are active",
    params: QueueParams,
    result: Type.Object({ status: Type.String(), deleted: Type.Integer() }),
    errors: ["NOT_FOUND", "QUEUE_ERROR"],
  }),
};
