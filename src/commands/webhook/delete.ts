import { webhookAction } from "../_shared/webhook-action.ts";

export default webhookAction({
  operation: "deleteWebhook",
  done: "deleted",
  examples: [{ line: "corvo webhook delete audit", says: "With the deliveries that wait" }],
});
