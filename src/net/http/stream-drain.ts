/**
 * What draining means for one streaming connection of a client of this node. One that is open when it begins gets no more
 * jobs and is asked to connect again, which brings a client that knows other nodes to one of them. One that is made
 * meanwhile serves a client that knows only this node: it may report on the jobs it has. It is asked to connect again when
 * there is nothing left to report, or when the node gives out work again.
 */
import type { Drain } from "./drain.ts";
import type { LeaderWatch } from "./leader-watch.ts";

export class StreamDrain {
  readonly #drain: Drain;
  /** Whether its claims count is decided once, when it is made: credits that were taken cannot be given back later. */
  readonly mayClaim: boolean;
  #stopClaiming: () => void = () => {};
  #stopWatching: () => void = () => {};

  constructor(drain: Drain) {
    this.#drain = drain;
    this.mayClaim = !drain.isOn;
  }

  /** `leave` is called once, with a reason, when the client has to connect again. */
  opened(watch: LeaderWatch, leave: (reason: string) => void): void {
    const drain = this.#drain;
    if (this.mayClaim) this.#stopClaiming = drain.claiming();
    this.#stopWatching = watch.whenOver(
      () => !this.#isOver,
      () => leave(drain.isOn ? "this node is draining" : "this node gives out work again"),
    );
  }

  get #isOver(): boolean {
    if (this.mayClaim) return this.#drain.isOn;
    return !this.#drain.isOn || !this.#drain.hasLeases;
  }

  /** Notes the leases that a frame for the client has. */
  note(text: string): void {
    this.#drain.note(text);
  }

  closed(): void {
    this.#stopClaiming();
    this.#stopWatching();
  }
}
