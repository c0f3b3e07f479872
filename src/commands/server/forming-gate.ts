/**
 * What keeps calls out until a node can take them. A node that starts alone first settles what nobody else has to agree to:
 * until then it would refuse as unknown what it can do a moment later.
 *
 * A cluster that several nodes form together takes no work before as many of them vote as were waited for: what a founder
 * acknowledged alone would be lost if the others, cut off from it, formed a cluster of their own.
 */
import { type Handlers, type OperationName, operations } from "../../api/operations.ts";
import type { StreamService } from "../../api/stream.ts";
import { CorvoError } from "../../base/errors.ts";
import type { Logger } from "../../base/ports.ts";

export interface GateDeps {
  /** Voters that are waited for; undefined when none are. */
  readonly expect: number | undefined;
  readonly voterCount: () => number;
  /** Enough vote: it is noted, so that the cluster may shrink later. */
  readonly onOpen: () => void;
  readonly logger: Logger;
}

const retryMs = 500;
const startRetryMs = 50;

export class FormingGate {
  readonly #deps: GateDeps;
  #expect: number | undefined;
  #isStarting = true;

  constructor(deps: GateDeps) {
    this.#deps = deps;
    this.#expect = deps.expect;
  }

  /** The node has settled what it had to. */
  open(): void {
    this.#isStarting = false;
  }

  /** Looks at who votes now. */
  look(): void {
    const voters = this.#deps.voterCount();
    if (this.#expect === undefined || voters < this.#expect) return;
    this.#expect = undefined;
    this.#deps.onOpen();
    this.#deps.logger.info(`the cluster is formed: ${voters} nodes vote`);
  }

  get refusal(): CorvoError | undefined {
    if (this.#isStarting) {
      return new CorvoError("UNAVAILABLE", "this node is starting", { retryAfterMs: startRetryMs });
    }
    if (this.#expect === undefined) return undefined;
    const message = `waiting for ${this.#expect} nodes that vote, have ${this.#deps.voterCount()}`;
    return new CorvoError("UNAVAILABLE", message, { retryAfterMs: retryMs });
  }

  guardHandlers(handlers: Handlers): Handlers {
    const guarded: Record<string, unknown> = { ...handlers };
    for (const name of Object.keys(operations) as OperationName[]) {
      const { tag } = operations[name];
      if (tag === "cluster" || name === "health" || name === "info") continue;
      const handler = handlers[name] as (...input: unknown[]) => Promise<unknown>;
      guarded[name] = (...input: unknown[]) => {
        const { refusal } = this;
        return refusal === undefined ? handler(...input) : Promise.reject(refusal);
      };
    }
    // Every key of the table was copied or wrapped above; the type cannot follow it.
    return guarded as unknown as Handlers;
  }

  guardStream(stream: StreamService): StreamService {
    return {
      open: (push, isPassedOn) => {
        const { refusal } = this;
        if (refusal !== undefined) throw refusal;
        return stream.open(push, isPassedOn);
      },
    };
  }
}
