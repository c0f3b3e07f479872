/** Changes of what is sent to others, and of what others send. */
import type { Core } from "../core.ts";
import { setIncoming } from "../incoming.ts";
import type { Outcome } from "../outcome.ts";
import { removeSubscription, renewSubscription, setSubscription } from "../subscriptions.ts";
import type { OutboxChange } from "./changes.ts";
import { redeliver, settleDeliveries } from "./deliveries.ts";
import { controlWebhook, setWebhook, testWebhook } from "./webhook-changes.ts";

export function applyToOutbox(core: Core, change: OutboxChange): Outcome {
  switch (change.kind) {
    case "setWebhook":
      return setWebhook(core, change);
    case "controlWebhook":
      return controlWebhook(core, change);
    case "testWebhook":
      return testWebhook(core, change);
    case "settleDeliveries":
      return settleDeliveries(core, change);
    case "redeliver":
      return redeliver(core, change);
    case "setIncoming":
      return setIncoming(core, change);
    case "setSubscription":
      return setSubscription(core, change);
    case "renewSubscription":
      return renewSubscription(core, change);
    case "removeSubscription":
      return removeSubscription(core, change);
  }
}
