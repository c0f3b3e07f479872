/**
 * What must hold after every input, whatever happened before.
 *
 * `InvariantWatch` is always on: it compares a handful of numbers with those after the previous
 * input and costs nanoseconds. `findInvariantProblem` reads the whole log and is for tests. A
 * violation is a bug or a damaged disk; in both cases going on would spread it to other members.
 */
import { assert } from "../base/assert.ts";
import { layoutProblem } from "./changer.ts";
import { type Index, type NodeId, none, type Term } from "./message.ts";
import type { RaftState } from "./state.ts";

export class InvariantWatch {
  readonly #raft: RaftState;
  #term: Term = 0;
  #vote: NodeId = none;
  #committed: Index = 0;
  #applied: Index = 0;

  constructor(raft: RaftState) {
    this.#raft = raft;
    this.check();
  }

  check(): void {
    const { id, term, vote, log, role } = this.#raft;
    const { committed, applying, applied } = log;
    assert(term >= this.#term, `node ${id}: the term never falls (${this.#term} to ${term})`);
    if (term === this.#term && this.#vote !== none) {
      assert(vote === this.#vote, `node ${id}: the vote of term ${term} stays (${this.#vote})`);
    }
    assert(committed >= this.#committed, `node ${id}: the commit index never falls`);
    assert(applied >= this.#applied, `node ${id}: the applied index never falls`);
    assert(
      applied <= applying || log.unstable.snapshot !== undefined,
      `node ${id}: applied ${applied} <= applying ${applying}`,
    );
    assert(applying <= committed, `node ${id}: applying ${applying} <= committed ${committed}`);
    const last = log.lastIndex();
    assert(committed <= last, `node ${id}: committed ${committed} <= last ${last}`);
    assert(Number.isSafeInteger(term) && Number.isSafeInteger(last), "terms and indexes are exact");
    if (role === "leader") this.#checkLeader(last);
    this.#term = term;
    this.#vote = vote;
    this.#committed = committed;
    this.#applied = applied;
  }

  #checkLeader(last: Index): void {
    const { id, leader, tracker, term } = this.#raft;
    assert(leader === id, `node ${id}: a leader follows itself`);
    assert(term > 0, `node ${id}: nobody leads term 0`);
    for (const member of tracker.ids) {
      const progress = tracker.get(member);
      if (progress === undefined) continue;
      const { match, next } = progress;
      assert(match < next, `node ${id}: member ${member} has match ${match} < next ${next}`);
      assert(match <= last, `node ${id}: member ${member} matches ${match} of ${last} entries`);
    }
  }
}

/** The expensive checks: the order of the log, the shape of the membership, the messages waiting. */
export function findInvariantProblem(raft: RaftState): string | undefined {
  const { log, tracker } = raft;
  let term = 0;
  let index = log.firstIndex() - 1;
  for (const entry of log.allEntries()) {
    index += 1;
    if (entry.index !== index) return `entry ${entry.index} stands at position ${index}`;
    if (entry.term < term) return `the term falls at entry ${index}`;
    term = entry.term;
  }
  if (term > raft.term) return `an entry of term ${term} in term ${raft.term}`;
  const { offset, offsetInProgress, length } = log.unstable;
  if (offset > offsetInProgress || offsetInProgress > offset + length) {
    return `unstable log [${offset}, ${offset + length}) is in progress up to ${offsetInProgress}`;
  }
  for (const message of raft.messages) {
    if (message.to === raft.id) return `${message.type} would be sent to the sender`;
    if (message.type.endsWith("VoteResp") || message.type === "MsgAppResp") {
      return `${message.type} would leave before the disk has what it promises`;
    }
  }
  return layoutProblem({ membership: tracker.membership, progress: tracker.progress });
}
