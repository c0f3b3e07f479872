import { webhookAction } from "../_shared/webhook-action.ts";

export default webhookAction({
  operation: "pauseWebhook",
  done: "paused; what comes is kept",
  examples: [{ line: "corvo webhook pause audit", says: "Keep deliveries, and send none" }],
});
