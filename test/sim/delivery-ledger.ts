/**
 * What was promised about messages to others, as the entries that are applied tell, and those who get them: the end of a job
 * with a callback makes one delivery, an event one for each webhook, and nothing is sent that is not in the log.
 */
import { isFinished, type Job } from "../../src/engine/job.ts";
import { callbacksId, type Delivery } from "../../src/engine/outbox/delivery.ts";

export class DeliveryLedger {
  readonly #report: (problem: string) => void;
  readonly #note: (event: string) => void;
  readonly #deliveries = new Map<number, Delivery>();
  readonly #sent = new Set<number>();
  /** Ends of each job with a callback, and deliveries that were made of them. */
  readonly #ends = new Map<number, number>();
  readonly #made = new Map<number, number>();
  /** Events of which each webhook has a delivery. */
  readonly #events = new Set<string>();

  constructor(report: (problem: string) => void, note: (event: string) => void) {
    this.#report = report;
    this.#note = note;
  }

  jobChanges(previous: Job | undefined, next: Job): void {
    if (next.options.callback === undefined || !isFinished(next.state)) return;
    if (previous === undefined || isFinished(previous.state)) return;
    this.#ends.set(next.seq, (this.#ends.get(next.seq) ?? 0) + 1);
  }

  recordChanges(kind: string, key: string, value: unknown): void {
    if (kind === "subscription" && value === undefined) this.#note("subscriptionsEnded");
    if (kind !== "delivery" || value === undefined) return;
    const delivery = value as Delivery;
    const before = this.#deliveries.get(delivery.number);
    this.#deliveries.set(delivery.number, delivery);
    if (before === undefined) this.#noteMade(delivery);
    else if (before.state !== "waiting" || delivery.attempts !== before.attempts + 1) {
      this.#report(
        `delivery ${key} went from ${before.state}, ${before.attempts} tries, to ${delivery.state}, ${delivery.attempts} tries`,
      );
    }
    if (delivery.state === "delivered") {
      this.#note("delivered");
      if (!this.#sent.has(delivery.number)) this.#report(`delivery ${key} was never sent`);
    }
  }

  /** Somebody gets it. */
  sent({ number }: Delivery): void {
    this.#note("sent");
    this.#sent.add(number);
    if (!this.#deliveries.has(number)) this.#report(`delivery ${number} is in no entry`);
  }

  check(waiting: Iterable<readonly [string, Delivery]>): void {
    for (const [seq, ends] of this.#ends) {
      const made = this.#made.get(seq) ?? 0;
      if (made !== ends) this.#report(`job ${seq} ended ${ends} times and told it ${made} times`);
    }
    for (const [key, { state, webhook }] of waiting) {
      if (state === "waiting") this.#report(`delivery ${key} of ${webhook} was never sent`);
    }
  }

  #noteMade({ number, webhook, event }: Delivery): void {
    if (webhook === callbacksId) {
      this.#made.set(event.seq, (this.#made.get(event.seq) ?? 0) + 1);
    } else if (event.type !== "test") {
      const name = `${webhook} ${event.number}`;
      if (this.#events.has(name)) this.#report(`delivery ${number}: ${name} has one already`);
      this.#events.add(name);
    }
  }
}
