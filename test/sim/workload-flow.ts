/** Chains, batches and families that clients of a simulated cluster make. */
import { formatGroupId, formatJobId } from "../../src/base/ids.ts";
import type { ChainPlan, JobRef } from "../../src/engine/chains.ts";
import type { Change, NewBatch, NewJob } from "../../src/engine/change.ts";
import type { JobOptions } from "../../src/engine/options.ts";
import { below, type SeededRandom } from "../support/seeded-random.ts";

export function drawChain(random: SeededRandom, queue: () => string): ChainPlan {
  const step = (): NewJob => ({
    queue: queue(),
    payload: "{}",
    ...(below(random, 100) < 20 && { delayMs: below(random, 1500) }),
    options: { maxRetries: below(random, 3), backoff: "fixed", baseDelayMs: 300 },
  });
  const draw = below(random, 3);
  return {
    steps: Array.from({ length: 1 + below(random, 2) }, step),
    ...(draw === 0 ? { onFailure: "continue" as const } : draw === 1 ? { onFailure: step() } : {}),
    ...(below(random, 2) === 0 && { onExit: step() }),
    shard: 0,
  };
}

/** A batch with all that may follow it. */
export function drawBatch(random: SeededRandom, queue: () => string, isOpen: boolean): NewBatch {
  const call = (callback: string): NewJob => ({
    queue: queue(),
    payload: JSON.stringify({ callback }),
  });
  return {
    ...(isOpen && { openMs: 500 + below(random, 4000) }),
    onSuccess: call("success"),
    onFailure: call("failure"),
    onComplete: call("complete"),
    shard: 0,
  };
}

/** What a client remembers of batches, and does to them. */
export class KnownBatches {
  readonly #random: SeededRandom;
  readonly #refs: JobRef[] = [];

  constructor(random: SeededRandom) {
    this.#random = random;
  }

  add(ref: JobRef | undefined): void {
    if (ref !== undefined) this.#refs.push(ref);
  }

  /** Options of a job that joins one of the last. */
  draw(): Partial<JobOptions> {
    const ref = this.#drawRef();
    if (ref === undefined) return {};
    const [seq, createdAtMs] = ref;
    return { batchId: formatGroupId("batch", { seq, createdAtMs, shard: 0 }) };
  }

  drawChange(): Change | undefined {
    const ref = this.#drawRef();
    if (ref === undefined) return undefined;
    const kind = below(this.#random, 2) === 0 ? "cancelBatch" : "sealBatch";
    return { kind, batch: ref[0] };
  }

  #drawRef(): JobRef | undefined {
    const last = this.#refs.slice(-4);
    return last[below(this.#random, Math.max(1, last.length))];
  }
}

export function childOf([seq, createdAtMs]: JobRef): Partial<JobOptions> {
  return { parentId: formatJobId(seq, createdAtMs, 0), cascadeCancel: true };
}
