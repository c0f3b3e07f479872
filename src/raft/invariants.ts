/**
 * What must hold after every input, whatever happened before.
 *
 * `InvariantWatch` is always on: it compares a handful of numbers with those after the previous
 * input and costs nanoseconds. `findInvariantProblem` reads the whole log and is for tests. A
 * violation is a bug or a damaged disk; in both cases going on would spread it to other members.
 */
import { AssertionError } from "../base/assert.ts";
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
    const { term, vote, log, role } = this.#raft;
    const { committed, applying, applied } = log;
    if (term < this.#term) this.#fail(`the term fell from ${this.#term} to ${term}`);
    if (term === this.#term && this.#vote !== none && vote !== this.#vote) {
      this.#fail(`the vote of term ${term} went from ${this.#vote} to ${vote}`);
    }
    if (committed < this.#committed) {
      this.#fail(`the commit index fell from ${this.#committed} to ${committed}`);
    }
    if (applied < this.#applied) {
      this.#fail(`the applied index fell from ${this.#applied} to ${applied}`);
    }
    if (applied > applying && log.unstable.snapshot === undefined) {
      this.#fail(`applied ${applied}, but was to apply ${applying}`);
    }
    if (applying > committed) this.#fail(`applies ${applying}, committed is ${committed}`);
    const last = log.lastIndex();
    if (committed > last) this.#fail(`committed ${committed} of ${last} entries`);
    // The sum is exact only if each of them is.
    if (!Number.isSafeInteger(term + last + committed + applying + applied)) {
      this.#fail(`one of ${term}, ${last}, ${committed}, ${applying}, ${applied} is not exact`);
    }
    if (role === "leader") this.#checkLeader(last);
    this.#term = term;
    this.#vote = vote;
    this.#committed = committed;
    this.#applied = applied;
  }

  #checkLeader(last: Index): void {
    const { id, leader, tracker, term } = this.#raft;
    if (leader !== id) this.#fail(`leads and follows ${leader}`);
    if (term === 0) this.#fail("leads term 0");
    for (const member of tracker.ids) {
      const progress = tracker.get(member);
      if (progress === undefined) continue;
      const { match, next } = progress;
      if (match >= next) this.#fail(`sends ${next} to member ${member}, which has ${match}`);
      if (match > last) this.#fail(`member ${member} has ${match} of ${last} entries`);
    }
  }

  /** The text is made only here: the check runs after every input. */
  #fail(problem: string): never {
    throw new AssertionError(`node ${this.#raft.id}: ${problem}`);
  }
}

/**
 * The expensive checks: the order of the log, the shape of the membership, the messages waiting. Who knows that nothing
 * before an index has changed since the last call leaves that out.
 */
export function findInvariantProblem(raft: RaftState, fromIndex = 0): string | undefined {
  const { log, tracker } = raft;
  const first = Math.max(log.firstIndex(), Math.min(fromIndex, log.lastIndex() + 1));
  let term = log.termOrZero(first - 1);
  let index = first - 1;
  for (const entry of log.allEntries(first)) {
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
