/** Changes of what is sent to others. */
import type { Change } from "../change.ts";
import type { Core } from "../core.ts";
import type { Outcome } from "../outcome.ts";
import { redeliver, settleDeliveries } from "./deliveries.ts";
import { controlWebhook, setWebhook, testWebhook } from "./webhook-changes.ts";

export type OutboxChange = Extract<
  Change,
  {
    readonly kind:
      | "setWebhook"
      | "controlWebhook"
      | "testWebhook"
      | "settleDeliveries"
      | "redeliver";
  }
>;

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
  }
}
