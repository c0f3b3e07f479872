import { webhookAction } from "../_shared/webhook-action.ts";

export default webhookAction({
  operation: "enableWebhook",
  done: "enabled",
  examples: [
    {
      line: "corvo webhook enable audit",
      says: "Send what waits; a pause, a disabling and failures are forgotten",
    },
  ],
});
