/**
 * The active membership, what is known of each member's log, and the votes of the running campaign.
 *
 * Invariants of a configuration: learners are in neither half of the voters; a node is staged in
 * `learnersNext` only while it still votes in the outgoing half; `learnersNext` and `autoLeave` are
 * empty outside a joint configuration. Members are always visited in the order of their ids, because
 * the order of messages is part of the behaviour.
 */
import { must } from "../base/assert.ts";
import { Inflights } from "./inflights.ts";
import type { ConfState, Index, NodeId } from "./message.ts";
import type { Progress } from "./progress.ts";
import {
  describeIds,
  describeVoters,
  type JointVoters,
  jointCommitted,
  jointVote,
  sortedIds,
  type VoteOutcome,
} from "./quorum.ts";

export interface Membership {
  readonly voters: JointVoters;
  readonly learners: readonly NodeId[];
  readonly learnersNext: readonly NodeId[];
  readonly autoLeave: boolean;
}

export type ProgressMap = ReadonlyMap<NodeId, Progress>;

export const emptyMembership: Membership = {
  voters: { incoming: [], outgoing: [] },
  learners: [],
  learnersNext: [],
  autoLeave: false,
};

export function isJoint(membership: Membership): boolean {
  return membership.voters.outgoing.length > 0;
}

export function describeMembership(membership: Membership): string {
  let text = `voters=${describeVoters(membership.voters)}`;
  if (membership.learners.length > 0) text += ` learners=${describeIds(membership.learners)}`;
  if (membership.learnersNext.length > 0) {
    text += ` learners_next=${describeIds(membership.learnersNext)}`;
  }
  if (membership.autoLeave) text += " autoleave";
  return text;
}

/** One line per member, in the order of ids. */
export function describeProgress(progress: ProgressMap): string {
  return sortedIds(progress.keys())
    .map((id) => `${id}: ${progress.get(id)}\n`)
    .join("");
}

export class Tracker {
  readonly inflightMessagesMax: number;
  readonly inflightBytesMax: number;
  #membership: Membership = emptyMembership;
  #progress: ProgressMap = new Map();
  #ids: readonly NodeId[] = [];
  #votes = new Map<NodeId, boolean>();

  constructor(inflightMessagesMax: number, inflightBytesMax: number) {
    this.inflightMessagesMax = inflightMessagesMax;
    this.inflightBytesMax = inflightBytesMax;
  }

  get membership(): Membership {
    return this.#membership;
  }

  get progress(): ProgressMap {
    return this.#progress;
  }

  /** Ids of all members, voters and learners, sorted. */
  get ids(): readonly NodeId[] {
    return this.#ids;
  }

  get(id: NodeId): Progress | undefined {
    return this.#progress.get(id);
  }

  install(membership: Membership, progress: ProgressMap): void {
    this.#membership = membership;
    this.replaceProgress(progress);
  }

  replaceProgress(progress: ProgressMap): void {
    this.#progress = progress;
    this.#ids = sortedIds(progress.keys());
  }

  createInflights(): Inflights {
    return new Inflights(this.inflightMessagesMax, this.inflightBytesMax);
  }

  visit(action: (id: NodeId, progress: Progress) => void): void {
    const progress = this.#progress;
    for (const id of this.#ids) action(id, must(progress.get(id), "ids are the keys of progress"));
  }

  /** Whether this node decides alone. A removed leader of a group of one does not. */
  isOnlyVoter(id: NodeId): boolean {
    const { incoming, outgoing } = this.#membership.voters;
    return incoming.length === 1 && incoming[0] === id && outgoing.length === 0;
  }

  committed(): Index {
    return jointCommitted(this.#membership.voters, (id) => this.#progress.get(id)?.match);
  }

  /** Whether enough voters were heard from since the last check to still form a quorum. */
  quorumActive(): boolean {
    const active = new Map<NodeId, boolean>();
    this.visit((id, progress) => {
      if (!progress.isLearner) active.set(id, progress.recentActive);
    });
    return jointVote(this.#membership.voters, active) === "VoteWon";
  }

  resetVotes(): void {
    this.#votes = new Map();
  }

  /** The first answer of a node counts; a repeated or changed one does not. */
  recordVote(id: NodeId, granted: boolean): void {
    if (!this.#votes.has(id)) this.#votes.set(id, granted);
  }

  hasVoted(id: NodeId): boolean {
    return this.#votes.has(id);
  }

  tallyVotes(): { granted: number; rejected: number; outcome: VoteOutcome } {
    let granted = 0;
    let rejected = 0;
    this.visit((id, progress) => {
      const vote = this.#votes.get(id);
      if (progress.isLearner || vote === undefined) return;
      if (vote) granted += 1;
      else rejected += 1;
    });
    return { granted, rejected, outcome: jointVote(this.#membership.voters, this.#votes) };
  }

  confState(): ConfState {
    const { voters, learners, learnersNext, autoLeave } = this.#membership;
    return {
      voters: voters.incoming,
      votersOutgoing: voters.outgoing,
      learners,
      learnersNext,
      autoLeave,
    };
  }
}
