/** Rows of codeQ's HTTP calls. What is different on purpose stands in docs/reference/adapters.md. */
import { Type } from "@sinclair/typebox";
import { requestLimits as limits } from "../../../api/limits.ts";
import { Json, operation } from "../../../api/operation.ts";
import { Maybe, QueueName, Time } from "../../../api/schemas.ts";

const base = "/v1/codeq";
const common = { tag: "worker" as const, placement: "queue" as const };
const TaskParams = Type.Object({ id: Type.String({ maxLength: 64 }) });
const Seconds = (maximum: number) => Maybe(Type.Integer({ minimum: 0, maximum }));

export const Task = Type.Object({
  id: Type.String(),
  command: Type.String(),
  /** JSON as text. */
  payload: Type.String(),
  priority: Type.Integer(),
  webhook: Type.Optional(Type.String()),
  /** PENDING, IN_PROGRESS, COMPLETED or FAILED. */
  status: Type.String(),
  workerId: Type.Optional(Type.String()),
  leaseUntil: Type.Optional(Type.String()),
  attempts: Type.Integer(),
  maxAttempts: Type.Integer(),
  error: Type.Optional(Type.String()),
  createdAt: Type.String(),
  updatedAt: Type.String(),
});

const NewTask = Type.Object({
  command: QueueName,
  payload: Json("Any JSON value."),
  priority: Maybe(Type.Integer()),
  webhook: Maybe(Type.String({ maxLength: limits.targetUrlLengthMax })),
  maxAttempts: Maybe(Type.Integer({ minimum: 0, maximum: limits.retriesMax })),
  idempotencyKey: Maybe(Type.String({ maxLength: limits.keyLengthMax })),
  runAt: Maybe(Time),
  delaySeconds: Seconds(limits.delayMsMax / 1000),
});

const Artifact = Type.Object({
  name: Type.String(),
  url: Maybe(Type.String()),
  contentBase64: Maybe(Type.String()),
  contentType: Maybe(Type.String()),
});
const resultFields = {
  status: Type.Union([Type.Literal("COMPLETED"), Type.Literal("FAILED")]),
  result: Maybe(Json("What came out.")),
  error: Maybe(Type.String()),
  artifacts: Maybe(Type.Array(Artifact, { maxItems: 100 })),
};
export const TaskResult = Type.Object({
  taskId: Type.String(),
  status: Type.String(),
  result: Type.Optional(Json("What came out.")),
  error: Type.Optional(Type.String()),
  artifacts: Type.Optional(Type.Array(Artifact)),
  completedAt: Type.String(),
});

const leaseSeconds = Seconds(limits.leaseMsMax / 1000);
const claimFields = {
  commands: Maybe(Type.Array(QueueName, { maxItems: limits.claimQueuesMax })),
  leaseSeconds,
};
const Requeued = Type.Object({
  status: Type.String(),
  delaySeconds: Type.Optional(Type.Integer()),
});
const Counts = Type.Object({
  command: Type.String(),
  ready: Type.Integer(),
  delayed: Type.Integer(),
  inProgress: Type.Integer(),
  dlq: Type.Integer(),
});
export const Topic = Type.Object({
  name: Type.String(),
  maxAttempts: Type.Optional(Type.Integer()),
  deadLetterTopicRef: Type.Optional(Type.String()),
  maxConsumers: Type.Optional(Type.Integer()),
});
const CommandParams = Type.Object({ command: QueueName });
const TopicParams = Type.Object({ name: QueueName });

