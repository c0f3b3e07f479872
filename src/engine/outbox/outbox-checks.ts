/** What must hold of the outbox: every delivery has a receiver, and the counts are those of the records. */
import type { Engine } from "../engine.ts";
import { isFinished, type Job } from "../job.ts";
import { engineLimits } from "../limits.ts";
import { callbacksId, type Delivery } from "./delivery.ts";
import { noStats } from "./webhook.ts";

type Check = (holds: boolean, violation: string) => void;

export function checkOutbox(check: Check, jobs: readonly Job[], engine: Engine): void {
  const { state } = engine;
  const webhooks = state.records("webhook");
  const stats = state.records("deliveryStats");
  const waiting = new Map<string, number>([[callbacksId, 0]]);
  for (const [id] of webhooks.entries()) waiting.set(id, 0);
  const kept = new Map<string, number>();
  for (const [key, delivery] of state.records("delivery").entries()) {
    checkDelivery(check, key, delivery);
    const { webhook } = delivery;
    check(waiting.has(webhook), `delivery ${key}: there is no webhook ${webhook}`);
    const counts = delivery.state === "waiting" ? waiting : kept;
    counts.set(webhook, (counts.get(webhook) ?? 0) + 1);
  }
  for (const [id, count] of kept) {
    const keptMax =
      id === callbacksId ? engineLimits.callbacksKeptMax : engineLimits.deliveriesKeptMax;
    check(count <= keptMax, `webhook ${id}: keeps ${count} deliveries that ended`);
  }
  for (const [id] of stats.entries()) check(waiting.has(id), `counts of ${id}, which is gone`);
  for (const [id, count] of waiting) {
    const counted = engine.waitingDeliveries(id);
    check(counted === count, `webhook ${id}: counts ${counted} deliveries, has ${count}`);
  }
  const open = jobs.filter(
    ({ options, state: at }) => options.callback !== undefined && !isFinished(at),
  ).length;
  const { openJobs } = stats.get(callbacksId) ?? noStats;
  check(openJobs === open, `counts ${openJobs} jobs with a callback, has ${open}`);
}

function checkDelivery(check: Check, key: string, delivery: Delivery): void {
  const { number, state, finish, nextMs, webhook, callback } = delivery;
  const isWaiting = state === "waiting";
  check(key === String(number), `delivery ${key}: its number is ${number}`);
  check(isWaiting === (finish === 0), `delivery ${key} (${state}): finish number ${finish}`);
  check(isWaiting === nextMs > 0, `delivery ${key} (${state}): due at ${nextMs}`);
  check(
    (webhook === callbacksId) === (callback !== undefined),
    `delivery ${key}: of ${webhook}, with ${callback === undefined ? "no" : "a"} callback`,
  );
}
