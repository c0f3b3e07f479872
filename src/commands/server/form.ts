/**
 * How nodes that were all started by the same line become one cluster (`--expect N --join A --join B …`).
 *
 * Until it belongs to a cluster a node waits, and answers everything with what it waits for. Round after round it meets
 * every address of its line, itself included:
 *
 * - one that belongs to a cluster is joined, and as long as there is one no cluster is founded;
 * - if N or more wait that have all met each other, the one with the lowest uuid founds the cluster, and the others meet
 *   a member in their next round.
 *
 * Two clusters would be the end of it, so a founder must have met everybody whom any of them has met lately, and N must be
 * more than half of the addresses: then two founders would have to share a node that knows both. A founder that nobody
 * sees any more takes no work before N nodes vote (`forming-gate.ts`), so what it founded can be thrown away.
 */
import { CorvoError } from "../../base/errors.ts";
import type { Clock, Logger } from "../../base/ports.ts";
import type { MeetAnswer, MeetRequest } from "../../service/cluster.ts";

export interface Meeting {
  readonly expect: number;
  readonly uuid: string;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly meet: (url: string) => Promise<MeetAnswer>;
}

export type Verdict =
  | { readonly kind: "wait" }
  | { readonly kind: "found" }
  /** Members at these addresses. */
  | { readonly kind: "join"; readonly urls: readonly string[] };

/** A node that waits, when it was last met. */
interface Acquaintance {
  readonly url: string;
  readonly metAtMs: number;
}

/** Who was met so lately may come back at any moment, and may know what this node does not. */
const rememberMs = 30_000;

export class Formation {
  readonly #meeting: Meeting;
  readonly #known = new Map<string, Acquaintance>();
  /** Said once each. */
  readonly #refusals = new Set<string>();
  #said = "";
  #isDecided = false;

  constructor(meeting: Meeting) {
    this.#meeting = meeting;
  }

  /** What is waited for, in a sentence. */
  get phase(): string {
    const { expect } = this.#meeting;
    const others = [...this.#known.values()].map(({ url }) => url).sort();
    const list = others.length === 0 ? "" : `: this one and ${others.join(", ")}`;
    return `waiting for ${expect} nodes, have ${others.length + 1}${list}`;
  }

  /** What this node answers another one that meets it. */
  answer(request: MeetRequest): Pick<MeetAnswer, "uuid" | "knows"> {
    const { expect, uuid } = this.#meeting;
    if (request.uuid !== uuid && request.expect !== expect) {
      throw new CorvoError(
        "CONFLICT",
        `node ${request.uuid} at ${request.httpUrl} expects ${request.expect} nodes, and node ${uuid} expects ${expect}`,
        { hint: "Start all nodes with the same --expect." },
      );
    }
    return { uuid, knows: [...this.#known.keys()] };
  }

  /** Meets everybody at these addresses once, which may be this node itself. A founder is decided about once: after that it meets nobody any more. */
  async round(urls: readonly string[]): Promise<Verdict> {
    if (this.#isDecided) return { kind: "wait" };
    const { uuid, clock } = this.#meeting;
    const met = await Promise.all(urls.map((url) => this.#meet(url)));
    const answers = met.filter((answer) => answer !== undefined && answer !== "refused");
    const others = answers.filter((answer) => answer.uuid !== uuid);
    const members = others.filter(({ clusterId }) => clusterId !== undefined);
    const waiting = new Map<string, MeetAnswer>();
    const nowMs = clock.monotonicMs();
    for (const answer of others) {
      if (answer.clusterId !== undefined) {
        this.#known.delete(answer.uuid);
        continue;
      }
      waiting.set(answer.uuid, answer);
      this.#known.set(answer.uuid, { url: answer.httpUrl, metAtMs: nowMs });
    }
    for (const [id, { metAtMs }] of this.#known) {
      if (nowMs - metAtMs > rememberMs) this.#known.delete(id);
    }
    if (members.length > 0) {
      return { kind: "join", urls: members.map(({ httpUrl }) => httpUrl) };
    }
    this.#say();
    // Who refuses this node may well have a cluster.
    this.#isDecided = !met.includes("refused") && this.#isFounder(waiting);
    return { kind: this.#isDecided ? "found" : "wait" };
  }

  async #meet(url: string): Promise<MeetAnswer | "refused" | undefined> {
    try {
      return await this.#meeting.meet(url);
    } catch (error) {
      if (!(error instanceof CorvoError) || error.retryable) return undefined;
      // It is there and will have nothing to do with this node: that does not pass by itself.
      if (!this.#refusals.has(error.message)) {
        this.#refusals.add(error.message);
        this.#meeting.logger.warn(`${url} was met: ${error.message}`, { hint: error.hint });
      }
      return "refused";
    }
  }

  /** Is the circle closed: everybody in it has met everybody else in it, and nobody has met anybody beside? */
  #isFounder(waiting: ReadonlyMap<string, MeetAnswer>): boolean {
    const { uuid, expect } = this.#meeting;
    const circle = new Set([uuid, ...waiting.keys()]);
    if (circle.size < expect) return false;
    if ([...circle].some((id) => id < uuid)) return false;
    if ([...this.#known.keys()].some((id) => !circle.has(id))) return false;
    return [...waiting].every(([id, { knows }]) => {
      const others = new Set([...knows, id]);
      return others.size === circle.size && [...others].every((other) => circle.has(other));
    });
  }

  #say(): void {
    if (this.phase === this.#said) return;
    this.#said = this.phase;
    this.#meeting.logger.info(this.phase);
  }
}

/** Fewer than half could be two groups that do not know of each other. */
export function checkExpect(expect: number, addressCount: number): void {
  if (2 * expect > addressCount) return;
  const least = Math.floor(addressCount / 2) + 1;
  throw new CorvoError(
    "VALIDATION_ERROR",
    `--expect ${expect} of ${addressCount} addresses: two groups of nodes that cannot reach each other could each form a cluster`,
    { hint: `Expect at least ${least}.` },
  );
}
