/** Hears of every life-cycle event, and makes a delivery for each webhook that wants it, in the batch that caused it. */
import type { Core } from "../core.ts";
import type { EventSubject } from "../event-chunk.ts";
import { engineLimits } from "../limits.ts";
import { addDelivery, disable } from "./deliveries.ts";
import { type SentEvent, traceOf } from "./delivery.ts";
import { type Webhook, wantsQueue, wantsTags } from "./webhook.ts";

/** An event as it was just said; `tags` are those of its job, `data` and they JSON text. */
export interface Said {
  readonly type: string;
  readonly subject: EventSubject;
  readonly data: string | undefined;
  readonly tags: string | undefined;
}

/** Only asked while there are webhooks. */
export function listen(core: Core, { type, subject, data, tags }: Said): void {
  for (const webhook of core.outbox.listeners(type)) {
    if (!wantsQueue(webhook, subject.queue) || !wantsTags(webhook, tags)) continue;
    if (!mayKeep(core, webhook)) continue;
    const event: SentEvent = {
      number: core.state.meta.nextEvent,
      type,
      seq: subject.seq,
      jobCreatedAtMs: subject.createdAtMs,
      queue: subject.queue,
      atMs: core.nowMs,
      data,
      dataOmitted: false,
      trace: traceOf(tags),
    };
    addDelivery(core, event, { webhook: webhook.id });
  }
}

/** Is there room? Where there is none the webhook is disabled, for all to see; what it misses from then on is counted. */
function mayKeep(core: Core, webhook: Webhook): boolean {
  const { outbox } = core;
  const own = outbox.waitingOf(webhook.id);
  const isOwnFull = own >= engineLimits.webhookWaitingMax;
  const isFull = isOwnFull || outbox.waiting >= engineLimits.deliveriesWaitingMax;
  if (webhook.enabled && !isFull) return true;
  const { missed } = outbox.stats(webhook.id);
  outbox.noteStats(webhook.id, { missed: missed + 1, missedAtMs: core.nowMs });
  if (webhook.enabled) {
    const because = isOwnFull
      ? `${own} deliveries wait for it (webhookWaitingMax)`
      : `${outbox.waiting} deliveries wait over all webhooks (deliveriesWaitingMax)`;
    disable(core, webhook, because);
  }
  return false;
}
