/** Handlers of operations on webhooks and their deliveries. */
import type { InputOf, ResultOf } from "../api/operation.ts";
import type { Handlers, Operations } from "../api/operations.ts";
import { CorvoError } from "../base/errors.ts";
import { parseGroupId } from "../base/ids.ts";
import { RawJson } from "../base/json.ts";
import { formatTime } from "../base/time.ts";
import { eventTable } from "../engine/event-types.ts";
import { callbacksId, type Delivery } from "../engine/outbox/delivery.ts";
import { noStats, type Webhook, type WebhookSpec } from "../engine/outbox/webhook.ts";
import type { Node } from "./node.ts";
import { deliveryIdOf } from "./outbound-message.ts";
import { type Listing, pageOf } from "./page.ts";
import { randomHex, randomSecret } from "./random-text.ts";
import { checkQueuePatterns, toSecret, toUrl } from "./targets.ts";

type WebhookHandlers = Pick<
  Handlers,
  | "listWebhooks"
  | "setWebhook"
  | "getWebhook"
  | "deleteWebhook"
  | "pauseWebhook"
  | "enableWebhook"
  | "testWebhook"
  | "listDeliveries"
  | "redeliver"
>;
type Body = InputOf<Operations["setWebhook"]>["body"];
type Shown = ResultOf<Operations["getWebhook"]>;
export type DeliveryView = ResultOf<Operations["listDeliveries"]>["deliveries"][number];

/** Newest first: ids begin with the time of creation. */
export const deliveryListing: Listing<{ readonly id: string }> = {
  list: "deliveries",
  placeOf: ({ id }) => id,
  isReverse: true,
};
/** As in 0.3. */
const defaultRetryLimit = 3;
/** Paths under `/webhooks` that are no webhook. */
const reserved: readonly string[] = [callbacksId, "incoming"];

export function createWebhookHandlers(node: Node): WebhookHandlers {
  const { state } = node.replica.engine;
  const find = (id: string): Webhook => {
    const record = state.records("webhook").get(id);
    if (record !== undefined) return record;
    throw new CorvoError("NOT_FOUND", `no webhook "${id}"`, {
      hint: "`corvo webhook list` shows them.",
    });
  };
  const control = async (id: string, action: "pause" | "enable" | "delete", status: string) => {
    await node.propose({ kind: "controlWebhook", id, action }, 128);
    return { status };
  };
  return {
    async listWebhooks() {
      const all = [...state.records("webhook").entries()].map(([, webhook]) => webhook);
      all.sort((one, other) => (one.id < other.id ? -1 : 1));
      return all.map((webhook) => webhookView(node, webhook));
    },
    async setWebhook({ body }) {
      const id = body.id ?? `wh_${randomHex(node, 5)}`;
      if (reserved.includes(id)) {
        throw new CorvoError("VALIDATION_ERROR", `id: "${id}" means something else`);
      }
      const isNew = state.records("webhook").get(id) === undefined;
      const made = isNew && body.secret == null ? randomSecret(node) : undefined;
      if (made !== undefined && node.options.shard > 0) {
        throw new CorvoError(
          "CONFLICT",
          `webhook "${id}" is not in all shards: a call before did not get through to all of them`,
          { hint: "Delete it and make it again, or give it a secret." },
        );
      }
      const secret = body.secret == null ? made : toSecret("secret", body.secret);
      const spec = toSpec(body);
      await node.propose(
        { kind: "setWebhook", id, spec, ...(secret === undefined ? {} : { secret }) },
        512 + JSON.stringify(spec).length,
      );
      return { status: "ok", id, ...(made === undefined ? {} : { secret: made }) };
    },
    getWebhook: async ({ params }) => webhookView(node, find(params.name)),
    deleteWebhook: ({ params }) => control(params.name, "delete", "deleted"),
    pauseWebhook: ({ params }) => control(params.name, "pause", "paused"),
    enableWebhook: ({ params }) => control(params.name, "enable", "enabled"),
    async testWebhook({ params }) {
      const outcome = await node.propose({ kind: "testWebhook", id: params.name }, 128);
      if (outcome.kind !== "delivery") throw new Error(`unexpected outcome ${outcome.kind}`);
      return { status: "sent", delivery_id: deliveryIdOf(outcome, node.options.shard) };
    },
    async listDeliveries({ params, query }) {
      if (params.name !== callbacksId) find(params.name);
      const found: Delivery[] = [];
      const { state: wanted, job_id } = query;
      for (const [, delivery] of state.records("delivery").entries()) {
        if (delivery.webhook !== params.name) continue;
        if (wanted === undefined || delivery.state === wanted) found.push(delivery);
      }
      const views = found
        .map((delivery) => deliveryView(node, delivery))
        .filter((view) => job_id === undefined || view.job_id === job_id);
      const { rows, end } = pageOf(deliveryListing, query, views);
      return { deliveries: rows, total: views.length, ...end };
    },
    async redeliver({ params }) {
      const parsed = parseGroupId("dlv", params.delivery_id);
      const delivery = state.records("delivery").get(String(parsed?.seq));
      const isMeant =
        parsed?.shard === node.options.shard && delivery?.createdAtMs === parsed.createdAtMs;
      if (delivery === undefined || !isMeant) {
        throw new CorvoError("NOT_FOUND", `no delivery "${params.delivery_id}"`, {
          hint: "The last ones of each webhook are kept; `corvo webhook deliveries` shows them.",
        });
      }
      const { number } = delivery;
      await node.propose({ kind: "redeliver", webhook: params.name, number }, 128);
      return { status: "waiting", delivery_id: params.delivery_id };
    },
  };
}

