import { expect, test } from "bun:test";
import { newestFeatureLevel } from "../../src/engine/feature-levels.ts";
import { engineLimits } from "../../src/engine/limits.ts";
import type { Callback, Delivery } from "../../src/engine/outbox/delivery.ts";
import type { WebhookSpec } from "../../src/engine/outbox/webhook.ts";
import { EngineRig } from "../support/engine-rig.ts";

const callback: Callback = { url: "https://h.example/cb" };

function createRig(): EngineRig {
  const rig = new EngineRig();
  rig.apply({ kind: "raiseFeatureLevel", level: newestFeatureLevel });
  return rig;
}

function set(rig: EngineRig, id: string, more: Partial<WebhookSpec> = {}): void {
  const plain = { url: "https://h.example/", events: ["*"], queues: [], enabled: true };
  rig.apply({ kind: "setWebhook", id, spec: { ...plain, retryLimit: 3, ...more }, secret: "s" });
}

function deliveries(rig: EngineRig, webhook: string): readonly Delivery[] {
  const all = [...rig.state.records("delivery").entries()].map(([, delivery]) => delivery);
  const own = all.filter((delivery) => delivery.webhook === webhook);
  return own.sort((one, other) => one.number - other.number);
}

function types(rig: EngineRig, webhook: string): readonly string[] {
  return deliveries(rig, webhook).map(({ event }) => event.type);
}

/** Says what came of the next try of a delivery. */
function tried(rig: EngineRig, { number }: Pick<Delivery, "number">, status: number): Delivery {
  const { attempts } = find(rig, number);
  rig.apply({
    kind: "settleDeliveries",
    results: [{ number, attempts, status, durationMs: 5 }],
  });
  return find(rig, number);
}

function find(rig: EngineRig, number: number): Delivery {
  const delivery = rig.state.records("delivery").get(String(number));
  if (delivery === undefined) throw new Error(`no delivery ${number}`);
  return delivery;
}

function first(rig: EngineRig, webhook: string): Delivery {
  const [delivery] = deliveries(rig, webhook);
  if (delivery === undefined) throw new Error(`nothing for ${webhook}`);
  return delivery;
}

const stats = (rig: EngineRig, id: string) => rig.state.records("deliveryStats").get(id);
const webhook = (rig: EngineRig, id: string) => rig.state.records("webhook").get(id);

test("an event makes a delivery for each enabled webhook that wants its type, queue and tags", () => {
  const rig = createRig();
  set(rig, "all");
  set(rig, "ends", { events: ["completed", "dead"] });
  set(rig, "mail", { queues: ["mail*"] });
  set(rig, "paid", { tags: { plan: "paid" } });
  set(rig, "off", { enabled: false });

  rig.add({ queue: "q", options: { tags: '{"plan":"paid"}' } });
  rig.add({ queue: "mail.in", options: { tags: '{"plan":"free"}' } });
  rig.ack(rig.claim());

  expect(types(rig, "all")).toEqual(["enqueued", "enqueued", "started", "completed"]);
  expect(types(rig, "ends")).toEqual(["completed"]);
  expect(types(rig, "mail")).toEqual(["enqueued"]);
  expect(types(rig, "paid")).toEqual(["enqueued", "started", "completed"]);
  expect(types(rig, "off")).toEqual([]);
  expect(stats(rig, "off")).toBeUndefined();
});

test("a delivery is tried again after growing pauses, and given up after as many tries as were asked for", () => {
  const rig = createRig();
  set(rig, "w", { events: ["enqueued"], retryLimit: 4 });
  rig.add();

  const delivery = first(rig, "w");
  const pauses: number[] = [];
  for (let i = 0; i < 3; i++) {
    const after = tried(rig, delivery, 500);
    expect(after.state).toBe("waiting");
    pauses.push(after.nextMs - rig.nowMs);
    rig.pass(after.nextMs - rig.nowMs);
  }

  const [one = 0, two = 0, three = 0] = pauses;
  expect(one).toBeWithin(750, 1251);
  expect(two).toBeWithin(2250, 3751);
  expect(three).toBeWithin(6750, 11_251);
  expect(tried(rig, delivery, 500)).toMatchObject({ state: "failed", attempts: 4, status: 500 });
  expect(stats(rig, "w")).toMatchObject({ delivered: 0, failed: 1, failures: 4 });
});

test("what is said about an older try than the last changes nothing", () => {
  const rig = createRig();
  set(rig, "w", { events: ["enqueued"] });
  rig.add();
  const { number } = first(rig, "w");
  const result = { number, attempts: 0, status: 500, durationMs: 1 };

  rig.apply({ kind: "settleDeliveries", results: [result, result] });
  rig.apply({ kind: "settleDeliveries", results: [{ ...result, status: 200 }] });

  expect(first(rig, "w")).toMatchObject({ state: "waiting", attempts: 1 });
});

