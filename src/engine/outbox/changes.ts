/** What the log holds about messages to others and from them. */
import type { IncomingSpec } from "../incoming.ts";
import type { SubscriptionSpec } from "../subscriptions.ts";
import type { WebhookSpec } from "./webhook.ts";

/** Makes a webhook or gives it other settings. Without a secret it keeps the one it has. */
export interface SetWebhook {
  readonly kind: "setWebhook";
  readonly id: string;
  readonly spec: WebhookSpec;
  readonly secret?: string;
}

export interface ControlWebhook {
  readonly kind: "controlWebhook";
  readonly id: string;
  readonly action: "pause" | "enable" | "delete";
}

/** Sends one message that says nothing. */
export interface TestWebhook {
  readonly kind: "testWebhook";
  readonly id: string;
}

/** What is expected of calls from outside to a queue; without, nothing is. */
export interface SetIncoming {
  readonly kind: "setIncoming";
  readonly queue: string;
  readonly spec?: IncomingSpec;
}

export interface SetSubscription {
  readonly kind: "setSubscription";
  readonly id: string;
  readonly spec: SubscriptionSpec;
}

export interface RenewSubscription {
  readonly kind: "renewSubscription";
  readonly id: string;
  readonly ttlMs?: number;
}

export interface RemoveSubscription {
  readonly kind: "removeSubscription";
  readonly id: string;
}

/** What came of tries to send deliveries; `attempts` is how many there were before this one. */
export interface SettleDeliveries {
  readonly kind: "settleDeliveries";
  readonly results: readonly {
    readonly number: number;
    readonly attempts: number;
    /** Status of the answer; 0 when there was none. */
    readonly status: number;
    readonly error?: string;
    readonly durationMs: number;
    /** The receiver asked to be left alone for so long. */
    readonly retryAfterMs?: number;
  }[];
}

/** Sends a delivery again that has ended, or at once one that waits. */
export interface Redeliver {
  readonly kind: "redeliver";
  readonly webhook: string;
  readonly number: number;
}

export type OutboxChange =
  | SetWebhook
  | ControlWebhook
  | TestWebhook
  | SettleDeliveries
  | Redeliver
  | SetIncoming
  | SetSubscription
  | RenewSubscription
  | RemoveSubscription;
