/**
 * The outbox in memory: what is derived from the records of webhooks and deliveries and rebuilt at start. It answers, at
 * no cost while there are no webhooks, who wants to hear of an event, and how much is waiting.
 *
 * Every record of a delivery is put and removed through here, so the counts cannot disagree with the records.
 */
import { must } from "../../base/assert.ts";
import { engineLimits } from "../limits.ts";
import type { RecordTable } from "../records.ts";
import type { State } from "../state.ts";
import { callbacksId, type Delivery } from "./delivery.ts";
import { type DeliveryStats, noStats, type Webhook } from "./webhook.ts";

/** Deliveries of one webhook, or of all results. */
interface Shelf {
  waiting: number;
  /** Those that ended, in the order of their ends. */
  ended: number[];
  all: Set<number>;
}

export interface OutboxSummary {
  readonly waiting: number;
  readonly oldestMs: number | undefined;
  readonly delivered: number;
  readonly failed: number;
  readonly missed: number;
}

export class Outbox {
  readonly #webhooks: RecordTable<Webhook>;
  readonly #stats: RecordTable<DeliveryStats>;
  readonly #deliveries: RecordTable<Delivery>;
  readonly #shelves = new Map<string, Shelf>();
  /** Webhooks that listen, by type of event; undefined until it is asked for. */
  #listeners: Map<string, readonly Webhook[]> | undefined;
  #waiting = 0;
  /** Numbers of all that wait, in the order in which they began to. */
  readonly #inWaiting = new Set<number>();
  /** Characters of data in all deliveries. */
  #chars = 0;

  constructor(state: State) {
    this.#webhooks = state.records("webhook");
    this.#stats = state.records("deliveryStats");
    this.#deliveries = state.records("delivery");
    const all = [...this.#deliveries.entries()].map(([, delivery]) => delivery);
    // The order of ends is that in which they are forgotten.
    all.sort((one, other) => one.finish - other.finish || one.number - other.number);
    for (const delivery of all) this.#count(delivery, 1);
  }

  /** Does nobody listen? Then no event needs to be looked at. */
  get isIdle(): boolean {
    return this.#webhooks.size === 0;
  }

  /** Deliveries of webhooks that wait. */
  get waiting(): number {
    return this.#waiting;
  }

  get dataChars(): number {
    return this.#chars;
  }

  waitingOf(webhook: string): number {
    return this.#shelves.get(webhook)?.waiting ?? 0;
  }

  webhook(id: string): Webhook | undefined {
    return this.#webhooks.get(id);
  }

  get webhookCount(): number {
    return this.#webhooks.size;
  }

  putWebhook(webhook: Webhook): void {
    this.#webhooks.put(webhook.id, webhook);
    this.#listeners = undefined;
  }

  /** Removes it with all that is known of it. */
  removeWebhook(id: string): void {
    for (const number of [...(this.#shelves.get(id)?.all ?? [])]) {
      const delivery = this.#deliveries.get(String(number));
      if (delivery !== undefined) this.#remove(delivery);
    }
    this.#shelves.delete(id);
    this.#stats.delete(id);
    this.#webhooks.delete(id);
    this.#listeners = undefined;
  }

  /** Webhooks that want to hear of this type of event, or would if they had not been disabled. */
  listeners(type: string): readonly Webhook[] {
    this.#listeners ??= this.#readListeners();
    return this.#listeners.get(type) ?? this.#listeners.get("*") ?? [];
  }

  stats(id: string): DeliveryStats {
    return this.#stats.get(id) ?? noStats;
  }

  noteStats(id: string, patch: Partial<DeliveryStats>): void {
    this.#stats.put(id, { ...this.stats(id), ...patch });
  }

  delivery(number: number): Delivery | undefined {
    return this.#deliveries.get(String(number));
  }

  put(delivery: Delivery): void {
    const before = this.delivery(delivery.number);
    this.#deliveries.put(String(delivery.number), delivery);
    // A further try changes nothing that is counted.
    if (before?.state === "waiting" && delivery.state === "waiting") return;
    if (before !== undefined) this.#count(before, -1);
    this.#count(delivery, 1);
    if (delivery.state !== "waiting") this.#forgetOldest(delivery.webhook);
  }

  /** All together: how many wait, since when the first of them, and what became of those that ended. */
  summary(): OutboxSummary {
    const [first] = this.#inWaiting;
    const oldest = first === undefined ? undefined : this.delivery(first);
    const sum = { waiting: this.#inWaiting.size, delivered: 0, failed: 0, missed: 0 };
    for (const [, { delivered, failed, missed }] of this.#stats.entries()) {
      sum.delivered += delivered;
      sum.failed += failed;
      sum.missed += missed;
    }
    return { ...sum, oldestMs: oldest?.createdAtMs };
  }

  #forgetOldest(webhook: string): void {
    const shelf = must(this.#shelves.get(webhook), "its delivery was just counted");
    const keptMax =
      webhook === callbacksId ? engineLimits.callbacksKeptMax : engineLimits.deliveriesKeptMax;
    while (shelf.ended.length > keptMax) {
      const oldest = must(this.delivery(must(shelf.ended[0], "it has some")), "it is counted");
      this.#remove(oldest);
    }
  }

  #remove(delivery: Delivery): void {
    this.#deliveries.delete(String(delivery.number));
    this.#count(delivery, -1);
  }

  #count(delivery: Delivery, by: 1 | -1): void {
    const { webhook, number, state } = delivery;
    let shelf = this.#shelves.get(webhook);
    if (shelf === undefined) {
      shelf = { waiting: 0, ended: [], all: new Set() };
      this.#shelves.set(webhook, shelf);
    }
    this.#chars += by * (delivery.event.data?.length ?? 0);
    if (by === 1) shelf.all.add(number);
    else shelf.all.delete(number);
    if (state === "waiting") {
      if (by === 1) this.#inWaiting.add(number);
      else this.#inWaiting.delete(number);
      shelf.waiting += by;
      if (webhook !== callbacksId) this.#waiting += by;
    } else if (by === 1) shelf.ended.push(number);
    // Nearly always the oldest.
    else shelf.ended.splice(shelf.ended.indexOf(number), 1);
  }

  /** Under `*` those for types that no webhook names. */
  #readListeners(): Map<string, readonly Webhook[]> {
    const listening = [...this.#webhooks.entries()]
      .map(([, webhook]) => webhook)
      .filter(({ enabled, disabledBecause }) => enabled || disabledBecause !== undefined);
    // The order of records differs between replicas, and deliveries are numbered in this one.
    listening.sort((one, other) => (one.id < other.id ? -1 : 1));
    const types = new Set(["*", ...listening.flatMap(({ events }) => events)]);
    return new Map(
      [...types].map((type) => [
        type,
        listening.filter(({ events }) => events.includes("*") || events.includes(type)),
      ]),
    );
  }
}
