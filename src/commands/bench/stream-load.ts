/**
 * The streaming load generator: connections that enqueue, claim and ack in closed loops, and a ledger of all of it.
 *
 * Each connection has at most `framesMax` frames without an answer. A frame takes whatever is ready: new jobs, acks of
 * jobs that were pushed, credits for as many more. There is one slot per job that a connection may hold (`window`); a slot is free again
 * when the ack of its job is sent, so a frame that acks also asks for as many jobs again.
 *
 * The SDK's stream client answers each item through a callback, repeats what a broken connection left open and copies
 * payloads byte for byte through its own parser; a benchmark wants none of that at its price, hence this smaller one.
 */
import { type PushFrame, streamPath } from "../../api/stream.ts";
import { CorvoError } from "../../base/errors.ts";
import type { Timers } from "../../base/ports.ts";
import type { JobShape } from "./job-shape.ts";
import type { Ledger } from "./ledger.ts";
import {
  type Answer,
  type Claimed,
  isAnswer,
  isJobs,
  readAnswer,
  readJobs,
  seqOf,
} from "./scan.ts";
import { StreamLink, utf8Of } from "./stream-link.ts";

/** Long enough that no lease of a run ends by itself, see `ledger.ts`. */
const leaseMs = 3_600_000;
const ackItemsMax = 512;

export interface LoadPlan {
  readonly server: string;
  readonly apiKey: string | undefined;
  readonly timers: Timers;
  readonly shape: JobShape;
  readonly ledger: Ledger;
  readonly connections: number;
  readonly framesMax: number;
  /** How many jobs the next frame may enqueue; none when left out. */
  readonly produce?: () => number;
  readonly consume?: {
    /** Jobs that one connection may hold. */
    readonly window: number;
    /** Acks in one frame. */
    readonly ackMax: number;
    /** Jobs that may still be asked for, by all connections; no bound when left out. */
    readonly budget?: { left: number };
  };
  /** Told of each job when it arrives, before its ack is sent. */
  readonly onClaimed?: (number: number) => void;
  /** Told when the enqueue of these jobs was answered. */
  readonly onEnqueued?: (first: number, count: number) => void;
}

interface SentFrame {
  readonly first: number;
  readonly count: number;
  readonly acks: readonly Claimed[];
  readonly credits: number;
}

export class StreamLoad {
  readonly plan: LoadPlan;
  readonly #drivers: Driver[] = [];
  readonly #failed = Promise.withResolvers<never>();
  #waiters: { readonly until: () => boolean; readonly resolve: () => void }[] = [];
  /** Frames that the server put off; they are sent again or counted as refused. */
  overloads = 0;

  private constructor(plan: LoadPlan) {
    this.plan = plan;
    // Whoever waits for the load sees the failure; nobody else has to.
    this.#failed.promise.catch(() => undefined);
  }

  static async open(plan: LoadPlan): Promise<StreamLoad> {
    const load = new StreamLoad(plan);
    for (let i = 0; i < plan.connections; i++) {
      const driver = new Driver(load);
      await driver.open();
      load.#drivers.push(driver);
    }
    return load;
  }

  /** Lets every connection do what it can. To be called when `produce` has something again. */
  pump(): void {
    for (const driver of this.#drivers) driver.pump();
  }

  /** Resolves as soon as the condition holds; it is looked at after each message of the server. */
  wait(until: () => boolean): Promise<void> {
    if (until()) return Promise.resolve();
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiters.push({ until, resolve });
    return Promise.race([promise, this.#failed.promise]);
  }

  /** Rejects when a connection breaks. */
  get failed(): Promise<never> {
    return this.#failed.promise;
  }

  get isIdle(): boolean {
    return this.#drivers.every((driver) => driver.isIdle);
  }

  close(): void {
    for (const driver of this.#drivers) driver.close();
  }

  happened(): void {
    if (this.#waiters.length === 0) return;
    const ready = this.#waiters.filter(({ until }) => until());
    if (ready.length === 0) return;
    this.#waiters = this.#waiters.filter((waiter) => !ready.includes(waiter));
    for (const { resolve } of ready) resolve();
  }

  fail(error: Error): void {
    this.#failed.reject(error);
  }
}

class Driver {
  readonly #load: StreamLoad;
  readonly #sent = new Map<number, SentFrame>();
  readonly #claimHead: string;
  #link: StreamLink | undefined;
  #acks: Claimed[] = [];
  #lastId = 0;
  /** Slots for which no job is here or on its way. */
  #free: number;
  #isPaused = false;

  constructor(load: StreamLoad) {
    const { plan } = load;
    this.#load = load;
    this.#free = plan.consume?.window ?? 0;
    this.#claimHead = `,"claim":{"queues":["${plan.shape.queue}"],"lease_ms":${leaseMs},"worker_id":"bench","credits":`;
  }

  get isIdle(): boolean {
    return this.#sent.size === 0 && this.#acks.length === 0;
  }

  async open(): Promise<void> {
    const { server, apiKey } = this.#load.plan;
    this.#link = await StreamLink.open(
      { server, apiKey, path: streamPath },
      {
        text: (text) => this.#received(text),
        lost: (reason) => this.#load.fail(new CorvoError("UNAVAILABLE", reason)),
      },
    );
  }

  close(): void {
    this.#link?.close();
  }

  pump(): void {
    const { plan } = this.#load;
    while (this.#sent.size < plan.framesMax && !this.#isPaused) {
      const count = plan.produce?.() ?? 0;
      const acks = this.#takeAcks(plan.consume?.ackMax ?? ackItemsMax);
      this.#free += acks.length;
      const credits = this.#takeCredits();
      if (count === 0 && acks.length === 0 && credits === 0) return;
      this.#send({ count, acks, credits });
    }
  }

  #takeAcks(max: number): Claimed[] {
    const some = this.#acks;
    if (some.length <= max) {
      this.#acks = [];
      return some;
    }
    return some.splice(0, max);
  }

  #takeCredits(): number {
    const budget = this.#load.plan.consume?.budget;
    const credits = Math.min(this.#free, budget?.left ?? this.#free);
    this.#free -= credits;
    if (budget !== undefined) budget.left -= credits;
    return credits;
  }

  #send({ count, acks, credits }: Omit<SentFrame, "first">): void {
    const { shape, ledger } = this.#load.plan;
    const id = ++this.#lastId;
    let text = `{"id":${id}`;
    let first = 0;
    if (count > 0) {
      first = ledger.take(count);
      text += `,"enqueue":[${shape.list(first, count)}]`;
    }
    if (acks.length > 0) text += `,"ack":[${ackTexts(acks)}]`;
    if (credits > 0) text += `${this.#claimHead}${credits}}`;
    this.#sent.set(id, { first, count, acks, credits });
    this.#link?.send(`${text}}`);
  }

  #received(text: string): void {
    if (isJobs(text)) this.#claimed(text);
    else if (isAnswer(text)) this.#answered(readAnswer(text, (id) => this.#sent.get(id)));
    else this.#pushed(text);
    this.pump();
    this.#load.happened();
  }

  /** Anything but jobs. What a client does not know it ignores ([S2]). */
  #pushed(text: string): void {
    const { revoked, closing } = JSON.parse(utf8Of(text)) as PushFrame;
    for (const { job_id, reason } of revoked ?? []) {
      this.#load.plan.ledger.problem(`the lease of ${job_id} was taken away: ${reason}`);
    }
    if (closing === true) {
      this.#load.fail(new CorvoError("UNAVAILABLE", "the server is shutting down"));
    }
  }

