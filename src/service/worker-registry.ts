/**
 * Who works here: the workers that asked for jobs of this shard, as its leader saw them. Nothing of it is stored, since every
 * worker that lives asks again within seconds; what a worker has in hand is counted from the leases, which are.
 *
 * Orders of operators are replicated (`engine/worker-orders.ts`). A worker that was told to stop and came back under its id
 * after that is not meant by it.
 */
import type { Clock } from "../base/ports.ts";
import type { Engine } from "../engine/engine.ts";
import type { Order } from "../engine/worker-orders.ts";

/** What a worker says of itself when it asks for jobs. */
export interface Introduction {
  readonly workerId: string;
  readonly hostname: string | undefined;
  readonly client: string | undefined;
  readonly queues: readonly string[];
  readonly labels: readonly string[];
  /** 0 when it did not say. */
  readonly startedAtMs: number;
}

export interface KnownWorker {
  /** As it said last. */
  says: Introduction;
  readonly firstSeenMs: number;
  lastSeenMs: number;
  /** Streams that it has open here. */
  streams: number;
}

/** What an operator asked of a worker; undefined when it may take jobs. */
export type OrderListener = (order: Order | undefined) => void;

/** A worker that was not heard of for so long, three heartbeats of the slowest kind, is taken to be gone. */
export const silentMs = 90_000;
const knownMax = 10_000;
/** So many are forgotten at once when there are too many, those that were not heard of for longest. */
const forgottenAtOnce = 1000;

export class WorkerRegistry {
  readonly #engine: Engine;
  readonly #clock: Clock;
  readonly #known = new Map<string, KnownWorker>();
  readonly #listeners = new Map<string, Set<OrderListener>>();

  constructor(engine: Engine, clock: Clock) {
    this.#engine = engine;
    this.#clock = clock;
  }

  /** A worker asks for jobs, in words that it may not have used before. One that began anew under its id is another one. */
  introduce(says: Introduction): KnownWorker {
    const nowMs = this.#clock.nowMs();
    const old = this.#known.get(says.workerId);
    if (old !== undefined && old.says.startedAtMs === says.startedAtMs) {
      old.says = says;
      old.lastSeenMs = nowMs;
      return old;
    }
    const worker = { says, firstSeenMs: nowMs, lastSeenMs: nowMs, streams: 0 };
    this.#known.set(says.workerId, worker);
    if (this.#known.size > knownMax) this.#forgetSome();
    return worker;
  }

  /** A stream of the worker ended. */
  disconnected(worker: KnownWorker): void {
    worker.streams--;
    worker.lastSeenMs = this.#clock.nowMs();
  }

  all(): Iterable<KnownWorker> {
    return this.#known.values();
  }

  has(workerId: string): boolean {
    return this.#known.has(workerId);
  }

  /** How many workers, of those that are there, may be given a job with these requirements. */
  meeting(queue: string, requires: readonly string[]): number {
    const sinceMs = this.#clock.nowMs() - silentMs;
    let count = 0;
    for (const { says, lastSeenMs, streams } of this.#known.values()) {
      if (streams === 0 && lastSeenMs < sinceMs) continue;
      const { queues, labels } = says;
      if (queues.includes(queue) && requires.every((label) => labels.includes(label))) count++;
    }
    return count;
  }

  orderOf(workerId: string, startedAtMs: number): Order | undefined {
    const found = this.#engine.state.records("workerOrder").get(workerId);
    if (found === undefined) return undefined;
    return found.order === "stop" && startedAtMs > found.atMs ? undefined : found.order;
  }

  /** Calls back when an operator asks something of the worker, until the returned function is called. */
  onOrder(workerId: string, listener: OrderListener): () => void {
    let listeners = this.#listeners.get(workerId);
    if (listeners === undefined) {
      listeners = new Set();
      this.#listeners.set(workerId, listeners);
    }
    listeners.add(listener);
    return () => {
      listeners.delete(listener);
      if (listeners.size === 0 && this.#listeners.get(workerId) === listeners) {
        this.#listeners.delete(workerId);
      }
    };
  }

  /** An order was given or taken back. */
  ordered(workerId: string): void {
    const listeners = this.#listeners.get(workerId);
    if (listeners === undefined) return;
    const startedAtMs = this.#known.get(workerId)?.says.startedAtMs ?? 0;
    const order = this.orderOf(workerId, startedAtMs);
    for (const listener of [...listeners]) listener(order);
  }

  #forgetSome(): void {
    const silent = [...this.#known.values()].filter(({ streams }) => streams === 0);
    silent.sort((one, other) => one.lastSeenMs - other.lastSeenMs);
    for (const { says } of silent.slice(0, forgottenAtOnce)) this.#known.delete(says.workerId);
  }
}
