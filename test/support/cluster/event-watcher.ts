/**
 * Follows the life-cycle events of a cluster by whatever node can be reached, from the first on. It must hear each number of
 * each shard once and in order, whatever is done to the nodes, and in the end all there are.
 */
import { CorvoError } from "../../../src/base/errors.ts";
import { readEvents } from "../../../src/sdk/events.ts";
import { random, timers } from "../system-ports.ts";
import { type Cluster, until } from "./cluster.ts";

/** A node that was put to sleep is not waited for. */
const silentMs = 2500;
const lookMs = 500;

export class EventWatcher {
  readonly problems: string[] = [];
  /** Number of the last event, by shard. */
  readonly #last = new Map<number, number>();
  readonly #end = new AbortController();
  readonly #cluster: Cluster;
  #after = "0";

  constructor(cluster: Cluster) {
    this.#cluster = cluster;
  }

  /** Until it is stopped. */
  async run(): Promise<void> {
    while (!this.#end.signal.aborted) {
      try {
        await this.#follow();
      } catch (error) {
        // A node of an older program has no such path.
        if (error instanceof CorvoError && error.code === "NOT_FOUND") await Bun.sleep(200);
        else if (!this.#end.signal.aborted) {
          this.problems.push(`events: the reader gave up: ${error}`);
          return;
        }
      }
    }
  }

  /** Waits until it has heard everything that the leader knows of, and ends. */
  async finish(cluster: Cluster): Promise<void> {
    if (this.problems.length > 0) return;
    const leader = await cluster.leader();
    const path = "/api/v1/cluster/events?tail=0";
    const { cursor } = await leader.json<{ cursor: string }>("GET", path);
    await until(
      `the reader of events has all up to ${cursor}, after ${this.#after}`,
      async () => this.problems.length > 0 || this.#hasAll(cursor),
      20_000,
    ).catch((error: unknown) => this.problems.push(`events: ${error}`));
    this.stop();
  }

  stop(): void {
    this.#end.abort();
  }

  #hasAll(cursor: string): boolean {
    return cursor
      .split(".")
      .every((number, shard) => (this.#last.get(shard) ?? 0) >= Number(number));
  }

  get #servers(): string {
    return this.#cluster.nodes.map(({ url }) => url).join(",");
  }

  /** By the nodes there are now: those that were there in the beginning may all be replaced. */
  async #follow(): Promise<void> {
    const server = this.#servers;
    const isOld = new AbortController();
    const look = setInterval(() => {
      if (this.#servers !== server) isOld.abort();
    }, lookMs);
    try {
      await this.#read(server, AbortSignal.any([this.#end.signal, isOld.signal]));
    } catch (error) {
      if (!isOld.signal.aborted) throw error;
    } finally {
      clearInterval(look);
    }
  }

  async #read(server: string, signal: AbortSignal): Promise<void> {
    const events = readEvents({
      server,
      fetch: (request) => fetch(request),
      timers,
      random,
      after: this.#after,
      signal,
      silentMs,
    });
    for await (const { id, event } of events) {
      const { seq, type, shard = 0 } = event;
      const wanted = (this.#last.get(shard) ?? 0) + 1;
      if (seq !== wanted || type === "gap") {
        const of = shard === 0 ? "" : ` of shard ${shard}`;
        this.problems.push(`events: ${type} ${seq}${of} came after ${wanted - 1}`);
        return;
      }
      this.#last.set(shard, seq);
      this.#after = id;
    }
  }
}
