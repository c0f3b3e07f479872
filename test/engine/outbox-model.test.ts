/**
 * The outbox against a specification that is plainly right: a list of messages, in the order of their making, with what each
 * try did to it. At every step a second engine that was just built from its records must do the same.
 */
import { expect, test } from "bun:test";
import fc from "fast-check";
import type { Batch, Change } from "../../src/engine/change.ts";
import { Engine } from "../../src/engine/engine.ts";
import { newestFeatureLevel } from "../../src/engine/feature-levels.ts";
import { findViolations } from "../../src/engine/invariants.ts";
import { MemoryState } from "../../src/engine/memory-state.ts";
import type { Delivery } from "../../src/engine/outbox/delivery.ts";
import { hashState } from "../../src/engine/state-hash.ts";

const webhooks = ["v", "w"] as const;
const callback = { url: "http://h/" };

type Step =
  | {
      readonly do: "set";
      readonly id: string;
      readonly types: readonly string[];
      readonly tries: number;
    }
  | { readonly do: "control"; readonly id: string; readonly action: "pause" | "enable" | "delete" }
  | { readonly do: "test"; readonly id: string }
  | { readonly do: "enqueue"; readonly tells: boolean }
  | { readonly do: "end"; readonly how: "ack" | "cancel" | "delete"; readonly at: number }
  | { readonly do: "settle"; readonly at: number; readonly status: number; readonly isOld: boolean }
  | { readonly do: "redeliver"; readonly at: number };

const id = fc.constantFrom(...webhooks);
const at = fc.nat(20);
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({
    do: fc.constant("set" as const),
    id,
    types: fc.constantFrom(["*"], ["enqueued"], ["completed", "cancelled", "deleted"]),
    tries: fc.integer({ min: 1, max: 3 }),
  }),
  fc.record({
    do: fc.constant("control" as const),
    id,
    action: fc.constantFrom("pause", "enable", "delete"),
  }),
  fc.record({ do: fc.constant("test" as const), id }),
  { weight: 4, arbitrary: fc.record({ do: fc.constant("enqueue" as const), tells: fc.boolean() }) },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant("end" as const),
      how: fc.constantFrom("ack", "cancel", "delete"),
      at,
    }),
  },
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant("settle" as const),
      at,
      status: fc.constantFrom(200, 204, 0, 500, 410),
      isOld: fc.boolean(),
    }),
  },
  fc.record({ do: fc.constant("redeliver" as const), at }),
);

interface Message {
  readonly to: string;
  readonly type: string;
  readonly seq: number;
  state: Delivery["state"];
  tries: number;
}

/** Webhooks by id, and every message. */
class Naive {
  readonly webhooks = new Map<string, { types: readonly string[]; tries: number; on: boolean }>();
  messages: Message[] = [];

  happened(type: string, seq: number): void {
    for (const name of webhooks) {
      const webhook = this.webhooks.get(name);
      if (webhook?.on !== true) continue;
      if (webhook.types.includes("*") || webhook.types.includes(type)) this.add(name, type, seq);
    }
  }

  add(to: string, type: string, seq: number): void {
    this.messages.push({ to, type, seq, state: "waiting", tries: 0 });
  }

  tried(message: Message, status: number): void {
    message.tries++;
    const most = message.to === "callbacks" ? 12 : (this.webhooks.get(message.to)?.tries ?? 1);
    const isOver = status === 410 || message.tries >= (message.type === "test" ? 1 : most);
    if (status >= 200 && status < 300) message.state = "delivered";
    else if (isOver) message.state = "failed";
    const webhook = this.webhooks.get(message.to);
    if (status === 410 && message.type !== "test" && webhook !== undefined) webhook.on = false;
  }
}

/** Two engines of equal state: one that lives on, and one that is built anew for every batch. */
class Pair {
  readonly states = [new MemoryState(), new MemoryState()] as const;
  readonly engine: Engine;
  nowMs = 1_800_000_000_000;

  constructor() {
    for (const state of this.states) state.meta.featureLevel = newestFeatureLevel;
    this.engine = new Engine(this.states[0]);
  }

  apply(change: Change) {
    this.nowMs += 1000;
    const batch: Batch = { nowMs: this.nowMs, seed: this.nowMs % 1000, changes: [change] };
    const [outcome] = this.engine.apply(batch);
    const [again] = new Engine(this.states[1]).apply(batch);
    expect(again).toEqual(outcome);
    const contents = this.states[0].contents();
    expect(hashState(this.states[1].contents())).toBe(hashState(contents));
    expect(findViolations(contents, this.engine)).toEqual([]);
    return outcome;
  }

