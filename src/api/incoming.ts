/** Calls from outside that become jobs, and what is expected of them. */
import { Type } from "@sinclair/typebox";
import { requestLimits as limits } from "./limits.ts";
import { consistencyWith, operation, readOperation } from "./operation.ts";
import { pageQuery, pageResult } from "./page.ts";
import { Duration, EnqueueResult, MapOf, Maybe, QueueName, Status } from "./schemas.ts";
import { TargetSecret } from "./targets.ts";

const Params = Type.Object({ name: QueueName });

const Scheme = Type.Union(
  [
    Type.Literal("none"),
    Type.Literal("github"),
    Type.Literal("stripe"),
    Type.Literal("standard"),
    Type.Literal("corvo"),
  ],
  {
    description:
      "How senders sign: github (X-Hub-Signature-256), stripe (Stripe-Signature), standard (webhook-signature), corvo (X-Corvo-Signature), none.",
  },
);

const Header = Type.String({
  description: "Name of a header.",
  maxLength: limits.tagLengthMax,
});

export const Incoming = Type.Object({
  queue: Type.String(),
  scheme: Scheme,
  has_secret: Type.Boolean(),
  tolerance_ms: Type.Integer(),
  /** Header with the sender's id of the message. */
  id_header: Type.Optional(Type.String()),
  tag_headers: Type.Array(Type.String()),
  updated_at: Type.String(),
});

export const incomingOperations = {
  listIncoming: readOperation({
    method: "GET",
    path: "/api/v1/webhooks/incoming",
    tag: "webhooks",
    placement: "parts",
    summary: "Queues that expect something of calls from outside, a page at a time",
    query: Type.Object({ consistency: consistencyWith("strong"), ...pageQuery }),
    result: Type.Object({ queues: Type.Array(Incoming), ...pageResult }),
  }),
  setIncoming: operation({
    method: "PUT",
    path: "/api/v1/webhooks/incoming/{name}",
    tag: "webhooks",
    placement: "queue",
    summary: "Say how calls from outside to a queue are verified, and what is taken of them",
    params: Params,
    body: Type.Object({
      scheme: Scheme,
      secret: Maybe(TargetSecret, "What senders sign with. Needed unless the scheme is none."),
      tolerance: Maybe(
        Duration,
        "How old a signature with a time in it may be. Default 5m; of stripe and standard.",
      ),
      id_header: Maybe(
        Header,
        "Header with the sender's id of the message: the same id again adds no second job within a day. Default that of the scheme; empty for none.",
      ),
      tag_headers: Maybe(
        Type.Array(Header, {
          description: "Headers that become tags of the job, in small letters.",
          maxItems: limits.tagHeadersMax,
        }),
      ),
    }),
    result: Incoming,
    errors: ["VALIDATION_ERROR", "LIMIT_EXCEEDED"],
  }),
  deleteIncoming: operation({
    method: "DELETE",
    path: "/api/v1/webhooks/incoming/{name}",
    tag: "webhooks",
    placement: "queue",
    summary: "Expect nothing any more of calls from outside to a queue",
    params: Params,
    result: Status,
    errors: ["NOT_FOUND"],
  }),
  receiveWebhook: operation({
    method: "POST",
    path: "/api/v1/webhooks/{name}",
    tag: "webhooks",
    placement: "queue",
    summary: "A call from outside: its body becomes the payload of a job",
    params: Params,
    query: Type.Object({
      priority: Type.Optional(
        Type.String({
          description: "0 (first) to 9, or critical, high, normal, low.",
          maxLength: 16,
        }),
      ),
      unique_key: Type.Optional(
        Type.String({
          description: "At most one unfinished job of the queue holds this key.",
          minLength: 1,
          maxLength: limits.keyLengthMax,
        }),
      ),
      max_retries: Type.Optional(Type.Integer({ minimum: 0, maximum: limits.retriesMax })),
      scheduled_at: Type.Optional(
        Type.String({ description: "When the job may run, RFC 3339.", maxLength: 64 }),
      ),
      tags: Type.Optional(
        Type.String({ description: "Tags as name:value,name:value.", maxLength: 8192 }),
      ),
    }),
    takes: "raw",
    // Senders are not ours, and some add what they like.
    ignoresUnknown: true,
    body: Type.Object({
      text: Type.String(),
      headers: MapOf(Type.String(), limits.incomingHeaderLengthMax, {}),
    }),
    bodyOptional: true,
    result: EnqueueResult,
    status: 201,
    otherStatuses: { 200: "There is such a job already." },
    errors: ["UNAUTHORIZED", "CONFLICT", "QUEUE_DRAINING"],
  }),
};