test("a receiver that asks to be left alone gets its pause, within the longest one", () => {
  const rig = createRig();
  set(rig, "w", { events: ["enqueued"] });
  rig.add();
  const { number } = first(rig, "w");
  const answer = (attempts: number, retryAfterMs: number) =>
    rig.apply({
      kind: "settleDeliveries",
      results: [{ number, attempts, status: 429, durationMs: 1, retryAfterMs }],
    });

  answer(0, 60_000);
  expect(first(rig, "w").nextMs - rig.nowMs).toBe(60_000);
  answer(1, 999 * 3_600_000);
  expect(first(rig, "w").nextMs - rig.nowMs).toBe(6 * 3_600_000);
});

test("an answer 410 ends the delivery and disables the webhook, which then counts what it misses", () => {
  const rig = createRig();
  set(rig, "w", { events: ["enqueued"] });
  rig.add();

  tried(rig, first(rig, "w"), 410);
  rig.add();

  expect(webhook(rig, "w")).toMatchObject({
    enabled: false,
    disabledBecause: "the receiver answered 410 Gone",
  });
  expect(deliveries(rig, "w")).toMatchObject([{ state: "failed" }]);
  expect(stats(rig, "w")).toMatchObject({ missed: 1 });

  rig.apply({ kind: "controlWebhook", id: "w", action: "enable" });
  rig.add();

  expect(webhook(rig, "w")).toMatchObject({ enabled: true, disabledBecause: undefined });
  expect(deliveries(rig, "w")).toHaveLength(2);
});

test("failures in a row disable a webhook only when they go on for long; one success begins anew", () => {
  const rig = createRig();
  set(rig, "w", { events: ["enqueued"], retryLimit: 1 });
  const failures = (count: number) => {
    for (let i = 0; i < count; i++) {
      rig.add();
      tried(rig, deliveries(rig, "w").at(-1) ?? first(rig, "w"), 500);
    }
  };

  failures(engineLimits.webhookFailuresMax);
  expect(webhook(rig, "w")).toMatchObject({ enabled: true });
  rig.add();
  tried(rig, deliveries(rig, "w").at(-1) ?? first(rig, "w"), 204);
  rig.pass(engineLimits.webhookFailingMs);
  failures(1);
  rig.pass(engineLimits.webhookFailingMs);
  failures(engineLimits.webhookFailuresMax - 2);
  expect(webhook(rig, "w")).toMatchObject({ enabled: true });

  failures(1);
  expect(webhook(rig, "w")).toMatchObject({
    enabled: false,
    disabledBecause: "20 tries in a row failed, over 6 h (webhookFailuresMax)",
  });
});

test("a pause keeps what comes; enabling ends it", () => {
  const rig = createRig();
  set(rig, "w", { events: ["enqueued"] });
  rig.apply({ kind: "controlWebhook", id: "w", action: "pause" });
  rig.add();

  expect(deliveries(rig, "w")).toMatchObject([{ state: "waiting" }]);
  rig.apply({ kind: "controlWebhook", id: "w", action: "enable" });
  expect(webhook(rig, "w")).toMatchObject({ enabled: true, paused: false });
  expect(rig.takeEffects().webhooksChanged).toBe(true);
});

test("settings are replaced and the secret stays; deleting takes the deliveries along", () => {
  const rig = createRig();
  set(rig, "w");
  rig.add();
  const url = "https://other.example/";
  const spec = { url, events: ["dead"], queues: [], enabled: true, retryLimit: 1 };
  rig.apply({ kind: "setWebhook", id: "w", spec });

  expect(webhook(rig, "w")).toMatchObject({ url: "https://other.example/", secret: "s" });
  expect(deliveries(rig, "w")).toHaveLength(1);
  rig.apply({ kind: "controlWebhook", id: "w", action: "delete" });
  expect(deliveries(rig, "w")).toEqual([]);
  expect(rig.apply({ kind: "controlWebhook", id: "w", action: "pause" })).toMatchObject({
    code: "NOT_FOUND",
  });
});

test("the last deliveries that ended are kept, and can be sent again under their number", () => {
  const rig = createRig();
  set(rig, "w", { events: ["enqueued"], retryLimit: 1 });
  for (let i = 0; i < engineLimits.deliveriesKeptMax + 3; i++) rig.add();
  const all = deliveries(rig, "w");
  for (const delivery of all) tried(rig, delivery, 500);

  const kept = deliveries(rig, "w");
  expect(kept.map(({ number }) => number)).toEqual(all.slice(3).map(({ number }) => number));
  const { number } = first(rig, "w");
  rig.takeEffects();
  rig.apply({ kind: "redeliver", webhook: "w", number });
  expect(first(rig, "w")).toMatchObject({ state: "waiting", attempts: 0 });
  expect(rig.takeEffects().deliveries).toEqual([number]);
  expect(rig.apply({ kind: "redeliver", webhook: "other", number })).toMatchObject({
    code: "NOT_FOUND",
  });
});

