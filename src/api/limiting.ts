/**
 * Operations on limits: how many jobs of a queue, a key or a resource run at once and how many start in what time, pauses,
 * and the turns of groups. `{name}` is a queue, or a resource.
 */
import { Type } from "@sinclair/typebox";
import { requestLimits as limits } from "./limits.ts";
import { consistencyWith, operation, readOperation } from "./operation.ts";
import { pageQuery, pageResult } from "./page.ts";
import { Duration, Maybe, QueueName, Status, Time } from "./schemas.ts";

const QueueParams = Type.Object({ name: QueueName });
const LimitName = (description: string) =>
  Type.String({ description, minLength: 1, maxLength: limits.keyLengthMax });
const ResourceParams = Type.Object({ name: LimitName("Resource.") });

const Units = (description: string) =>
  Type.Integer({ description, minimum: 1, maximum: limits.limitUnitsMax });
const Rate = Type.Object(
  {
    count: Units("Units."),
    window: Duration,
    kind: Maybe(
      Type.Union([Type.Literal("token"), Type.Literal("sliding"), Type.Literal("leaky")]),
      "token (default): a bucket that refills evenly. sliding: never more in any window. leaky: evenly spaced.",
    ),
    burst: Maybe(Units("Units a full bucket holds; of token only. Default count.")),
  },
  { description: "How many units may start in how much time." },
);
const Concurrency = Maybe(Units("Units that may be out at once."));
const bounds = { concurrency: Concurrency, rate: Maybe(Rate) };

const part = {
  key: LimitName("One limit key of the queue."),
  each_key: Type.Boolean({ description: "Every limit key of the queue, each for itself." }),
  group: LimitName("One group of the queue."),
  each_group: Type.Boolean({ description: "Every group of the queue, each for itself." }),
};
const partOfQuery = {
  key: Type.Optional(part.key),
  each_key: Type.Optional(part.each_key),
  group: Type.Optional(part.group),
  each_group: Type.Optional(part.each_group),
};
const partOfBody = {
  key: Maybe(part.key),
  each_key: Maybe(part.each_key),
  group: Maybe(part.group),
  each_group: Maybe(part.each_group),
};
const end = {
  for: Maybe(Duration, "How long."),
  until: Maybe(Time, "Until when; instead of for."),
};

export const Limit = Type.Object({
  queue: Type.Optional(Type.String()),
  key: Type.Optional(Type.String()),
  each_key: Type.Optional(Type.Boolean()),
  group: Type.Optional(Type.String()),
  each_group: Type.Optional(Type.Boolean()),
  resource: Type.Optional(Type.String()),
  concurrency: Type.Optional(Type.Integer()),
  rate: Type.Optional(
    Type.Object({
      count: Type.Integer(),
      window_ms: Type.Integer(),
      kind: Type.String(),
      burst: Type.Optional(Type.Integer()),
    }),
  ),
  weight: Type.Optional(Type.Integer()),
  backlog: Type.Optional(Type.Integer()),
  /** Units that are out; of a queue, a key or a resource. */
  in_use: Type.Optional(Type.Integer()),
  /** May a run that needs one unit start now? */
  open: Type.Optional(Type.Boolean()),
  /** When it may, if that is only a matter of time. */
  opens_at: Type.Optional(Type.String()),
  paused_until: Type.Optional(Type.String()),
});

const BlockedKey = Type.Object({
  key: Type.String(),
  /** The job that keeps the others of the key waiting. */
  job_id: Type.String(),
  state: Type.String(),
  waiting: Type.Integer(),
});

const tag = "limits" as const;
const ofQueue = { tag, placement: "queue" as const, params: QueueParams };
const ofResource = { tag, placement: "queue" as const, params: ResourceParams };
const queuePath = "/api/v1/limits/queues/{name}";
const resourcePath = "/api/v1/limits/resources/{name}";
const PauseResult = Type.Object({ status: Type.String(), paused_until: Type.String() });

