/** Webhooks of a simulated cluster, and jobs that tell their result. */
import type { Change } from "../../src/engine/change.ts";
import type { JobOptions } from "../../src/engine/options.ts";
import type { SendResult } from "../../src/replica/courier.ts";
import { below, type SeededRandom } from "../support/seeded-random.ts";

const webhooks = ["w", "x"] as const;

export function drawCallback(random: SeededRandom): Partial<JobOptions> {
  return { callback: { url: `http://host${below(random, 3)}/` } };
}

export function drawWebhookChange(random: SeededRandom): Change {
  const id = webhooks[below(random, webhooks.length)] ?? "w";
  const draw = below(random, 100);
  if (draw < 15) return { kind: "controlWebhook", id, action: "pause" };
  if (draw < 35) return { kind: "controlWebhook", id, action: "enable" };
  if (draw < 45) return { kind: "controlWebhook", id, action: "delete" };
  if (draw < 60) return { kind: "testWebhook", id };
  if (draw < 75) return drawSubscriptionChange(random);
  const types = [["*"], ["completed", "dead"], ["enqueued"]];
  const spec = {
    url: "http://hook/",
    events: types[below(random, types.length)] ?? ["*"],
    queues: below(random, 2) === 0 ? [] : ["a", "b*"],
    enabled: below(random, 4) > 0,
    retryLimit: 1 + below(random, 5),
  };
  return { kind: "setWebhook", id, spec };
}

/** They end by themselves, by the time of the log. */
function drawSubscriptionChange(random: SeededRandom): Change {
  const id = `s${below(random, 3)}`;
  const ttlMs = 500 + below(random, 5000);
  const draw = below(random, 4);
  if (draw === 0) return { kind: "removeSubscription", id };
  if (draw === 1) return { kind: "renewSubscription", id, ttlMs };
  const spec = {
    url: "http://wake/",
    secret: "",
    queues: ["a"],
    mode: "fanout",
    group: "",
  } as const;
  return { kind: "setSubscription", id, spec: { ...spec, minIntervalMs: 1000, ttlMs } };
}

/** Every webhook sends what it has. */
export const webhookEnablings: readonly Change[] = webhooks.map((id) => ({
  kind: "controlWebhook",
  id,
  action: "enable",
}));

/** What a receiver answers to a try: never after the second, it is down. */
export function drawAnswer(random: SeededRandom, attempts: number): SendResult {
  const draw = below(random, 100);
  if (attempts >= 2 || draw < 70) return { status: 200 };
  if (draw < 80) return { status: 0, error: "refused" };
  return { status: 503, error: "answered 503", ...(draw < 85 && { retryAfterMs: 2000 }) };
}
