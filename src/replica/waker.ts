/**
 * Whoever leads tells subscribers that a queue has jobs that are ready (`engine/subscriptions.ts`). Nothing of this is kept:
 * a call that fails is not repeated, but while jobs stay ready the queue's subscribers are told again, after pauses that
 * grow. Nobody is told more often than it asked for, and producers never wait for any of it.
 *
 * Subscribers of a queue are told through audiences: each one with `fanout` is an audience by itself, and all of one group
 * are one audience, of which one is told. In a group whoever may not be called yet is passed over.
 */
import type { Clock } from "../base/ports.ts";
import { isNamed } from "../engine/outbox/webhook.ts";
import type { Effects } from "../engine/outcome.ts";
import type { Subscription } from "../engine/subscriptions.ts";
import { Duty, type DutyDeps, type LeaderPart, never } from "./duty.ts";
import type { Replica } from "./replica.ts";

export interface Wake {
  readonly subscription: Subscription;
  readonly queue: string;
  /** Jobs that are ready, counted up to a bound. */
  readonly ready: number;
}

export interface WakerDeps extends Omit<DutyDeps, "replica"> {
  readonly replica: Replica;
  readonly clock: Clock;
  /** Calls a subscriber; never rejects. */
  readonly call: (wake: Wake) => Promise<unknown>;
}

/** Ready jobs are counted up to this. */
const readyMax = 1000;
/** Calls at once. Beyond it subscribers have to wait for their turn. */
const callsMax = 64;
/** Jobs that stay ready are told of again after this, then after twice as long, up to the second. */
const firstRepeatMs = 30_000;
const repeatMsMax = 10 * 60_000;
/** With so many calls out, the next look is made after this. */
const crowdedMs = 50;

interface Audience {
  readonly key: string;
  readonly members: readonly Subscription[];
}

/** When an audience is told again of the jobs that it was told of. */
interface Repeat {
  readonly atMs: number;
  readonly pauseMs: number;
}

export class Waker implements LeaderPart {
  readonly #deps: WakerDeps;
  readonly #duty: Duty;
  /** Queues that may have ready jobs and have subscribers; with what each audience was told. */
  readonly #queues = new Map<string, Map<string, Repeat>>();
  /** By queue, for as long as no subscription changes. */
  readonly #audiences = new Map<string, readonly Audience[]>();
  readonly #lastCallMs = new Map<string, number>();
  /** Who of each group was told last. */
  readonly #turns = new Map<string, string>();
  /** Subscriptions that were set or have gone since the last look. */
  readonly #changed = new Set<string>();
  #calls = 0;
  #mustStartOver = false;

