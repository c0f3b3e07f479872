/** Operations on webhooks: who is told what happens, and how that went. */
import { Type } from "@sinclair/typebox";
import { requestLimits as limits } from "./limits.ts";
import { consistencyWith, Json, operation, readOperation } from "./operation.ts";
import { pageQuery, pageResult } from "./page.ts";
import { Maybe, Status, Tags } from "./schemas.ts";
import { TargetSecret, TargetUrl } from "./targets.ts";

export const WebhookId = Type.String({
  description: "Id of the webhook: letters, digits and . _ -",
  minLength: 1,
  maxLength: limits.webhookIdLengthMax,
  pattern: "^[A-Za-z0-9][A-Za-z0-9._-]*$",
});
const Params = Type.Object({ name: WebhookId });

export const Webhook = Type.Object({
  id: Type.String(),
  url: Type.String(),
  events: Type.Array(Type.String()),
  queues: Type.Array(Type.String()),
  tags: Type.Optional(Tags),
  enabled: Type.Boolean(),
  paused: Type.Boolean(),
  /** Why it was disabled by itself. */
  disabled_reason: Type.Optional(Type.String()),
  has_secret: Type.Boolean(),
  retry_limit: Type.Integer(),
  created_at: Type.String(),
  updated_at: Type.String(),
  /** Deliveries: those that wait, those that arrived, those that were given up. */
  waiting: Type.Integer(),
  delivered: Type.Integer(),
  failed: Type.Integer(),
  /** Events for which there was no room. */
  missed: Type.Integer(),
  missed_at: Type.Optional(Type.String()),
  /** Tries in a row that failed. */
  failures: Type.Integer(),
  last_status_code: Type.Optional(Type.Integer()),
  last_error: Type.Optional(Type.String()),
  last_delivery_at: Type.Optional(Type.String()),
});

export const Delivery = Type.Object({
  id: Type.String(),
  webhook_id: Type.String(),
  state: Type.Union([Type.Literal("waiting"), Type.Literal("delivered"), Type.Literal("failed")]),
  event: Type.String(),
  job_id: Type.Optional(Type.String()),
  queue: Type.Optional(Type.String()),
  url: Type.String(),
  attempts: Type.Integer(),
  status_code: Type.Optional(Type.Integer()),
  error: Type.Optional(Type.String()),
  duration_ms: Type.Optional(Type.Integer()),
  created_at: Type.String(),
  last_attempt_at: Type.Optional(Type.String()),
  next_attempt_at: Type.Optional(Type.String()),
  data: Type.Optional(Json("What the event says.")),
  /** The data was too much to keep. */
  data_omitted: Type.Optional(Type.Boolean()),
});

const control = (verb: string, summary: string) =>
  operation({
    method: "POST",
    path: `/api/v1/webhooks/{name}/${verb}`,
    tag: "webhooks",
    placement: "parts",
    summary,
    params: Params,
    result: Status,
    errors: ["NOT_FOUND"],
  });

export const webhookOperations = {
  listWebhooks: readOperation({
    method: "GET",
    path: "/api/v1/webhooks",
    tag: "webhooks",
    placement: "parts",
    summary: "All webhooks, and how their deliveries went",
    result: Type.Array(Webhook),
  }),
  setWebhook: operation({
    method: "POST",
    path: "/api/v1/webhooks",
    tag: "webhooks",
    placement: "parts",
    summary: "Make a webhook, or give the one with this id other settings",
    body: Type.Object({
      id: Maybe(WebhookId, "Without one a new webhook is made."),
      url: TargetUrl,
      events: Maybe(
        Type.Array(Type.String({ description: "Type of event, or *.", maxLength: 64 }), {
          description: "Types of events that are sent; * stands for all. Default all.",
          maxItems: limits.webhookFiltersMax,
        }),
      ),
      queues: Maybe(
        Type.Array(Type.String({ maxLength: limits.queueNameLengthMax + 1 }), {
          description: "Only events of these queues; * at the end stands for any end. Default all.",
          maxItems: limits.webhookFiltersMax,
        }),
      ),
      tags: Maybe(Tags, "Only events of jobs with all of these tags."),
      secret: Maybe(
        TargetSecret,
        "Signs deliveries. A new webhook without one gets one, which is shown once.",
      ),
      enabled: Maybe(Type.Boolean({ description: "Default true." })),
      retry_limit: Maybe(
        Type.Integer({
          description: "How many times a delivery is tried in all. Default 3.",
          minimum: 1,
          maximum: limits.deliveryTriesMax,
        }),
      ),
    }),
    result: Type.Object({
      status: Type.String(),
      id: Type.String(),
      /** Made by the server, and never shown again. */
      secret: Type.Optional(Type.String()),
    }),
    errors: ["VALIDATION_ERROR", "LIMIT_EXCEEDED"],
  }),
  getWebhook: readOperation({
    method: "GET",
    path: "/api/v1/webhooks/{name}",
    tag: "webhooks",
    placement: "parts",
    summary: "One webhook, and how its deliveries went",
    params: Params,
    result: Webhook,
    errors: ["NOT_FOUND"],
  }),
  deleteWebhook: operation({
    method: "DELETE",
    path: "/api/v1/webhooks/{name}",
    tag: "webhooks",
    placement: "parts",
    summary: "Delete a webhook with its deliveries",
    params: Params,
    result: Status,
    errors: ["NOT_FOUND"],
  }),
  pauseWebhook: control("pause", "Keep what comes and send nothing"),
  enableWebhook: control("enable", "End a pause or a disabling; send what waits, forget failures"),
  testWebhook: operation({
    method: "POST",
    path: "/api/v1/webhooks/{name}/test",
    tag: "webhooks",
    placement: "global",
    summary: "Send one message that says nothing, whether or not the webhook is enabled",
    params: Params,
    result: Type.Object({ status: Type.String(), delivery_id: Type.String() }),
    status: 202,
    errors: ["NOT_FOUND"],
  }),
  listDeliveries: readOperation({
    method: "GET",
    path: "/api/v1/webhooks/{name}/deliveries",
    tag: "webhooks",
    placement: "parts",
    summary: "Deliveries of a webhook, or with the id `callbacks` of results of jobs, newest first",
    params: Params,
    query: Type.Object({
      consistency: consistencyWith("strong"),
      state: Type.Optional(Delivery.properties.state),
      job_id: Type.Optional(Type.String({ maxLength: 64 })),
      ...pageQuery,
    }),
    result: Type.Object({
      deliveries: Type.Array(Delivery),
      total: Type.Integer(),
      ...pageResult,
    }),
    errors: ["NOT_FOUND"],
  }),
  redeliver: operation({
    method: "POST",
    path: "/api/v1/webhooks/{name}/deliveries/{delivery_id}/redeliver",
    tag: "webhooks",
    placement: "parts",
    summary: "Send a delivery again, or at once",
    params: Type.Object({ name: WebhookId, delivery_id: Type.String({ maxLength: 64 }) }),
    result: Type.Object({ status: Type.String(), delivery_id: Type.String() }),
    status: 202,
    errors: ["NOT_FOUND"],
  }),
};
