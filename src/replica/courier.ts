/**
 * Whoever leads sends what the outbox holds (`engine/outbox`): what is due, a bounded number at once in all and to each
 * receiver, and of one job's messages to one receiver each after the one before. What came of the tries goes into the log
 * in batches. A delivery that was sent by a leader that died before it could say so is sent again by the next one, under
 * the same id.
 *
 * Everything here is derived from the records, and forgotten when the node does not lead any more.
 */

import type { Clock } from "../base/ports.ts";
import type { SettleDeliveries } from "../engine/outbox/changes.ts";
import type { Delivery } from "../engine/outbox/delivery.ts";
import type { Webhook } from "../engine/outbox/webhook.ts";
import type { Effects } from "../engine/outcome.ts";
import { TimeHeap } from "../engine/time-heap.ts";
import { Duty, type DutyDeps, type LeaderPart, never } from "./duty.ts";
import type { Replica } from "./replica.ts";

export interface SendResult {
  /** Of the answer; 0 when there was none. */
  readonly status: number;
  readonly error?: string;
  readonly retryAfterMs?: number;
}

/** Sends one delivery; never rejects. `webhook` is undefined for the result of a job. */
export type Send = (delivery: Delivery, webhook: Webhook | undefined) => Promise<SendResult>;

export interface CourierDeps extends Omit<DutyDeps, "replica"> {
  readonly replica: Replica;
  readonly clock: Clock;
  readonly send: Send;
  /** Couriers that share the capacity of this node. */
  readonly couriers: number;
}

/** Tries at once: in all, and to one receiver. */
const flightsMax = 64;
const flightsMin = 4;
const flightsPerTargetMax = 8;
/** Results of one change. */
const settledMax = 500;
const bytesOfResult = 192;

/** `waiting`: in the heap or in line; `flying`: being sent; `told`: sent, and the log is being told. */
type Stage = "waiting" | "flying" | "told";
type Result = SettleDeliveries["results"][number];

export class Courier implements LeaderPart {
  readonly #deps: CourierDeps;
  readonly #duty: Duty;
  readonly #flightsMax: number;
  readonly #stages = new Map<number, Stage>();
  /** When those in the heap are due; an entry with another time does not count any more. */
  readonly #dueAt = new Map<number, number>();
  /** Deliveries by the time at which they are due, on the clock that never goes back. */
  #due = new TimeHeap();
  /** Those that are due, by receiver; a receiver that was served goes to the end. */
  readonly #ready = new Map<string, number[]>();
  /** Messages about one job to one receiver, in order. Only the first is on its way. */
  readonly #lines = new Map<string, number[]>();
  readonly #flights = new Map<string, number>();
  #flying = 0;
  #results: Result[] = [];
  #touched: number[] = [];
  #mustReload = false;
  readonly #sent = { delivered: 0, failed: 0 };

