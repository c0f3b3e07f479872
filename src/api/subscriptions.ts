/** Operations on subscriptions: who is told that a queue has jobs that are ready. */
import { Type } from "@sinclair/typebox";
import { requestLimits as limits } from "./limits.ts";
import { consistencyWith, operation, readOperation } from "./operation.ts";
import { pageQuery, pageResult } from "./page.ts";
import { Duration, Maybe, Status } from "./schemas.ts";
import { TargetSecret, TargetUrl } from "./targets.ts";

export const SubscriptionId = Type.String({
  description: "Id of the subscription: letters, digits and . _ -",
  minLength: 1,
  maxLength: limits.webhookIdLengthMax,
  pattern: "^[A-Za-z0-9][A-Za-z0-9._-]*$",
});
const Params = Type.Object({ id: SubscriptionId });

const Mode = Type.Union([Type.Literal("fanout"), Type.Literal("group"), Type.Literal("hash")], {
  description:
    "fanout (default): told of every queue; group: one of the group after the other; hash: of a group, always the same one for a queue.",
});

const Group = Type.String({
  description: "Name of the group, with the modes group and hash.",
  minLength: 1,
  maxLength: limits.keyLengthMax,
});

const Ttl = Maybe(Duration, "How long it lasts unless it is renewed. Default 5m.");

export const Subscription = Type.Object({
  id: Type.String(),
  url: Type.String(),
  queues: Type.Array(Type.String()),
  mode: Mode,
  group: Type.Optional(Type.String()),
  min_interval_ms: Type.Integer(),
  ttl_ms: Type.Integer(),
  has_secret: Type.Boolean(),
  created_at: Type.String(),
  expires_at: Type.String(),
});

export const subscriptionOperations = {
  listSubscriptions: readOperation({
    method: "GET",
    path: "/api/v1/subscriptions",
    tag: "webhooks",
    placement: "global",
    summary: "Subscriptions that have not ended, a page at a time",
    query: Type.Object({ consistency: consistencyWith("strong"), ...pageQuery }),
    result: Type.Object({ subscriptions: Type.Array(Subscription), ...pageResult }),
  }),
  setSubscription: operation({
    method: "POST",
    path: "/api/v1/subscriptions",
    tag: "webhooks",
    placement: "parts",
    summary:
      "Be told by a call when a queue has ready jobs; the same id again gives other settings",
    body: Type.Object({
      id: Maybe(SubscriptionId, "Without one a new subscription is made."),
      url: TargetUrl,
      queues: Type.Array(Type.String({ maxLength: limits.queueNameLengthMax + 1 }), {
        description: "Names of queues; * at the end stands for any end.",
        minItems: 1,
        maxItems: limits.webhookFiltersMax,
      }),
      mode: Maybe(Mode),
      group: Maybe(Group),
      min_interval: Maybe(Duration, "It is not called again before this has passed. Default 5s."),
      ttl: Ttl,
      secret: Maybe(TargetSecret, "Signs the calls as those of webhooks."),
    }),
    result: Subscription,
    errors: ["VALIDATION_ERROR", "LIMIT_EXCEEDED"],
  }),
  renewSubscription: operation({
    method: "POST",
    path: "/api/v1/subscriptions/{id}/renew",
    tag: "webhooks",
    placement: "parts",
    summary: "Let a subscription last for its time again, or for another one",
    params: Params,
    body: Type.Object({ ttl: Maybe(Duration, "Default: as long as before.") }),
    bodyOptional: true,
    result: Subscription,
    errors: ["NOT_FOUND"],
  }),
  deleteSubscription: operation({
    method: "DELETE",
    path: "/api/v1/subscriptions/{id}",
    tag: "webhooks",
    placement: "parts",
    summary: "End a subscription",
    params: Params,
    result: Status,
    errors: ["NOT_FOUND"],
  }),
};
