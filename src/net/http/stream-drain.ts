/**
 * What draining means for one streaming connection of a client of this node. One that is open when it begins is asked to
 * connect again, which brings a client that knows other nodes to one of them. One that is made meanwhile serves a client
 * that knows only this node: it may report on the jobs it has. It is asked to connect again when there is nothing left to
 * report, or when the node gives out work again.
 */
import type { Drain } from "./drain.ts";

export class StreamDrain {
  readonly #drain: Drain;
  /** Whether its claims count is decided once, when it is made: credits that were taken cannot be given back later. */
  readonly mayClaim: boolean;
  #stopClaiming: (() => void) | undefined;

  constructor(drain: Drain) {
    this.#drain = drain;
    this.mayClaim = !drain.isOn;
  }

  /** Has the client to connect again? */
  get isOver(): boolean {
    if (this.mayClaim) return this.#drain.isOn;
    return !this.#drain.isOn || !this.#drain.hasLeases;
  }

  get reason(): string {
    return this.#drain.isOn ? "this node is draining" : "this node gives out work again";
  }

  note(text: string): void {
    this.#drain.note(text);
  }

  opened(): void {
    if (this.mayClaim) this.#stopClaiming = this.#drain.claiming();
  }

  closed(): void {
    this.#stopClaiming?.();
  }
}
