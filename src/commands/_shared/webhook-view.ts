/** Ids of webhooks and deliveries on the command line, and how they look at a terminal. */
import type { ResultOf } from "../../api/operation.ts";
import type { Operations } from "../../api/operations.ts";
import { WebhookId } from "../../api/webhooks.ts";
import { printFields } from "./grid.ts";
import type { Output } from "./output.ts";
import { BadValue } from "./readers.ts";
import { problemOf } from "./schema-check.ts";

type Webhook = ResultOf<Operations["getWebhook"]>;
export type Delivery = ResultOf<Operations["listDeliveries"]>["deliveries"][number];

export const webhookArg = {
  type: "positional",
  description: "Id of the webhook.",
  read: (text: string): string => {
    const problem = problemOf(WebhookId, text, "the id");
    if (problem !== undefined) throw new BadValue(problem, "`corvo webhook list` shows the ids.");
    return text;
  },
} as const;

/** Sending, paused, or disabled. */
export function modeOf({ enabled, paused }: Webhook): string {
  if (!enabled) return "disabled";
  return paused ? "paused" : "enabled";
}

/** What the last try came to, in one cell. */
export function lastOf({ last_status_code: code, last_error: error }: Webhook): string {
  return error ?? (code === undefined ? "-" : String(code));
}

export function printWebhook(output: Output, webhook: Webhook): void {
  output.line(output.style.bold(webhook.id));
  output.line("");
  printFields(output, [
    ["url", webhook.url],
    ["mode", modeOf(webhook)],
    ["because", webhook.disabled_reason],
    ["events", webhook.events.join(" ")],
    ["queues", webhook.queues.join(" ")],
    ["tags", webhook.tags === undefined ? undefined : JSON.stringify(webhook.tags)],
    ["signed", webhook.has_secret ? "yes" : "no"],
    ["tries", String(webhook.retry_limit)],
    ["waiting", String(webhook.waiting)],
    ["delivered", String(webhook.delivered)],
    ["failed", String(webhook.failed)],
    ["missed", webhook.missed === 0 ? undefined : `${webhook.missed}, last ${webhook.missed_at}`],
    ["failures in a row", webhook.failures === 0 ? undefined : String(webhook.failures)],
    ["last try", webhook.last_delivery_at],
    ["last answer", lastOf(webhook)],
    ["created", webhook.created_at],
  ]);
}

/** What the last try of a delivery came to. */
export function answerOf({ status_code: code, error }: Delivery): string {
  return error ?? (code === undefined ? "-" : String(code));
}
