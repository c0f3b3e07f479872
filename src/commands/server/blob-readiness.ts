/**
 * Whether a node that is to vote has the blobs of all jobs. What it says of itself is as old as its last ping, and before it
 * has applied the log it misses nothing: so its word counts only for a state that is not older than the question.
 *
 * Blobs that come meanwhile are on a majority without it, which has a member in every majority with it.
 */
import type { Clock } from "../../base/ports.ts";
import type { NodeCondition } from "../../net/peer/condition.ts";
import type { ShardCore } from "./shard.ts";

/** A question that is not answered by then is asked anew, about the state of that time. */
const questionMs = 5000;

interface Question {
  readonly askedMs: number;
  /** What had been applied here, by shard. */
  readonly indexes: readonly number[];
}

export class BlobReadiness {
  readonly #cores: readonly Pick<ShardCore, "replica">[];
  readonly #conditionOf: (nodeId: number) => NodeCondition | undefined;
  readonly #clock: Clock;
  readonly #questions = new Map<number, Question>();

  constructor(
    cores: readonly Pick<ShardCore, "replica">[],
    conditionOf: (nodeId: number) => NodeCondition | undefined,
    clock: Clock,
  ) {
    this.#cores = cores;
    this.#conditionOf = conditionOf;
    this.#clock = clock;
  }

  /** True until the node has said otherwise of a state that has all that this one has now. */
  lacksBlobs(nodeId: number): boolean {
    if (!this.#cores.some(usesBlobs)) return false;
    const condition = this.#conditionOf(nodeId);
    if (condition === undefined) return true;
    const { lacksBlobs, appliedIndexes } = condition;
    // Older versions do not say what state they speak of.
    if (appliedIndexes === undefined) return lacksBlobs;
    const { indexes } = this.#questionFor(nodeId);
    const isAnswer = indexes.every((index, shard) => (appliedIndexes[shard] ?? 0) >= index);
    if (lacksBlobs || !isAnswer) return true;
    this.#questions.delete(nodeId);
    return false;
  }

  #questionFor(nodeId: number): Question {
    const nowMs = this.#clock.monotonicMs();
    for (const [id, { askedMs }] of this.#questions) {
      if (nowMs - askedMs > questionMs) this.#questions.delete(id);
    }
    const known = this.#questions.get(nodeId);
    if (known !== undefined) return known;
    const indexes = this.#cores.map(({ replica }) => replica.appliedIndex);
    const question = { askedMs: nowMs, indexes };
    this.#questions.set(nodeId, question);
    return question;
  }
}

function usesBlobs({ replica }: Pick<ShardCore, "replica">): boolean {
  for (const _ of replica.engine.state.records("blobs").entries()) return true;
  return false;
}