  constructor(deps: WakerDeps) {
    this.#deps = deps;
    this.#duty = new Duty(deps, {
      failure: "subscribers could not be told of ready jobs",
      look: () => Promise.resolve(this.#look()),
    });
  }

  lead(): void {
    this.#mustStartOver = true;
    this.#duty.lead();
  }

  onEffects({ readyQueues, subscriptionsChanged }: Effects): void {
    let isWanted = subscriptionsChanged.length > 0;
    if (isWanted) {
      for (const id of subscriptionsChanged) this.#changed.add(id);
      this.#audiences.clear();
    } else if (this.#subscriptions.size === 0) return;
    for (const queue of readyQueues) {
      if (this.#audiencesOf(queue).length === 0) continue;
      // Of jobs that are new their subscribers are told as soon as they may be called.
      this.#queues.set(queue, new Map());
      isWanted = true;
    }
    if (isWanted) this.#duty.ask();
  }

  stop(): void {
    this.#duty.stop();
  }

  get #subscriptions() {
    return this.#deps.replica.engine.state.records("subscription");
  }

  #look(): number {
    if (this.#mustStartOver) this.#startOver();
    else if (this.#changed.size > 0) this.#follow();
    let waitMs = never;
    for (const [queue, told] of [...this.#queues]) {
      const audiences = this.#audiencesOf(queue);
      const ready = audiences.length === 0 ? 0 : this.#deps.replica.claimable(queue, readyMax);
      if (ready === 0) {
        this.#queues.delete(queue);
        continue;
      }
      for (const audience of audiences) {
        waitMs = Math.min(waitMs, this.#tell(audience, { queue, ready, told }));
      }
    }
    return waitMs;
  }

  /** Looks at every queue that somebody subscribes to. */
  #startOver(): void {
    this.#mustStartOver = false;
    this.#changed.clear();
    this.#turns.clear();
    this.#queues.clear();
    this.#audiences.clear();
    this.#forgetCalls();
    this.#watch([...this.#subscriptions.entries()].map(([, subscription]) => subscription));
  }

  /** Whoever was set is told of what is ready, and so is another in place of who was told and has gone. The rest goes on. */
  #follow(): void {
    const changed = new Set(this.#changed);
    this.#changed.clear();
    this.#forgetCalls();
    const isAnew = ({ key, members }: Audience, queue: string) =>
      members.some(({ id }) => changed.has(id)) ||
      changed.has(this.#turns.get(turnOf(key, queue)) ?? "");
    for (const [queue, told] of this.#queues) {
      const audiences = this.#audiencesOf(queue);
      for (const key of told.keys()) {
        const audience = audiences.find((one) => one.key === key);
        if (audience === undefined || isAnew(audience, queue)) told.delete(key);
      }
    }
    this.#forgetTurns();
    this.#watch([...changed].flatMap((id) => this.#subscriptions.get(id) ?? []));
  }

  /** Looks at the queues that any of these names. */
  #watch(subscriptions: readonly Subscription[]): void {
    if (subscriptions.length === 0) return;
    for (const { name } of this.#deps.replica.engine.state.queues()) {
      if (this.#queues.has(name)) continue;
      if (subscriptions.some(({ queues }) => isNamed(queues, name)))
        this.#queues.set(name, new Map());
    }
  }

  /** Of audiences and queues that are gone. */
  #forgetTurns(): void {
    const audiences = new Set([...this.#subscriptions.entries()].map(([, one]) => audienceOf(one)));
    const { state } = this.#deps.replica.engine;
    for (const turn of [...this.#turns.keys()]) {
      const at = turn.lastIndexOf("\n");
      const isKnown = audiences.has(turn.slice(0, at)) && state.getQueue(turn.slice(at + 1));
      if (!isKnown) this.#turns.delete(turn);
    }
  }

  /** Of those who are gone. */
  #forgetCalls(): void {
    for (const id of [...this.#lastCallMs.keys()]) {
      if (!this.#subscriptions.has(id)) this.#lastCallMs.delete(id);
    }
  }

  #audiencesOf(queue: string): readonly Audience[] {
    let found = this.#audiences.get(queue);
    if (found === undefined) {
      found = this.#findAudiences(queue);
      this.#audiences.set(queue, found);
    }
    return found;
  }

  #findAudiences(queue: string): readonly Audience[] {
    const groups = new Map<string, Subscription[]>();
    for (const [, subscription] of this.#subscriptions.entries()) {
      if (!isNamed(subscription.queues, queue)) continue;
      const key = audienceOf(subscription);
      const members = groups.get(key);
      if (members === undefined) groups.set(key, [subscription]);
      else members.push(subscription);
    }
    return [...groups].map(([key, members]) => ({ key, members }));
  }

  /** Tells one of the audience, if it is time to; how long until it is. */
  #tell(
    audience: Audience,
    { queue, ready, told }: { queue: string; ready: number; told: Map<string, Repeat> },
  ): number {
    const nowMs = this.#deps.clock.monotonicMs();
    const repeat = told.get(audience.key);
    if (repeat !== undefined && nowMs < repeat.atMs) return repeat.atMs - nowMs;
    if (this.#calls >= callsMax) return crowdedMs;
    const mayCallAtMs = (member: Subscription) =>
      (this.#lastCallMs.get(member.id) ?? Number.NEGATIVE_INFINITY) + member.minIntervalMs;
    const line = this.#lineOf(audience, queue);
    const member = line.find((one) => mayCallAtMs(one) <= nowMs);
    if (member === undefined) return Math.min(...line.map(mayCallAtMs)) - nowMs;
    this.#turns.set(turnOf(audience.key, queue), member.id);
    this.#lastCallMs.set(member.id, nowMs);
    this.#call({ subscription: member, queue, ready });
    const pauseMs = Math.min(repeatMsMax, (repeat?.pauseMs ?? firstRepeatMs / 2) * 2);
    told.set(audience.key, { atMs: nowMs + pauseMs, pauseMs });
    return pauseMs;
  }

  /** Who is told, the first choice first. */
  #lineOf({ key, members }: Audience, queue: string): readonly Subscription[] {
    const [first] = members;
    if (first === undefined || members.length === 1) return members;
    if (first.mode === "hash") {
      const weighed = members.map((member) => ({ member, weight: weightOf(member.id, queue) }));
      weighed.sort((one, other) => other.weight - one.weight);
      // Always the same one, even if it has to be waited for; another only when that one is gone.
      return weighed.slice(0, 1).map(({ member }) => member);
    }
    const line = [...members].sort((one, other) => (one.id < other.id ? -1 : 1));
    const last = this.#turns.get(turnOf(key, queue)) ?? "";
    const next = line.findIndex(({ id }) => id > last);
    return next <= 0 ? line : [...line.slice(next), ...line.slice(0, next)];
  }

  #call(wake: Wake): void {
    this.#calls++;
    void this.#deps.call(wake).then(() => {
      this.#calls--;
    });
  }
}

function audienceOf({ id, mode, group }: Subscription): string {
  return mode === "fanout" ? `fanout ${id}` : `${mode} ${group}`;
}

/** The name of a queue has no line break; that of a group may. */
function turnOf(audience: string, queue: string): string {
  return `${audience}\n${queue}`;
}

/** The same on every node, and spread evenly: who has the highest weight for a queue has it until it goes. */
function weightOf(id: string, queue: string): number {
  let value = 0x811c9dc5;
  for (const text of [id, "\n", queue]) {
    for (let i = 0; i < text.length; i++) {
      value = Math.imul(value ^ text.charCodeAt(i), 0x01000193);
    }
  }
  value = Math.imul(value ^ (value >>> 16), 0x85ebca6b);
  value = Math.imul(value ^ (value >>> 13), 0xc2b2ae35);
  return (value ^ (value >>> 16)) >>> 0;
}
