/**
 * codeQ's calls for workers that are woken by a call. The subscription is ours, and so is what is sent: a client that looks at no more
 * than being called, or that reads `queue`, needs nothing else.
 */
import { Type } from "@sinclair/typebox";
import { requestLimits as limits } from "../../../api/limits.ts";
import { operation } from "../../../api/operation.ts";
import { Maybe, QueueName } from "../../../api/schemas.ts";
import { SubscriptionId } from "../../../api/subscriptions.ts";
import { TargetUrl } from "../../../api/targets.ts";
import { CorvoError } from "../../../base/errors.ts";
import { type Call, type ForeignCall, foreign } from "../foreign.ts";

const base = "/v1/codeq/workers/subscriptions";
const common = { method: "POST" as const, tag: "worker" as const, placement: "parts" as const };
const Subscribed = Type.Object({ subscriptionId: Type.String(), expiresAt: Type.String() });
const Ttl = Maybe(Type.Integer({ minimum: 0, maximum: limits.subscriptionMsMax / 1000 }));

export const codeqSubscriptionRows = {
  subscribe: operation({
    ...common,
    path: base,
    summary: "Be called when commands have tasks that are ready",
    body: Type.Object({
      callbackUrl: TargetUrl,
      eventTypes: Maybe(Type.Array(QueueName, { maxItems: limits.webhookFiltersMax })),
      ttlSeconds: Ttl,
      deliveryMode: Maybe(
        Type.Union([
          Type.Literal("fanout"),
          Type.Literal("group"),
          Type.Literal("hash"),
          Type.Literal(""),
        ]),
      ),
      groupId: Maybe(Type.String({ maxLength: limits.keyLengthMax })),
      minIntervalSeconds: Maybe(
        Type.Integer({ minimum: 0, maximum: limits.wakeIntervalMsMax / 1000 }),
      ),
    }),
    result: Subscribed,
  }),
  renew: operation({
    ...common,
    path: `${base}/{id}/heartbeat`,
    summary: "Go on being called",
    params: Type.Object({ id: SubscriptionId }),
    body: Type.Object({ ttlSeconds: Ttl }),
    bodyOptional: "or null",
    result: Subscribed,
  }),
};

const defaultTtlSeconds = 300;
const defaultIntervalSeconds = 5;
/** codeQ's group without a name. */
const nameless = "default";

export function codeqSubscriptionCalls(call: Call): ForeignCall[] {
  const { subscribe, renew } = codeqSubscriptionRows;
  return [
    foreign(subscribe, async ({ body }, context) => {
      const mode = body.deliveryMode || "fanout";
      const commands = body.eventTypes ?? [];
      const asked = {
        url: body.callbackUrl,
        queues: commands.length === 0 ? ["*"] : commands,
        mode,
        ...(mode === "fanout" ? {} : { group: body.groupId || nameless }),
        min_interval: `${body.minIntervalSeconds || defaultIntervalSeconds}s`,
        ttl: `${body.ttlSeconds || defaultTtlSeconds}s`,
      };
      return subscribed(await call("setSubscription", { body: asked }, context));
    }),
    foreign(renew, async ({ params, body }, context) => {
      const asked = body.ttlSeconds ? { ttl: `${body.ttlSeconds}s` } : {};
      return subscribed(await call("renewSubscription", { params, body: asked }, context));
    }),
  ];
}

function subscribed(made: { readonly id: string; readonly expires_at: string } | undefined) {
  if (made === undefined) throw new CorvoError("NOT_FOUND", "no such subscription");
  return { subscriptionId: made.id, expiresAt: made.expires_at };
}