export const codeqRows = {
  create: operation({
    ...common,
    method: "POST",
    path: `${base}/tasks`,
    summary: "Add a task",
    body: NewTask,
    result: Task,
    status: 202,
  }),
  createBatch: operation({
    ...common,
    method: "POST",
    path: `${base}/tasks/batch`,
    summary: "Add many tasks; each has its own answer",
    body: Type.Object({ tasks: Type.Array(NewTask, { minItems: 1, maxItems: 100 }) }),
    result: Type.Object({
      results: Type.Array(
        Type.Object({ task: Type.Optional(Task), error: Type.Optional(Type.String()) }),
      ),
    }),
  }),
  claim: operation({
    ...common,
    method: "POST",
    path: `${base}/tasks/claim`,
    summary: "Take a task, waiting for one if need be",
    body: Type.Object({ ...claimFields, waitSeconds: Seconds(3600) }),
    result: Task,
    otherStatuses: { 204: "No task came in time." },
    waits: true,
    claims: true,
  }),
  claimBatch: operation({
    ...common,
    method: "POST",
    path: `${base}/tasks/claim/batch`,
    summary: "Take up to ten tasks that are ready",
    body: Type.Object({ ...claimFields, count: Type.Integer({ minimum: 1, maximum: 10 }) }),
    result: Type.Object({ tasks: Type.Array(Task) }),
    otherStatuses: { 204: "No task is ready." },
    claims: true,
  }),
  heartbeat: operation({
    ...common,
    method: "POST",
    path: `${base}/tasks/{id}/heartbeat`,
    summary: "Extend a lease",
    params: TaskParams,
    body: Type.Object({ extendSeconds: leaseSeconds }),
    bodyOptional: "or null",
    result: Type.Object({ ok: Type.Boolean(), status: Type.String() }),
  }),
  abandon: operation({
    ...common,
    method: "POST",
    path: `${base}/tasks/{id}/abandon`,
    summary: "Give a task back",
    params: TaskParams,
    result: Requeued,
  }),
  nack: operation({
    ...common,
    method: "POST",
    path: `${base}/tasks/{id}/nack`,
    summary: "Fail an attempt",
    params: TaskParams,
    body: Type.Object({
      delaySeconds: Seconds(limits.delayMsMax / 1000),
      reason: Maybe(Type.String()),
    }),
    bodyOptional: "or null",
    result: Requeued,
  }),
  result: operation({
    ...common,
    method: "POST",
    path: `${base}/tasks/{id}/result`,
    summary: "End a task",
    params: TaskParams,
    body: Type.Object(resultFields),
    result: TaskResult,
  }),
  resultBatch: operation({
    ...common,
    method: "POST",
    path: `${base}/tasks/batch/results`,
    summary: "End many tasks; each has its own answer",
    body: Type.Object({
      results: Type.Array(Type.Object({ taskId: Type.String(), ...resultFields }), {
        minItems: 1,
        maxItems: 100,
      }),
    }),
    result: Type.Object({
      results: Type.Array(
        Type.Object({
          taskId: Type.String(),
          result: Type.Optional(TaskResult),
          error: Type.Optional(Type.String()),
        }),
      ),
    }),
  }),
  get: operation({
    ...common,
    method: "GET",
    path: `${base}/tasks/{id}`,
    summary: "A task",
    params: TaskParams,
    result: Task,
  }),
  getResult: operation({
    ...common,
    method: "GET",
    path: `${base}/tasks/{id}/result`,
    summary: "A task with its result, waiting for it if need be",
    params: TaskParams,
    query: Type.Object({ waitSeconds: Type.Optional(Type.Number({ minimum: 0 })) }),
    result: Type.Object({ task: Task, result: TaskResult }),
    waits: true,
  }),
  queues: operation({
    ...common,
    method: "GET",
    path: `${base}/admin/queues`,
    summary: "Counts of all commands",
    result: Type.Array(Counts),
  }),
  queue: operation({
    ...common,
    method: "GET",
    path: `${base}/admin/queues/{command}`,
    summary: "Counts of a command",
    params: CommandParams,
    result: Counts,
  }),
  cleanup: operation({
    ...common,
    method: "POST",
    path: `${base}/admin/tasks/cleanup`,
    summary: "Remove tasks that ended before a time",
    body: Type.Object({
      limit: Maybe(Type.Integer({ minimum: 1, maximum: limits.pageRowsMax })),
      before: Maybe(Time),
    }),
    bodyOptional: "or null",
    result: Type.Object({
      deleted: Type.Integer(),
      before: Type.String(),
      limit: Type.Integer(),
    }),
  }),
  putTopic: operation({
    ...common,
    method: "PUT",
    path: `${base}/admin/topics/{name}`,
    summary: "Set what holds for a command",
    params: TopicParams,
    body: Type.Object({
      maxAttempts: Maybe(Type.Integer({ minimum: 1, maximum: limits.retriesMax })),
      deadLetterTopicRef: Maybe(QueueName),
      maxConsumers: Maybe(Type.Integer({ minimum: 1, maximum: limits.limitUnitsMax })),
      retentionSeconds: Maybe(Type.Integer()),
      priorityTiers: Maybe(Type.Array(Type.Integer())),
    }),
    result: Topic,
    otherStatuses: { 201: "Nothing held for it before." },
  }),
  getTopic: operation({
    ...common,
    method: "GET",
    path: `${base}/admin/topics/{name}`,
    summary: "What holds for a command",
    params: TopicParams,
    result: Topic,
  }),
  deleteTopic: operation({
    ...common,
    method: "DELETE",
    path: `${base}/admin/topics/{name}`,
    summary: "Take it back",
    params: TopicParams,
    query: Type.Object({ deletionPolicy: Type.Optional(Type.String()) }),
    result: Type.Object({}),
    status: 204,
  }),
  raftStatus: operation({
    ...common,
    method: "GET",
    path: `${base}/raft/status`,
    summary: "Who leads",
    result: Type.Object({
      enabled: Type.Boolean(),
      numGroups: Type.Integer(),
      groups: Type.Array(
        Type.Object({
          shardIdx: Type.Integer(),
          isLeader: Type.Boolean(),
          selfId: Type.String(),
          selfAddr: Type.String(),
          leaderId: Type.String(),
          leaderAddr: Type.String(),
          leaderHTTPAddr: Type.String(),
          hasLeader: Type.Boolean(),
        }),
      ),
    }),
    answeredBy: "any",
  }),
};