const queueLimits = {
  setLimit: operation({
    ...ofQueue,
    method: "PUT",
    path: queuePath,
    summary: "Limit a queue, its keys or its groups; replaces what was set for the same",
    body: Type.Object({
      ...partOfBody,
      ...bounds,
      weight: Maybe(
        Type.Integer({
          description: "Share of the turns of a group. Default 1.",
          minimum: 1,
          maximum: limits.groupWeightMax,
        }),
      ),
      backlog: Maybe(
        Type.Integer({
          description: "Jobs of a group that may wait; more are refused.",
          minimum: 1,
          maximum: 1_000_000_000,
        }),
      ),
    }),
    result: Limit,
    errors: ["LIMIT_EXCEEDED"],
  }),
  getLimit: readOperation({
    ...ofQueue,
    method: "GET",
    path: queuePath,
    summary: "What is in force for a queue, its keys or its groups, and what of it is in use",
    query: Type.Object({ ...partOfQuery, consistency: consistencyWith("strong") }),
    result: Limit,
  }),
  removeLimit: operation({
    ...ofQueue,
    method: "DELETE",
    path: queuePath,
    summary: "Remove a limit",
    query: Type.Object(partOfQuery),
    body: Type.Object(partOfBody),
    bodyOptional: true,
    result: Status,
    errors: ["NOT_FOUND"],
  }),
  pauseLimit: operation({
    ...ofQueue,
    method: "POST",
    path: `${queuePath}/pause`,
    summary: "Hand out no jobs of a queue, or of one of its keys, for a time",
    body: Type.Object({ key: Maybe(part.key), ...end }),
    result: PauseResult,
    errors: ["LIMIT_EXCEEDED"],
  }),
  resumeLimit: operation({
    ...ofQueue,
    method: "POST",
    path: `${queuePath}/resume`,
    summary: "End such a pause",
    body: Type.Object({ key: Maybe(part.key) }),
    bodyOptional: true,
    result: Status,
  }),
  blockedKeys: readOperation({
    ...ofQueue,
    method: "GET",
    path: "/api/v1/queues/{name}/blocked-keys",
    summary: "FIFO keys in which jobs wait for an older one, by name",
    query: Type.Object({
      ...pageQuery,
      consistency: consistencyWith("strong"),
    }),
    result: Type.Object({ keys: Type.Array(BlockedKey), ...pageResult }),
    errors: ["NOT_FOUND"],
  }),
};

const resourceLimits = {
  setResource: operation({
    ...ofResource,
    method: "PUT",
    path: resourcePath,
    summary: "Limit a resource that jobs of several queues share",
    body: Type.Object(bounds),
    result: Limit,
    errors: ["LIMIT_EXCEEDED"],
  }),
  getResource: readOperation({
    ...ofResource,
    method: "GET",
    path: resourcePath,
    summary: "What is in force for a resource, and what of it is in use",
    result: Limit,
  }),
  removeResource: operation({
    ...ofResource,
    method: "DELETE",
    path: resourcePath,
    summary: "Remove the limit of a resource",
    result: Status,
    errors: ["NOT_FOUND"],
  }),
  pauseResource: operation({
    ...ofResource,
    method: "POST",
    path: `${resourcePath}/pause`,
    summary: "Hand out no jobs that need a resource, for a time",
    body: Type.Object(end),
    result: PauseResult,
    errors: ["LIMIT_EXCEEDED"],
  }),
  resumeResource: operation({
    ...ofResource,
    method: "POST",
    path: `${resourcePath}/resume`,
    summary: "End such a pause",
    result: Status,
  }),
};

/** As 0.3 has them; they set the limits of the queue. */
const queueCalls = {
  setConcurrency: operation({
    ...ofQueue,
    method: "POST",
    path: "/api/v1/queues/{name}/concurrency",
    summary: "How many jobs of the queue run at once; 0 for any number",
    body: Type.Object({ max: Type.Integer({ maximum: limits.limitUnitsMax }) }),
    result: Status,
  }),
  setThrottle: operation({
    ...ofQueue,
    method: "POST",
    path: "/api/v1/queues/{name}/throttle",
    summary: "How many jobs of the queue start in any window",
    body: Type.Object({
      rate: Units("Jobs."),
      window_ms: Type.Integer({
        description: "Milliseconds.",
        minimum: 1,
        maximum: limits.rateWindowMsMax,
      }),
    }),
    result: Status,
  }),
  removeThrottle: operation({
    ...ofQueue,
    method: "DELETE",
    path: "/api/v1/queues/{name}/throttle",
    summary: "Let jobs of the queue start at any rate",
    result: Status,
  }),
};

export const limitOperations = {
  listLimits: readOperation({
    method: "GET",
    path: "/api/v1/limits",
    tag,
    placement: "parts",
    summary: "Every limit and every pause, by queue and name",
    query: Type.Object({
      queue: Type.Optional(QueueName),
      ...pageQuery,
      consistency: consistencyWith("strong"),
    }),
    result: Type.Object({ limits: Type.Array(Limit), ...pageResult }),
  }),
  ...queueLimits,
  ...resourceLimits,
  ...queueCalls,
};
