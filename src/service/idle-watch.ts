/**
 * Workers that wait at a queue which has ready jobs, for a while: nobody works although there is work. Something stops all
 * those jobs for these workers, and whoever set it up that way may not know. It is said once in the log, with the reason
 * that `explain` gives, and again when it was over in between.
 *
 * A queue that is paused is that by somebody's wish.
 */
import type { LeaderPart } from "../replica/duty.ts";
import { engineStops } from "./explain-handlers.ts";
import type { Node } from "./node.ts";

/** A look costs one pass over the queues at which somebody waits. */
const lookMs = 5000;
/** So many looks in a row must find it. */
const looksMin = 2;
/** Queues named in the log at one look. */
const toldMax = 10;

export interface IdleQueue {
  readonly queue: string;
  readonly workers: number;
  readonly ready: number;
}

export class IdleWatch implements LeaderPart {
  readonly #node: Node;
  /** In how many looks in a row each queue was found. */
  #found = new Map<string, number>();
  #idle: IdleQueue[] = [];
  #cancelTimer: () => void = () => {};

  constructor(node: Node) {
    this.#node = node;
  }

  /** Queues that were so in the last looks, with the workers that wait there. */
  get idle(): readonly IdleQueue[] {
    return this.#idle;
  }

  lead(): void {
    this.#cancelTimer();
    this.#found.clear();
    this.#lookLater();
  }

  onEffects(): void {}

  stop(): void {
    this.#cancelTimer();
  }

  #lookLater(): void {
    this.#cancelTimer = this.#node.deps.timers.after(lookMs, () => {
      this.#idle = [];
      if (!this.#node.replica.isLeader) return;
      this.#look();
      this.#lookLater();
    });
  }

  #look(): void {
    const { claims, replica } = this.#node;
    const { engine } = replica;
    const found = new Map<string, number>();
    let told = 0;
    for (const [queue, workers] of claims.idleQueues()) {
      const ready = engine.readyCount(queue);
      if (ready === 0 || engine.state.getQueue(queue)?.paused !== false) continue;
      const looks = (this.#found.get(queue) ?? 0) + 1;
      found.set(queue, looks);
      if (looks < looksMin) continue;
      this.#idle.push({ queue, workers, ready });
      if (looks === looksMin && told++ < toldMax) this.#tell({ queue, workers, ready });
    }
    this.#found = found;
  }

  #tell({ queue, workers, ready }: IdleQueue): void {
    const [why] = engineStops(this.#node, queue);
    this.#node.deps.logger.warn(
      `${workers} ${workers === 1 ? "worker waits" : "workers wait"} at queue "${queue}", which has ${ready} ready ${ready === 1 ? "job" : "jobs"}: ${why ?? "no reason is known"}`,
      { queue, workers, ready },
    );
  }
}