test("a test is one try of a message that says nothing, even of a webhook that is disabled", () => {
  const rig = createRig();
  set(rig, "w", { enabled: false });

  expect(rig.apply({ kind: "testWebhook", id: "w" })).toMatchObject({ kind: "delivery" });
  expect(tried(rig, first(rig, "w"), 500)).toMatchObject({
    state: "failed",
    isTest: true,
    event: { type: "test", seq: 0 },
  });
  expect(stats(rig, "w")).toBeUndefined();
  expect(rig.apply({ kind: "testWebhook", id: "x" })).toMatchObject({ code: "NOT_FOUND" });
});

test("the end of a job with a callback makes one delivery, whatever the end", () => {
  const rig = createRig();
  const options = { callback, maxRetries: 1 };
  rig.add({ options: { ...options, tags: '{"a":"b"}' } });
  rig.ack(rig.claim(), { result: '{"n":12345678901234567890}' });
  rig.add({ options });
  rig.fail(rig.claim());
  rig.manage("cancel", rig.add({ options }), { reason: "no need" });
  rig.manage("delete", rig.add({ options }));
  rig.add({ options, expireMs: 10 });
  rig.pass(20).tick();

  const sent = deliveries(rig, "callbacks");
  expect(sent.map(({ event }) => event.type)).toEqual([
    ...["completed", "dead", "cancelled", "deleted", "expired"],
  ]);
  expect(sent[0]?.event.data).toBe(
    '{"state":"completed","attempt":1,"result":{"n":12345678901234567890},"tags":{"a":"b"}}',
  );
  expect(JSON.parse(sent[1]?.event.data ?? "")).toEqual({
    ...{ state: "dead", attempt: 1, error: "boom", reason: "all 1 attempts failed" },
  });
  expect(JSON.parse(sent[2]?.event.data ?? "")).toMatchObject({ error: "no need" });
  expect(sent.every((delivery) => delivery.callback === callback)).toBe(true);
});

test("a job that comes back from a backup tells its result; one that had ended tells nothing", () => {
  const rig = createRig();
  const job = { queue: "q", payload: "1", priority: 2, createdAtMs: 1, options: { callback } };
  rig.apply({
    kind: "restoreJobs",
    jobs: [
      { ...job, state: "pending" },
      { ...job, state: "completed" },
    ],
  });
  expect(stats(rig, "callbacks")).toMatchObject({ openJobs: 1 });

  rig.ack(rig.claim());
  expect(types(rig, "callbacks")).toEqual(["completed"]);
  expect(stats(rig, "callbacks")).toMatchObject({ openJobs: 0 });
});

test("a job that belongs to a trace says so in its messages, when its tag has the form of one", () => {
  const rig = createRig();
  set(rig, "w", { events: ["enqueued"] });
  const trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
  rig.add({ options: { tags: JSON.stringify({ a: "b", traceparent: trace }) } });
  rig.add({ options: { tags: JSON.stringify({ traceparent: "not\nthis" }) } });

  expect(deliveries(rig, "w").map(({ event }) => event.trace)).toEqual([trace, undefined]);
});

test("a retry that is not the end is told to nobody; a job that is run again tells its next end as well", () => {
  const rig = createRig();
  const seq = rig.add({ options: { callback, maxRetries: 2 } });
  rig.fail(rig.claim());
  expect(deliveries(rig, "callbacks")).toEqual([]);

  rig.manage("cancel", seq);
  rig.manage("retry", seq);
  rig.ack(rig.claim());

  expect(types(rig, "callbacks")).toEqual(["cancelled", "completed"]);
  expect(stats(rig, "callbacks")).toMatchObject({ openJobs: 0 });
});

test("a job that becomes another one with its key takes over the callback of that one", () => {
  const rig = createRig();
  const keyed = { uniqueKey: "k", onConflict: "replace" as const };
  rig.add({ options: { ...keyed, callback } });
  rig.enqueue({ options: { ...keyed, callback: { url: "https://new.example/" } } });
  expect(stats(rig, "callbacks")).toMatchObject({ openJobs: 1 });
  rig.enqueue({ options: keyed });
  expect(stats(rig, "callbacks")).toMatchObject({ openJobs: 0 });

  rig.ack(rig.claim());
  expect(deliveries(rig, "callbacks")).toEqual([]);
});

test("events of a cluster with older nodes are told to nobody, and no program guesses at them", () => {
  const rig = new EngineRig();
  rig.apply({ kind: "raiseFeatureLevel", level: 2 });
  set(rig, "w");
  rig.add();

  expect(deliveries(rig, "w")).toEqual([]);
});