  constructor(deps: CourierDeps) {
    this.#deps = deps;
    this.#flightsMax = Math.max(flightsMin, Math.floor(flightsMax / deps.couriers));
    this.#duty = new Duty(deps, {
      failure: "webhooks could not be delivered",
      look: () => this.#look(),
    });
  }

  /** Tries of this node since it started. */
  get sent(): { readonly delivered: number; readonly failed: number } {
    return this.#sent;
  }

  lead(): void {
    this.#mustReload = true;
    this.#duty.lead();
  }

  onEffects({ deliveries, webhooksChanged }: Effects): void {
    if (deliveries.length === 0 && !webhooksChanged) return;
    for (const number of deliveries) this.#touched.push(number);
    if (webhooksChanged) this.#mustReload = true;
    this.#duty.ask();
  }

  stop(): void {
    this.#duty.stop();
  }

  get #records() {
    return this.#deps.replica.engine.state.records("delivery");
  }

  async #look(): Promise<number> {
    while (this.#results.length > 0) await this.#tell();
    if (!this.#duty.isOn) return never;
    if (this.#mustReload) this.#reload();
    const touched = this.#touched;
    this.#touched = [];
    for (const number of touched) this.#note(number);
    return this.#sendDue();
  }

  /** What cannot be told is told again: a result that the log knows already changes nothing. */
  async #tell(): Promise<void> {
    const results = this.#results.slice(0, settledMax);
    const change = { kind: "settleDeliveries" as const, results };
    await this.#deps.replica.submit(change, 64 + results.length * bytesOfResult);
    this.#results = this.#results.slice(results.length);
    for (const { number } of results) {
      this.#stages.delete(number);
      this.#touched.push(number);
    }
  }

  #reload(): void {
    this.#mustReload = false;
    this.#touched = [];
    this.#due = new TimeHeap();
    this.#dueAt.clear();
    this.#ready.clear();
    this.#lines.clear();
    for (const [number, stage] of this.#stages) {
      if (stage === "waiting") this.#stages.delete(number);
    }
    const waiting: Delivery[] = [];
    for (const [, delivery] of this.#records.entries()) {
      if (delivery.state === "waiting") waiting.push(delivery);
    }
    waiting.sort((one, other) => one.number - other.number);
    for (const delivery of waiting) this.#stand(delivery);
  }

  /** Something about this delivery may have changed. */
  #note(number: number): void {
    const delivery = this.#records.get(String(number));
    if (delivery?.state === "waiting") this.#stand(delivery);
    else if (delivery !== undefined) this.#leave(delivery);
  }

  /** Puts a delivery where it belongs; one that is on its way stays there. */
  #stand(delivery: Delivery): void {
    const { number } = delivery;
    if (!this.#mayBeSent(delivery)) return;
    if (delivery.event.seq > 0) {
      const line = lineOf(delivery);
      const before = this.#lines.get(line);
      if (before === undefined) this.#lines.set(line, [number]);
      else if (!before.includes(number)) before.push(number);
      if (before !== undefined && before[0] !== number) return;
    }
    const stage = this.#stages.get(number);
    if (stage === "flying" || stage === "told") return;
    this.#stages.set(number, "waiting");
    const { clock } = this.#deps;
    // The log's time may be far ahead of a clock that was set back: no more of it is believed than the pause itself.
    const ownMs = delivery.attempts === 0 ? 0 : delivery.nextMs - delivery.lastAtMs;
    const waitMs = Math.min(Math.max(0, delivery.nextMs - clock.nowMs()), ownMs);
    const dueMs = clock.monotonicMs() + waitMs;
    this.#dueAt.set(number, dueMs);
    this.#due.push(dueMs, number);
  }

  /** A delivery has ended; the next of its job may go. */
  #leave(delivery: Delivery): void {
    if (this.#stages.get(delivery.number) === "waiting") this.#stages.delete(delivery.number);
    const name = lineOf(delivery);
    const line = this.#lines.get(name);
    const at = line?.indexOf(delivery.number) ?? -1;
    if (line === undefined || at === -1) return;
    line.splice(at, 1);
    const next = line[0];
    if (next === undefined) this.#lines.delete(name);
    else if (at === 0) this.#note(next);
  }

  #mayBeSent({ webhook, callback, isTest }: Delivery): boolean {
    if (callback !== undefined || isTest) return true;
    const record = this.#deps.replica.engine.state.records("webhook").get(webhook);
    return record?.enabled === true && !record.paused;
  }

  /** Sends what is due and may go; how long until more is due. What waits for room goes when a flight ends. */
  #sendDue(): number {
    const nowMs = this.#deps.clock.monotonicMs();
    while (this.#due.topTime() <= nowMs) {
      const number = this.#due.topKey();
      const dueMs = this.#due.topTime();
      this.#due.pop();
      if (this.#dueAt.get(number) !== dueMs) continue;
      this.#dueAt.delete(number);
      const delivery = this.#records.get(String(number));
      if (delivery === undefined || this.#stages.get(number) !== "waiting") continue;
      const target = targetOf(delivery);
      const line = this.#ready.get(target);
      if (line === undefined) this.#ready.set(target, [number]);
      else line.push(number);
    }
    // Who was served comes again at the end, and nobody is served more often than there is room.
    for (const [target, line] of this.#ready) {
      if (this.#flying >= this.#flightsMax) break;
      this.#serve(target, line);
    }
    return this.#due.size === 0 ? never : Math.max(0, this.#due.topTime() - nowMs);
  }

  #serve(target: string, line: number[]): void {
    let flights = this.#flights.get(target) ?? 0;
    let taken = 0;
    while (
      flights < flightsPerTargetMax &&
      this.#flying < this.#flightsMax &&
      taken < line.length
    ) {
      const number = line[taken++] ?? 0;
      const delivery = this.#records.get(String(number));
      if (delivery?.state !== "waiting" || this.#stages.get(number) !== "waiting") continue;
      // It was in line twice and has been sent meanwhile: its time comes again.
      if (this.#dueAt.has(number)) continue;
      flights++;
      this.#fly(target, delivery);
    }
    if (taken === 0) return;
    line.splice(0, taken);
    this.#ready.delete(target);
    if (line.length > 0) this.#ready.set(target, line);
  }

  #fly(target: string, delivery: Delivery): void {
    const { clock, send, replica } = this.#deps;
    const { number, attempts, webhook } = delivery;
    this.#stages.set(number, "flying");
    this.#flying++;
    this.#flights.set(target, (this.#flights.get(target) ?? 0) + 1);
    const startMs = clock.monotonicMs();
    const landed = (result: SendResult) => {
      this.#flying--;
      const left = (this.#flights.get(target) ?? 1) - 1;
      if (left === 0) this.#flights.delete(target);
      else this.#flights.set(target, left);
      const durationMs = Math.round(clock.monotonicMs() - startMs);
      this.#stages.set(number, "told");
      this.#results.push({ number, attempts, durationMs, ...result });
      this.#sent[result.status >= 200 && result.status < 300 ? "delivered" : "failed"]++;
      this.#duty.ask();
    };
    void send(delivery, replica.engine.state.records("webhook").get(webhook)).then(landed);
  }
}

/** Whose capacity a delivery takes: a webhook's, or that of the host that a result goes to. */
function targetOf({ webhook, callback }: Delivery): string {
  if (callback === undefined) return webhook;
  const end = callback.url.indexOf("/", callback.url.indexOf("://") + 3);
  return end === -1 ? callback.url : callback.url.slice(0, end);
}

function lineOf({ webhook, event }: Delivery): string {
  return `${webhook} ${event.seq}`;
}
