/**
 * Whether a node that is to vote has the blobs of all jobs. What it says of itself is as old as its last ping, and before it
 * has applied the log it misses nothing: so its word counts only for a state that is not older than the question.
 *
 * Blobs that come meanwhile are on a majority without it, which has a member in every majority with it.
 */
import type { Clock } from "../../base/ports.ts";
import type { Peers } from "./peers.ts";
import type { ShardCore } from "./shard.ts";

/** A question that is not answered by then is asked anew, about the state of that time. */
const questionMs = 5000;

/** What the leader's own copy of a shard says. */
interface ShardBlobs {
  readonly appliedIndex: number;
  /** Do any of its jobs have blobs? */
  readonly usesBlobs: boolean;
}

interface Question {
  readonly askedMs: number;
  /** What had been applied here, by shard. */
  readonly indexes: readonly number[];
}

export class BlobReadiness {
  readonly #shards: readonly ShardBlobs[];
  readonly #peers: Pick<Peers, "conditionOf">;
  readonly #clock: Clock;
  readonly #questions = new Map<number, Question>();

  constructor(shards: readonly ShardBlobs[], peers: Pick<Peers, "conditionOf">, clock: Clock) {
    this.#shards = shards;
    this.#peers = peers;
    this.#clock = clock;
  }

  /** True until the node has said otherwise of a state that has all that this one has now. */
  lacksBlobs(nodeId: number): boolean {
    if (!this.#shards.some(({ usesBlobs }) => usesBlobs)) return false;
    const condition = this.#peers.conditionOf(nodeId);
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
    const indexes = this.#shards.map(({ appliedIndex }) => appliedIndex);
    const question = { askedMs: nowMs, indexes };
    this.#questions.set(nodeId, question);
    return question;
  }
}

export function blobsOf({ replica }: ShardCore): ShardBlobs {
  return {
    get appliedIndex() {
      return replica.appliedIndex;
    },
    get usesBlobs() {
      for (const _ of replica.engine.state.records("blobs").entries()) return true;
      return false;
    },
  };
}
