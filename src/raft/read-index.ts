/**
 * Linearizable reads without writing to the log.
 *
 * The leader notes its commit index when a read arrives and must then learn that it was still
 * leader at that moment. It sends heartbeats that carry a position in its own read queue and counts
 * a read as confirmed once a quorum has answered with that position or a later one. Positions only
 * grow within a term and are chosen by the leader, so that a delayed answer can never confirm a read
 * that arrived after it was sent; a token chosen by the reader could repeat and would.
 */
import type { Index, Message, NodeId } from "./message.ts";
import { type JointVoters, jointCommitted } from "./quorum.ts";

export interface PendingRead {
  readonly request: Message;
  /** The commit index when the read arrived. */
  readonly index: Index;
}

export class ReadQueue {
  #pending: PendingRead[] = [];
  /** Reads confirmed so far in this term: the position before the first pending one. */
  #confirmed = 0;
  readonly #acked = new Map<NodeId, number>();

  get length(): number {
    return this.#pending.length;
  }

  /** The position that confirms every pending read, or 0 when there is none. */
  get position(): number {
    return this.#pending.length === 0 ? 0 : this.#confirmed + this.#pending.length;
  }

  add(read: PendingRead): void {
    this.#pending.push(read);
  }

  acknowledge(from: NodeId, position: number): void {
    this.#acked.set(from, Math.max(this.#acked.get(from) ?? 0, position));
  }

  /** Takes the reads that a quorum has confirmed, oldest first. */
  takeConfirmed(voters: JointVoters): readonly PendingRead[] {
    const position = jointCommitted(voters, (id) => this.#acked.get(id));
    const count = position - this.#confirmed;
    if (count <= 0) return [];
    this.#confirmed = position;
    return this.#pending.splice(0, count);
  }
}