  #claimed(text: string): void {
    const { shape, ledger, onClaimed } = this.#load.plan;
    const jobs = readJobs(text, shape, (problem) => ledger.problem(problem));
    for (const job of jobs) {
      ledger.claim(job.number, seqOf(job.id), Number.parseInt(job.token, 36));
      onClaimed?.(job.number);
      this.#acks.push(job);
    }
  }

  #answered(answer: Answer): void {
    const sent = this.#sent.get(answer.id);
    const { ledger, onEnqueued } = this.#load.plan;
    if (sent === undefined) {
      ledger.problem(`an answer came to frame ${answer.id}, which is not open`);
      return;
    }
    this.#sent.delete(answer.id);
    if (answer.enqueue !== undefined) this.#enqueued(sent, answer.enqueue);
    if (answer.ack !== undefined) this.#acked(sent.acks, answer.ack);
    if (answer.refusal !== undefined) this.#refused(sent, answer);
    if (sent.count > 0) onEnqueued?.(sent.first, sent.count);
  }

  #enqueued(sent: SentFrame, answers: NonNullable<Answer["enqueue"]>): void {
    const { ledger } = this.#load.plan;
    for (let i = 0; i < sent.count; i++) {
      const seq = answers[i];
      if (typeof seq === "number") ledger.accept(sent.first + i, seq);
      else if (seq !== undefined) {
        ledger.refuse(sent.first + i);
        ledger.problem(`job ${sent.first + i} was refused: ${seq.code} ${seq.error}`);
      }
    }
  }

  #acked(acks: readonly Claimed[], answers: NonNullable<Answer["ack"]>): void {
    const { ledger } = this.#load.plan;
    for (let i = 0; i < acks.length; i++) {
      const answer = answers[i];
      const { number = -1 } = acks[i] ?? {};
      if (typeof answer === "number") ledger.ack(number);
      else if (answer !== undefined) {
        ledger.problem(`the ack of job ${number} was refused: ${answer.code} ${answer.error}`);
      }
    }
  }

  /** What the answer does not list did not happen. Overload passes: the acks go again, the jobs count as refused. */
  #refused(sent: SentFrame, { enqueue, ack, refusal }: Answer): void {
    if (refusal?.code !== "OVERLOADED") {
      this.#load.fail(
        new CorvoError("INTERNAL_ERROR", `a frame was refused: ${refusal?.code} ${refusal?.error}`),
      );
      return;
    }
    const { ledger, consume } = this.#load.plan;
    this.#load.overloads++;
    if (enqueue === undefined) {
      for (let i = 0; i < sent.count; i++) ledger.refuse(sent.first + i);
    }
    if (ack === undefined) this.#acks = [...sent.acks, ...this.#acks];
    this.#free += ack === undefined ? sent.credits - sent.acks.length : sent.credits;
    const budget = consume?.budget;
    if (budget !== undefined) budget.left += sent.credits;
    this.#isPaused = true;
    this.#load.plan.timers.after(refusal.retryAfterMs, () => {
      this.#isPaused = false;
      this.pump();
    });
  }
}

function ackTexts(acks: readonly Claimed[]): string {
  let text = "";
  for (const { id, token } of acks) {
    if (text !== "") text += ",";
    text += `{"job_id":"${id}","lease_token":"${token}"}`;
  }
  return text;
}
