/** Operations on queues. A queue exists from its first use. */
import { Type } from "@sinclair/typebox";
import { operation, readOperation } from "./operation.ts";
import { Queue, QueueName, Status } from "./schemas.ts";

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

export const queueOperations = {
  listQueues: readOperation({
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
  drainQueue: operation(action("drain", "Stop handing out jobs; running ones finish")),
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
