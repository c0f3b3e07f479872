/**
 * A node that somebody wants to stop. While it drains it gives out no work to its own clients: claims are refused, streams
 * are asked to connect again, and a stream that comes all the same may report on jobs and not claim any. What other nodes
 * pass on is not touched: that work goes through them.
 *
 * Which leases went out through this node is known on every node, whichever of them leads: they are read off the answers
 * on their way, or, on the leader, known to the streams. Whether one still lives is for the replicated state to say.
 *
 * Bounds: about twice the leases that live at once. Dead ones are dropped whenever the set has doubled.
 */
import { CorvoError } from "../../base/errors.ts";

export interface DrainDeps {
  /** The number in a lease token; -1 for what is none. */
  readonly tokenOf: (text: string) => number;
  /** Those that streams to this node were given. Asked for when it begins: they are too many to be read off their frames. */
  readonly streamLeases: () => Iterable<number>;
  /** May this lease still be held by a worker? */
  readonly isLive: (token: number) => boolean;
}

const marks = ['"lease_token":"', '"lease_id":"'];
/** Looked through at the earliest with so many; sooner would cost more than the memory is worth. */
const tokensMin = 65_536;
const retryMs = 1000;

export class Drain {
  readonly #deps: DrainDeps;
  readonly #tokens = new Set<number>();
  #pruneAt = tokensMin;
  #isOn = false;
  /** Claims of own clients that wait for work, and streams that may get some. */
  #claimers = 0;
  #quiet: (() => void)[] = [];
  readonly #listeners: (() => void)[] = [];

  constructor(deps: DrainDeps) {
    this.#deps = deps;
  }

  get isOn(): boolean {
    return this.#isOn;
  }

  /** `listener` is called when it begins and when it ends: not one more job goes out to who claimed before. */
  whenChanged(listener: () => void): void {
    this.#listeners.push(listener);
  }

  begin(): void {
    this.#set(true);
  }

  end(): void {
    this.#set(false);
  }

  #set(isOn: boolean): void {
    if (this.#isOn === isOn) return;
    this.#isOn = isOn;
    if (isOn) for (const token of this.#deps.streamLeases()) this.#tokens.add(token);
    for (const listener of this.#listeners) listener();
  }

  /** Somebody may be given work, until the returned function is called. */
  claiming(): () => void {
    this.#claimers++;
    let isOver = false;
    return () => {
      if (isOver) return;
      isOver = true;
      this.#claimers--;
      if (this.#claimers === 0) for (const resolve of this.#quiet.splice(0)) resolve();
    };
  }

  /** Resolves when nobody is given work any more: polls end at once, streams after a moment. */
  quiet(): Promise<void> {
    if (this.#claimers === 0) return Promise.resolve();
    return new Promise((resolve) => this.#quiet.push(resolve));
  }

  /** Nobody is given work any more, and nobody holds what was given out. */
  get isDone(): boolean {
    return this.#isOn && this.#claimers === 0 && !this.hasLeases;
  }

  /** Notes the leases in a text on its way to a client. One inside a payload does no harm: it is not alive. */
  note(text: string): void {
    for (const mark of marks) this.#noteMarked(text, mark);
  }

  #noteMarked(text: string, mark: string): void {
    for (let at = text.indexOf(mark); at !== -1; ) {
      const from = at + mark.length;
      const to = text.indexOf('"', from);
      if (to === -1) return;
      const token = this.#deps.tokenOf(text.slice(from, to));
      if (token > 0) this.noteLease(token);
      at = text.indexOf(mark, to);
    }
  }

  /** Notes one lease, by the number that `isLive` knows it by. */
  noteLease(token: number): void {
    this.#tokens.add(token);
    if (this.#tokens.size < this.#pruneAt) return;
    this.#prune();
    this.#pruneAt = Math.max(tokensMin, 2 * this.#tokens.size);
  }

  /** Leases that went out through this node and still live. */
  get leaseCount(): number {
    this.#prune();
    return this.#tokens.size;
  }

  get hasLeases(): boolean {
    for (const token of this.#tokens) {
      if (this.#deps.isLive(token)) return true;
      this.#tokens.delete(token);
    }
    return false;
  }

  #prune(): void {
    for (const token of this.#tokens) if (!this.#deps.isLive(token)) this.#tokens.delete(token);
  }
}

/** The answer for claims that come to a node that drains. */
export function draining(): CorvoError {
  return new CorvoError("UNAVAILABLE", "this node is draining and gives out no work", {
    retryAfterMs: retryMs,
    hint: "Ask another node, or let this one go on with `corvo server drain --undo`.",
  });
}
