/** Directed links between nodes: they lose, repeat, delay and reorder messages, and can be cut one way. */
import { below, type SeededRandom } from "../support/seeded-random.ts";
import type { EventQueue } from "./virtual-time.ts";

export interface NetworkMood {
  /** Of a thousand messages. */
  lossPermille: number;
  repeatPermille: number;
  delayMs: number;
  /** Otherwise messages of one link arrive in the order in which they left. */
  reorders: boolean;
}

export class Network {
  readonly mood: NetworkMood = { lossPermille: 0, repeatPermille: 0, delayMs: 1, reorders: false };
  readonly #events: EventQueue;
  readonly #random: SeededRandom;
  readonly #cut = new Set<number>();
  readonly #lastAtMs = new Map<number, number>();

  constructor(events: EventQueue, random: SeededRandom) {
    this.#events = events;
    this.#random = random;
  }

  cut(from: number, to: number): void {
    this.#cut.add(linkOf(from, to));
  }

  isCut(from: number, to: number): boolean {
    return this.#cut.size > 0 && this.#cut.has(linkOf(from, to));
  }

  mend(): void {
    this.#cut.clear();
  }

  heal(): void {
    this.mend();
    Object.assign(this.mood, { lossPermille: 0, repeatPermille: 0, delayMs: 1, reorders: false });
  }

  /** False when the message is lost, which the sender may or may not learn. */
  send(from: number, to: number, deliver: () => void): boolean {
    const { lossPermille, repeatPermille } = this.mood;
    if (this.isCut(from, to) || below(this.#random, 1000) < lossPermille) return false;
    this.#deliver(from, to, deliver);
    if (below(this.#random, 1000) < repeatPermille) this.#deliver(from, to, deliver);
    return true;
  }

  #deliver(from: number, to: number, deliver: () => void): void {
    const { delayMs, reorders } = this.mood;
    const link = linkOf(from, to);
    const ownMs = (delayMs * (20 + below(this.#random, 200))) / 100;
    let atMs = this.#events.nowMs + ownMs;
    if (!reorders) atMs = Math.max(atMs, this.#lastAtMs.get(link) ?? 0);
    this.#lastAtMs.set(link, atMs);
    this.#events.after(atMs - this.#events.nowMs, () => {
      // What is on its way when a link is cut is lost with it.
      if (!this.isCut(from, to)) deliver();
    });
  }
}

/** Nodes have small numbers. */
function linkOf(from: number, to: number): number {
  return from * 1000 + to;
}