function toSpec(body: Body): WebhookSpec {
  const events = body.events == null || body.events.length === 0 ? ["*"] : body.events;
  for (const type of events) {
    if (type === "*" || Object.hasOwn(eventTable, type)) continue;
    throw new CorvoError(
      "VALIDATION_ERROR",
      `events: expected types of events or *, got ${JSON.stringify(type)}`,
      { hint: `The types are ${Object.keys(eventTable).join(", ")}.` },
    );
  }
  checkQueuePatterns("queues", body.queues ?? []);
  return {
    url: toUrl("url", body.url),
    events: [...new Set(events)],
    queues: [...new Set(body.queues ?? [])],
    ...(body.tags == null || Object.keys(body.tags).length === 0 ? {} : { tags: body.tags }),
    enabled: body.enabled ?? true,
    retryLimit: body.retry_limit ?? defaultRetryLimit,
  };
}

function webhookView(node: Node, webhook: Webhook): Shown {
  const { engine } = node.replica;
  const stats = engine.state.records("deliveryStats").get(webhook.id) ?? noStats;
  const { id, url, events, queues, tags, enabled, paused, disabledBecause, secret } = webhook;
  return {
    ...{ id, url, events: [...events], queues: [...queues], enabled, paused },
    ...(tags === undefined ? {} : { tags: { ...tags } }),
    ...(disabledBecause === undefined ? {} : { disabled_reason: disabledBecause }),
    has_secret: secret !== "",
    retry_limit: webhook.retryLimit,
    created_at: formatTime(webhook.createdAtMs),
    updated_at: formatTime(webhook.updatedAtMs),
    waiting: engine.waitingDeliveries(id),
    ...{ delivered: stats.delivered, failed: stats.failed, missed: stats.missed },
    ...(stats.missedAtMs === 0 ? {} : { missed_at: formatTime(stats.missedAtMs) }),
    failures: stats.failures,
    ...(stats.lastStatus === 0 ? {} : { last_status_code: stats.lastStatus }),
    ...(stats.lastError === undefined ? {} : { last_error: stats.lastError }),
    ...(stats.lastAtMs === 0 ? {} : { last_delivery_at: formatTime(stats.lastAtMs) }),
  };
}

function deliveryView(node: Node, delivery: Delivery): DeliveryView {
  const { event, callback, status, error } = delivery;
  const webhook = node.replica.engine.state.records("webhook").get(delivery.webhook);
  return {
    id: deliveryIdOf(delivery, node.options.shard),
    webhook_id: delivery.webhook,
    state: delivery.state,
    event: event.type,
    ...(event.seq === 0
      ? {}
      : { job_id: node.idOf({ seq: event.seq, createdAtMs: event.jobCreatedAtMs }) }),
    ...(event.queue === "" ? {} : { queue: event.queue }),
    url: callback?.url ?? webhook?.url ?? "",
    attempts: delivery.attempts,
    ...(status === 0 ? {} : { status_code: status }),
    ...(error === undefined ? {} : { error }),
    ...(delivery.lastAtMs === 0
      ? {}
      : { duration_ms: delivery.durationMs, last_attempt_at: formatTime(delivery.lastAtMs) }),
    created_at: formatTime(delivery.createdAtMs),
    ...(delivery.nextMs === 0 ? {} : { next_attempt_at: formatTime(delivery.nextMs) }),
    ...(event.data === undefined ? {} : { data: new RawJson(event.data) }),
    ...(event.dataOmitted ? { data_omitted: true } : {}),
  };
}