  /** In the order in which they were made. */
  get deliveries(): readonly Delivery[] {
    const all = [...this.states[0].records("delivery").entries()].map(([, delivery]) => delivery);
    return all.sort((one, other) => one.number - other.number);
  }

  get jobs(): readonly { readonly seq: number; readonly tells: boolean }[] {
    const open = [...this.states[0].jobs.values()].filter(({ state }) => state === "pending");
    return open.map(({ seq, options }) => ({ seq, tells: options.callback !== undefined }));
  }
}

function carryOut(pair: Pair, naive: Naive, one: Step): void {
  switch (one.do) {
    case "set": {
      const spec = { url: "http://h/", events: one.types, queues: [], enabled: true };
      pair.apply({ kind: "setWebhook", id: one.id, spec: { ...spec, retryLimit: one.tries } });
      naive.webhooks.set(one.id, { types: one.types, tries: one.tries, on: true });
      return;
    }
    case "control": {
      pair.apply({ kind: "controlWebhook", id: one.id, action: one.action });
      const webhook = naive.webhooks.get(one.id);
      if (one.action === "enable" && webhook !== undefined) webhook.on = true;
      if (one.action !== "delete") return;
      naive.webhooks.delete(one.id);
      naive.messages = naive.messages.filter(({ to }) => to !== one.id);
      return;
    }
    case "test":
      pair.apply({ kind: "testWebhook", id: one.id });
      if (naive.webhooks.has(one.id)) naive.add(one.id, "test", 0);
      return;
    case "enqueue": {
      const options = one.tells ? { options: { callback } } : {};
      const outcome = pair.apply({
        kind: "enqueue",
        jobs: [{ queue: "q", payload: "1", ...options }],
      });
      const [added] = outcome?.kind === "enqueued" ? outcome.results : [];
      if (added?.kind === "added") naive.happened("enqueued", added.seq);
      return;
    }
    case "end":
      endJob(pair, naive, one);
      return;
    case "settle":
    case "redeliver":
      treatDelivery(pair, naive, one);
      return;
  }
}

function endJob(pair: Pair, naive: Naive, { how, at: place }: Step & { do: "end" }): void {
  const job = pair.jobs[place % Math.max(1, pair.jobs.length)];
  if (job === undefined) return;
  if (how === "ack") {
    const claimed = pair.apply({ kind: "claim", queues: ["q"], count: 1, leaseMs: 1e9 });
    const [first] = claimed?.kind === "claimed" ? claimed.jobs : [];
    if (first === undefined) return;
    naive.happened("started", first.seq);
    pair.apply({ kind: "ack", items: [{ seq: first.seq }] });
    naive.happened("completed", first.seq);
    if (first.options.callback !== undefined) naive.add("callbacks", "completed", first.seq);
    return;
  }
  pair.apply({ kind: "manage", action: how, seqs: [job.seq] });
  const type = how === "cancel" ? "cancelled" : "deleted";
  naive.happened(type, job.seq);
  if (job.tells) naive.add("callbacks", type, job.seq);
}

function treatDelivery(pair: Pair, naive: Naive, one: Step & { do: "settle" | "redeliver" }): void {
  const place = one.at % Math.max(1, pair.deliveries.length);
  const delivery = pair.deliveries[place];
  const message = naive.messages[place];
  if (delivery === undefined || message === undefined) return;
  const { number, webhook, attempts } = delivery;
  if (one.do === "redeliver") {
    pair.apply({ kind: "redeliver", webhook, number });
    message.state = "waiting";
    message.tries = 0;
    return;
  }
  const { status, isOld } = one;
  const said = isOld ? attempts + 1 : attempts;
  const results = [{ number, attempts: said, status, durationMs: 1 }];
  pair.apply({ kind: "settleDeliveries", results });
  if (!isOld && message.state === "waiting") naive.tried(message, status);
}

test("messages are made, tried, ended and sent again as a plain list of them says", () => {
  fc.assert(
    fc.property(fc.array(step, { minLength: 5, maxLength: 40 }), (steps) => {
      const pair = new Pair();
      const naive = new Naive();
      for (const one of steps) carryOut(pair, naive, one);
      expect(
        pair.deliveries.map(({ webhook, event, state, attempts }) => ({
          ...{ to: webhook, type: event.type, seq: event.seq, state, tries: attempts },
        })),
      ).toEqual(naive.messages);
    }),
    { numRuns: 150 },
  );
}, 30_000);
