/**
 * The life-cycle events of a run, as the first node that applies an entry tells them. Every other node must tell the same
 * under the same numbers, also one that starts again and replays; and who follows them must know every job in the end.
 */
import type { LifecycleEvent } from "../../src/engine/event-chunk.ts";
import type { Job } from "../../src/engine/job.ts";
import type { MemoryState } from "../../src/engine/memory-state.ts";
import type { NodeId } from "../../src/raft/message.ts";
import { EventObserver } from "../support/event-observer.ts";
import { digest } from "./digest.ts";

export class EventLedger {
  readonly #report: (problem: string) => void;
  readonly #note: (event: string, by: number) => void;
  readonly #observer = new EventObserver();
  /** Hashes of the events, by number. */
  readonly #hashes: number[] = [];

  constructor(report: (problem: string) => void, note: (event: string, by: number) => void) {
    this.#report = report;
    this.#note = note;
  }

  /** A node applied an entry, before which its next event had this number. */
  applied(node: NodeId, { events, meta }: MemoryState, from: number): void {
    if (meta.nextEvent === from) return;
    const bounds = { limit: Number.MAX_SAFE_INTEGER, scanMax: Number.MAX_SAFE_INTEGER };
    const told = events.read(from, {}, bounds).events;
    if (told.length !== meta.nextEvent - from) {
      this.#report(`node ${node} tells ${told.length} events of ${from} to ${meta.nextEvent - 1}`);
    }
    for (const event of told) this.#heard(node, event);
  }

  /** Everything that is so must have been told. */
  checkFinal(jobs: ReadonlyMap<number, Job>): void {
    for (const problem of this.#observer.compare(jobs)) this.#report(`events: ${problem}`);
  }

  #heard(node: NodeId, event: LifecycleEvent): void {
    const hash = digest(0, event);
    const known = this.#hashes[event.number];
    if (known === undefined) {
      this.#hashes[event.number] = hash;
      this.#observer.hear(event);
      this.#note("lifecycleEvents", 1);
    } else if (known !== hash) {
      this.#report(`node ${node} tells event ${event.number} otherwise: ${JSON.stringify(event)}`);
    }
  }
}
