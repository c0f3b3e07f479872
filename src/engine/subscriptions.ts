/**
 * Subscriptions: URLs that want to be told when a queue has jobs that are ready, so that a worker which is not connected can
 * wake up. They are advice, not work: nothing is claimed by them, and a call that fails is not repeated for its own sake.
 * A subscription ends by itself unless it is renewed. Whoever leads calls (`replica/waker.ts`).
 */
import { must } from "../base/assert.ts";
import type { Core } from "./core.ts";
import { engineLimits } from "./limits.ts";
import type { RemoveSubscription, RenewSubscription, SetSubscription } from "./outbox/changes.ts";
import { type Outcome, reject } from "./outcome.ts";

/** Tell all; one of a group after the other; or, of a group, always the same one for a queue. */
export type SubscriptionMode = "fanout" | "group" | "hash";

export interface Subscription {
  readonly id: string;
  readonly url: string;
  readonly secret: string;
  /** Names of queues, or beginnings of names followed by `*`. */
  readonly queues: readonly string[];
  readonly mode: SubscriptionMode;
  /** Name of the group; empty with fanout. */
  readonly group: string;
  /** It is not called again before this has passed. */
  readonly minIntervalMs: number;
  readonly ttlMs: number;
  readonly expiresAtMs: number;
  readonly createdAtMs: number;
}

export type SubscriptionSpec = Pick<
  Subscription,
  "url" | "secret" | "queues" | "mode" | "group" | "minIntervalMs" | "ttlMs"
>;

export function setSubscription(core: Core, { id, spec }: SetSubscription): Outcome {
  const table = core.state.records("subscription");
  const known = table.get(id);
  if (known === undefined && table.size >= engineLimits.subscriptionsMax) {
    return reject(
      "LIMIT_EXCEEDED",
      `subscription "${id}" would be one more than ${engineLimits.subscriptionsMax} (subscriptionsMax)`,
    );
  }
  core.effects.subscriptionsChanged.push(id);
  keep(core, {
    id,
    ...spec,
    expiresAtMs: core.nowMs + spec.ttlMs,
    createdAtMs: known?.createdAtMs ?? core.nowMs,
  });
  return { kind: "ok" };
}

/**
 * Without a time of its own it goes on for as long as it was asked for at first. Who is told of what stays as it was, so
 * nobody's turn and no pause begins anew: in a group somebody renews all the time.
 */
export function renewSubscription(core: Core, { id, ttlMs }: RenewSubscription): Outcome {
  const known = core.state.records("subscription").get(id);
  if (known === undefined) return unknown(id);
  const next = ttlMs ?? known.ttlMs;
  keep(core, { ...known, ttlMs: next, expiresAtMs: core.nowMs + next });
  return { kind: "ok" };
}

export function removeSubscription(core: Core, { id }: RemoveSubscription): Outcome {
  if (!core.state.records("subscription").has(id)) return unknown(id);
  remove(core, id);
  return { kind: "ok" };
}

/** The time of the first one is over. */
export function endSubscription(core: Core): void {
  remove(core, must(core.subscriptionEnds.first(), "a subscription ends"));
}

function keep(core: Core, subscription: Subscription): void {
  core.state.records("subscription").put(subscription.id, subscription);
  core.subscriptionEnds.note(subscription.id, subscription.expiresAtMs);
}

function remove(core: Core, id: string): void {
  core.state.records("subscription").delete(id);
  core.subscriptionEnds.forget(id);
  core.effects.subscriptionsChanged.push(id);
}

function unknown(id: string): Outcome {
  return reject("NOT_FOUND", `no subscription "${id}": it may have ended`);
}
