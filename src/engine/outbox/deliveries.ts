/** Makes deliveries, and writes down what became of them. */

import type { Core } from "../core.ts";
import { engineLimits } from "../limits.ts";
import { type Outcome, reject } from "../outcome.ts";
import type { Redeliver, SettleDeliveries } from "./changes.ts";
import {
  type Callback,
  callbacksId,
  chanceOfDelivery,
  type Delivery,
  pauseMs,
  type SentEvent,
} from "./delivery.ts";
import type { Webhook } from "./webhook.ts";

/** Writes down a message that is to be sent. The bounds were looked at before. */
export function addDelivery(
  core: Core,
  event: SentEvent,
  to: { readonly webhook: string; readonly callback?: Callback; readonly isTest?: true },
): Delivery {
  const { outbox, nowMs } = core;
  const hasRoom = outbox.dataChars + (event.data?.length ?? 0) <= engineLimits.deliveryDataCharsMax;
  const delivery: Delivery = {
    number: core.takeNumber(),
    webhook: to.webhook,
    callback: to.callback,
    event: hasRoom ? event : { ...event, data: undefined, dataOmitted: true },
    createdAtMs: nowMs,
    isTest: to.isTest === true,
    state: "waiting",
    attempts: 0,
    nextMs: nowMs,
    lastAtMs: 0,
    status: 0,
    error: undefined,
    durationMs: 0,
    finish: 0,
  };
  outbox.put(delivery);
  core.effects.deliveries.push(delivery.number);
  return delivery;
}

/** What came of tries. One that is about an older try than the last changes nothing. */
export function settleDeliveries(core: Core, { results }: SettleDeliveries): Outcome {
  for (const result of results) {
    const delivery = core.outbox.delivery(result.number);
    if (delivery?.state === "waiting" && delivery.attempts === result.attempts) {
      settle(core, delivery, result);
    }
  }
  return { kind: "ok" };
}

type Result = SettleDeliveries["results"][number];

function settle(core: Core, delivery: Delivery, result: Result): void {
  const { status, error, durationMs } = result;
  const tried: Delivery = {
    ...delivery,
    ...{ attempts: delivery.attempts + 1, lastAtMs: core.nowMs, status, error, durationMs },
  };
  const isDelivered = status >= 200 && status < 300;
  const isOver = isDelivered || status === gone || tried.attempts >= limitOf(core, delivery);
  if (isOver) end(core, tried, isDelivered ? "delivered" : "failed");
  else {
    const chance = chanceOfDelivery(core.seed, delivery.number);
    const nextMs = core.nowMs + pauseMs(tried.attempts, chance, result.retryAfterMs ?? 0);
    core.outbox.put({ ...tried, nextMs });
    core.effects.deliveries.push(delivery.number);
  }
  if (!delivery.isTest) noteTry(core, tried, { isDelivered, isOver });
}

/** Whoever answers so does not want to be asked again. */
const gone = 410;

function limitOf({ outbox }: Core, { webhook, isTest }: Delivery): number {
  if (isTest) return 1;
  if (webhook === callbacksId) return engineLimits.callbackTries;
  return Math.max(1, outbox.webhook(webhook)?.retryLimit ?? 1);
}

function end(core: Core, delivery: Delivery, state: "delivered" | "failed"): void {
  // What waits has the first claim on the room; the rest is kept to be looked at and sent again.
  const isFull = core.outbox.dataChars > engineLimits.deliveryDataCharsMax / 2;
  const { event } = delivery;
  core.outbox.put({
    ...delivery,
    event: isFull && event.data !== undefined ? withoutData(event) : event,
    state,
    nextMs: 0,
    finish: core.takeNumber(),
  });
  core.effects.deliveries.push(delivery.number);
}

function withoutData(event: SentEvent): SentEvent {
  return { ...event, data: undefined, dataOmitted: true };
}

function noteTry(
  core: Core,
  { webhook, status, error }: Delivery,
  { isDelivered, isOver }: { readonly isDelivered: boolean; readonly isOver: boolean },
): void {
  const { outbox, nowMs } = core;
  const stats = outbox.stats(webhook);
  const failures = isDelivered ? 0 : stats.failures + 1;
  const failingSinceMs = failures === 1 ? nowMs : failures === 0 ? 0 : stats.failingSinceMs;
  outbox.noteStats(webhook, {
    ...{ failures, failingSinceMs, lastAtMs: nowMs, lastStatus: status, lastError: error },
    delivered: stats.delivered + (isDelivered ? 1 : 0),
    failed: stats.failed + (isOver && !isDelivered ? 1 : 0),
  });
  const record = outbox.webhook(webhook);
  if (record?.enabled !== true) return;
  if (status === gone) disable(core, record, "the receiver answered 410 Gone");
  else if (
    failures >= engineLimits.webhookFailuresMax &&
    nowMs - failingSinceMs >= engineLimits.webhookFailingMs
  ) {
    const hours = Math.round((nowMs - failingSinceMs) / 3_600_000);
    disable(
      core,
      record,
      `${failures} tries in a row failed, over ${hours} h (webhookFailuresMax)`,
    );
  }
}

/** What waits for it stays, to be sent when somebody enables it again. */
export function disable(core: Core, webhook: Webhook, because: string): void {
  core.outbox.putWebhook({
    ...webhook,
    enabled: false,
    disabledBecause: because,
    updatedAtMs: core.nowMs,
  });
  core.effects.webhooksChanged = true;
}

/** Sends what ended once more, or what waits at once. */
export function redeliver(core: Core, { number, webhook }: Redeliver): Outcome {
  const delivery = core.outbox.delivery(number);
  if (delivery?.webhook !== webhook) {
    return reject("NOT_FOUND", "no such delivery: those that ended are kept for a while only");
  }
  core.outbox.put({ ...delivery, state: "waiting", attempts: 0, nextMs: core.nowMs, finish: 0 });
  core.effects.deliveries.push(number);
  return { kind: "delivery", number, createdAtMs: delivery.createdAtMs };
}
