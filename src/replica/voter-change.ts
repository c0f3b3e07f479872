/**
 * When a leader lets a change of the voters count.
 *
 * Members count from when their change is applied, on each node by itself. Were a leader the only one to know that the change
 * is decided, and then lost for good, those who are left could be a majority of the new voters and yet wait for it for ever,
 * each taking the old voters for the present ones. So a leader applies such a change only once a majority of the new voters has
 * stored an entry that was appended after the change was committed: with that witness each of them has stored the commit index
 * as well. Any one of these tells the others when it campaigns (`raft/election.ts`).
 *
 * This concerns changes of an even number of voters only. From two to three, or from four to three, every majority of the old
 * voters holds one of the new: it is there, or nothing goes on anyway. From three to four, or to two, a majority of the new
 * ones may be away while that of the old ones is not; but each of the new holds one of the old, so nobody has to know.
 *
 * Consensus lets a committed entry be applied at any later time, so this delays a change and does nothing else. Whoever
 * follows applies it at once.
 */
import { votersAfter } from "../raft/membership.ts";
import { type Entry, emptyData, type Index, type NodeId, type Term } from "../raft/message.ts";
import type { RaftNode } from "../raft/node.ts";
import { majorityCommitted } from "../raft/quorum.ts";

/** The entry that was appended for a change that waits. */
interface Witness {
  readonly change: Index;
  readonly term: Term;
  readonly index: Index;
}

export class VoterChange {
  readonly #node: RaftNode;
  #witness: Witness | undefined;

  constructor(node: RaftNode) {
    this.#node = node;
  }

  /** May this committed change be applied now? Appends its witness if there is none yet. */
  mayApply(change: Entry): boolean {
    const { role, tracker } = this.#node.state;
    if (role !== "leader") return true;
    const before = tracker.membership.voters;
    const after = votersAfter(this.#node.state, change);
    // Voters change one at a time here, so no change has two halves.
    if (after.outgoing.length > 0 || !needsWitness(before.incoming, after.incoming)) return true;
    const witness = this.#witnessOf(change);
    if (witness === undefined) return false;
    return majorityCommitted(after.incoming, (id) => tracker.get(id)?.match) >= witness.index;
  }

  /** Undefined while leadership is handed over, when nothing is appended: then somebody else leads, or it is tried again. */
  #witnessOf({ index: change }: Entry): Witness | undefined {
    const { term } = this.#node.state;
    if (this.#witness?.change === change && this.#witness.term === term) return this.#witness;
    const result = this.#node.propose([emptyData]);
    this.#witness = result.kind === "appended" ? { change, term, index: result.last } : undefined;
    return this.#witness;
  }
}

function needsWitness(before: readonly NodeId[], after: readonly NodeId[]): boolean {
  return before.length % 2 === 0 && before.join() !== after.join();
}
