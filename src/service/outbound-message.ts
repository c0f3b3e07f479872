/** What a receiver gets: the form of messages about events, and the port through which they leave. */
import { formatGroupId, formatJobId } from "../base/ids.ts";
import { formatTime } from "../base/time.ts";
import type { Delivery } from "../engine/outbox/delivery.ts";
import type { Webhook } from "../engine/outbox/webhook.ts";
import type { Wake } from "../replica/waker.ts";

export interface OutboundMessage {
  /** The same for every try. */
  readonly id: string;
  readonly url: string;
  readonly secret: string;
  readonly headers: Readonly<Record<string, string>>;
  /** JSON text. */
  readonly body: string;
}

export interface OutboundAnswer {
  /** 0 when there was no answer; then the error says why. */
  readonly status: number;
  readonly error?: string;
  readonly retryAfterMs?: number;
}

/** Sends a message once; never rejects. */
export type Post = (message: OutboundMessage) => Promise<OutboundAnswer>;

export function deliveryIdOf(
  { number, createdAtMs }: Pick<Delivery, "number" | "createdAtMs">,
  shard: number,
): string {
  return formatGroupId("dlv", { seq: number, createdAtMs, shard });
}

/** `webhook` is undefined for the result of a job. */
export function messageOf(
  delivery: Delivery,
  webhook: Webhook | undefined,
  { shard, nowMs }: { readonly shard: number; readonly nowMs: number },
): OutboundMessage {
  const { event, callback } = delivery;
  const id = deliveryIdOf(delivery, shard);
  return {
    id,
    url: callback?.url ?? webhook?.url ?? "",
    secret: callback?.secret ?? webhook?.secret ?? "",
    headers: {
      ...(event.trace === undefined ? {} : { traceparent: event.trace }),
      ...callback?.headers,
      "content-type": "application/json",
      "user-agent": "corvo",
      "x-corvo-webhook-id": delivery.webhook,
      "x-corvo-webhook-event": event.type,
      "x-corvo-delivery": id,
      "x-corvo-attempt": String(delivery.attempts + 1),
    },
    body: bodyOf(delivery, shard, nowMs),
  };
}

/** Written by hand where the text of data has to stay as it was sent. */
function bodyOf({ webhook, event }: Delivery, shard: number, nowMs: number): string {
  const { number, type, seq, jobCreatedAtMs, queue, atMs, data, dataOmitted } = event;
  const head = JSON.stringify({
    seq: number,
    type,
    ...(seq === 0 ? {} : { job_id: formatJobId(seq, jobCreatedAtMs, shard) }),
    ...(queue === "" ? {} : { queue }),
    ...(dataOmitted ? { data_omitted: true } : {}),
  });
  // More than a number of JavaScript can say exactly.
  const at = `"at_ns":${atMs}000000`;
  const text = `${head.slice(0, -1)},${at}${data === undefined ? "" : `,"data":${data}`}}`;
  const id = JSON.stringify(webhook);
  return `{"webhook_id":${id},"event":${text},"sent_at":${JSON.stringify(formatTime(nowMs))}}`;
}

/** What a subscriber is told; `number` is any that tells this call from others of the same moment. */
export function wakeMessageOf(
  { subscription, queue, ready }: Wake,
  { nowMs, number }: { readonly nowMs: number; readonly number: number },
): OutboundMessage {
  const id = `ntf_${nowMs.toString(16).padStart(11, "0")}${number.toString(16).padStart(8, "0")}`;
  return {
    id,
    url: subscription.url,
    secret: subscription.secret,
    headers: {
      "content-type": "application/json",
      "user-agent": "corvo",
      "x-corvo-subscription-id": subscription.id,
      "x-corvo-webhook-event": "ready",
    },
    body: JSON.stringify({
      subscription_id: subscription.id,
      type: "ready",
      queue,
      ready,
      notification_id: id,
      sent_at: formatTime(nowMs),
    }),
  };
}
