/** Handlers of operations on subscriptions. */
import { requestLimits as limits } from "../api/limits.ts";
import type { InputOf, ResultOf } from "../api/operation.ts";
import type { Handlers, Operations } from "../api/operations.ts";
import { CorvoError } from "../base/errors.ts";
import { formatTime } from "../base/time.ts";
import type { Subscription, SubscriptionSpec } from "../engine/subscriptions.ts";
import type { Node } from "./node.ts";
import { type Listing, pageOf } from "./page.ts";
import { randomHex } from "./random-text.ts";
import { checkQueuePatterns, toSecret, toUrl } from "./targets.ts";
import { optionalDuration } from "./values.ts";

type SubscriptionHandlers = Pick<
  Handlers,
  "listSubscriptions" | "setSubscription" | "renewSubscription" | "deleteSubscription"
>;
type Body = InputOf<Operations["setSubscription"]>["body"];
type Shown = ResultOf<Operations["setSubscription"]>;

const listing: Listing<Subscription> = {
  list: "subscriptions",
  placeOf: ({ id }) => id,
  isReverse: false,
};

const defaultTtlMs = 300_000;
const defaultIntervalMs = 5000;

export function createSubscriptionHandlers(node: Node): SubscriptionHandlers {
  const table = () => node.replica.engine.state.records("subscription");
  const show = (id: string): Shown => {
    const found = table().get(id);
    if (found !== undefined) return subscriptionView(found);
    throw new CorvoError("NOT_FOUND", `no subscription "${id}": it may have ended`);
  };
  return {
    async listSubscriptions({ query }) {
      const all = [...table().entries()].map(([, subscription]) => subscription);
      const { rows, end } = pageOf(listing, query, all);
      return { subscriptions: rows.map(subscriptionView), ...end };
    },
    async setSubscription({ body }) {
      const id = body.id ?? `sub_${randomHex(node, 5)}`;
      const spec = toSpec(body);
      const bytes = 512 + JSON.stringify(spec).length;
      await node.propose({ kind: "setSubscription", id, spec }, bytes);
      return show(id);
    },
    async renewSubscription({ params, body }) {
      const ttlMs = toTtl(body.ttl);
      const { id } = params;
      const change = { kind: "renewSubscription" as const, id };
      await node.propose(ttlMs === undefined ? change : { ...change, ttlMs }, 128);
      return show(id);
    },
    async deleteSubscription({ params }) {
      await node.propose({ kind: "removeSubscription", id: params.id }, 128);
      return { status: "deleted" };
    },
  };
}

function toSpec(body: Body): SubscriptionSpec {
  const mode = body.mode ?? "fanout";
  if ((mode === "fanout") !== (body.group == null)) {
    throw new CorvoError(
      "VALIDATION_ERROR",
      mode === "fanout"
        ? "group: with mode fanout each subscription is told, so none is in a group"
        : `group: mode ${mode} is about the members of a group, and none is named`,
    );
  }
  checkQueuePatterns("queues", body.queues);
  const minIntervalMs = optionalDuration("min_interval", body.min_interval) ?? defaultIntervalMs;
  if (minIntervalMs < limits.wakeIntervalMsMin || minIntervalMs > limits.wakeIntervalMsMax) {
    throw new CorvoError(
      "LIMIT_EXCEEDED",
      `min_interval: ${body.min_interval} is not within ${limits.wakeIntervalMsMin} ms and ${limits.wakeIntervalMsMax} ms (wakeIntervalMsMin, wakeIntervalMsMax)`,
    );
  }
  return {
    url: toUrl("url", body.url),
    secret: body.secret == null ? "" : toSecret("secret", body.secret),
    queues: [...new Set(body.queues)],
    mode,
    group: body.group ?? "",
    minIntervalMs,
    ttlMs: toTtl(body.ttl) ?? defaultTtlMs,
  };
}

function toTtl(text: string | null | undefined): number | undefined {
  const ttlMs = optionalDuration("ttl", text);
  if (ttlMs === undefined) return undefined;
  if (ttlMs >= limits.subscriptionMsMin && ttlMs <= limits.subscriptionMsMax) return ttlMs;
  throw new CorvoError(
    "LIMIT_EXCEEDED",
    `ttl: ${text} is not within ${limits.subscriptionMsMin} ms and ${limits.subscriptionMsMax} ms (subscriptionMsMin, subscriptionMsMax)`,
  );
}

function subscriptionView(subscription: Subscription): Shown {
  const { id, url, queues, mode, group, secret } = subscription;
  return {
    ...{ id, url, queues: [...queues], mode },
    ...(group === "" ? {} : { group }),
    min_interval_ms: subscription.minIntervalMs,
    ttl_ms: subscription.ttlMs,
    has_secret: secret !== "",
    created_at: formatTime(subscription.createdAtMs),
    expires_at: formatTime(subscription.expiresAtMs),
  };
}
