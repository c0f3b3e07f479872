/**
 * Everything one member of one group knows, with the two operations that touch most of it: sending
 * and starting over in a role. What happens in which role is written in the chapters beside this
 * file (election, replication, membership, ...), as functions over this object.
 *
 * Outgoing messages wait in two lists. `messages` may leave at once. `afterAppend` holds votes and
 * acknowledgements, which promise something about this disk: they may leave only when everything
 * that was unstable when they were written is durable. Answers of this node to itself (its vote for
 * itself, the acknowledgement of its own entries) go the same way, so a leader never counts itself
 * before its disk has the entry, and yet commits on the disks of others before that.
 */
import { fail } from "../base/assert.ts";
import type { RaftConfig } from "./config.ts";
import { RaftLog } from "./log.ts";
import {
  createMessage,
  type HardState,
  type Index,
  type Message,
  type MessageType,
  type NodeId,
  none,
  type ReadState,
  type Role,
  type SoftState,
  type Term,
} from "./message.ts";
import { Progress } from "./progress.ts";
import { ReadQueue } from "./read-index.ts";
import { Tracker } from "./tracker.ts";

/** Why an input had no effect. The caller may tell its client that it certainly was not done. */
export type DropReason =
  | "noLeader"
  | "notForwarding"
  | "transferring"
  | "notMember"
  | "tooManyUncommittedBytes"
  | "tooManyReads"
  | "localMessage"
  | "unknownPeer"
  | "malformed";

export type StepResult =
  | { readonly kind: "ok" }
  | { readonly kind: "dropped"; readonly reason: DropReason };

export const ok: StepResult = { kind: "ok" };

export function dropped(reason: DropReason): StepResult {
  return { kind: "dropped", reason };
}

type Writable<T> = { -readonly [Key in keyof T]: T[Key] };

/** Node ids appear in hexadecimal in log lines. */
export function hex(id: NodeId): string {
  return id.toString(16);
}

const voteTypes: ReadonlySet<MessageType> = new Set<MessageType>([
  "MsgVote",
  "MsgVoteResp",
  "MsgPreVote",
  "MsgPreVoteResp",
]);

export class RaftState {
  readonly config: RaftConfig;
  readonly id: NodeId;
  term: Term = 0;
  /** Invariant: within one term it changes at most once, from nobody to somebody. */
  vote: NodeId = none;
  role: Role = "follower";
  leader: NodeId = none;
  /** The node that leadership is being handed to; no proposal is accepted meanwhile. */
  transferee: NodeId = none;
  /** In this term somebody was told to campaign; that message may still be on its way. */
  handedOver = false;
  readonly log: RaftLog;
  readonly tracker: Tracker;
  reads = new ReadQueue();
  /** Reads that arrived before the first commit of this leader's term. */
  earlyReads: Message[] = [];
  readStates: ReadState[] = [];
  messages: Message[] = [];
  afterAppend: Message[] = [];
  /** The membership is that after this entry. Changes up to it are part of it already. */
  confIndex: Index = 0;
  /** No membership change may be proposed while applied is below this index. */
  pendingConfIndex: Index = 0;
  /** Payload bytes proposed and not applied. An estimate from below; kept by the leader only. */
  uncommittedBytes = 0;
  /** Ticks since the last sign of a leader, or, on a leader, since the last quorum check. */
  electionElapsed = 0;
  heartbeatElapsed = 0;
  randomizedElectionTicks = 0;
  /** Ticks since the start, from 1. */
  now = 1;
  /** Before this tick no vote is given: who answered a lease before a crash still stands by it. */
  voteFrom = 0;

  constructor(config: RaftConfig) {
    this.config = config;
    this.id = config.id;
    this.log = new RaftLog(config);
    this.tracker = new Tracker(config.inflightMessagesMax, config.inflightBytesMax);
  }

  softState(): SoftState {
    return { leader: this.leader, role: this.role };
  }

  hardState(): HardState {
    return { term: this.term, vote: this.vote, commit: this.log.committed };
  }

  /** Only a voter whose state is not about to be replaced by a snapshot may campaign. */
  get isPromotable(): boolean {
    const own = this.tracker.get(this.id);
    return own !== undefined && !own.isLearner && this.log.unstable.snapshot === undefined;
  }

  get hasCommittedInTerm(): boolean {
    return this.log.termOrZero(this.log.committed) === this.term;
  }

  send(message: Message): void {
    const from = message.from === none ? this.id : message.from;
    this.#queue({ ...message, from, term: this.#termOf(message.type, message.term) });
  }

  sendTo(type: MessageType, to: NodeId, fields: Parameters<typeof createMessage>[2] = {}): void {
    // Finished before anybody sees it: a second copy of each message showed in the profile.
    const message: Writable<Message> = createMessage(type, to, fields);
    if (message.from === none) message.from = this.id;
    message.term = this.#termOf(type, message.term);
    this.#queue(message);
  }

  #termOf(type: MessageType, term: Term): Term {
    if (voteTypes.has(type)) {
      if (term === 0) fail(`${type} says for which term it is`);
      return term;
    }
    if (term !== 0) fail(`${type} gets its term when it is sent, not before`);
    // Forwarded requests are not bound to the term of the node that passes them on.
    return type === "MsgProp" || type === "MsgReadIndex" ? term : this.term;
  }

  #queue(message: Message): void {
    const { type } = message;
    if (type === "MsgAppResp" || type === "MsgVoteResp" || type === "MsgPreVoteResp") {
      this.afterAppend.push(message);
      return;
    }
    if (message.to === this.id) fail(`${type} is not sent to the sender itself`);
    this.messages.push(message);
  }

  /** Forgets everything that belonged to the role and, if the term is new, to the term. */
  reset(term: Term): void {
    if (this.term !== term) {
      this.term = term;
      this.vote = none;
    }
    this.leader = none;
    this.electionElapsed = 0;
    this.heartbeatElapsed = 0;
    this.drawElectionTicks();
    this.transferee = none;
    this.handedOver = false;
    this.tracker.resetVotes();
    const last = this.log.lastIndex();
    const progress = new Map<NodeId, Progress>();
    this.tracker.visit((id, old) => {
      const fresh = new Progress(last + 1, this.tracker.createInflights(), old.isLearner);
      if (id === this.id) fresh.match = last;
      progress.set(id, fresh);
    });
    this.tracker.replaceProgress(progress);
    this.pendingConfIndex = 0;
    this.uncommittedBytes = 0;
    this.reads = new ReadQueue();
    this.earlyReads = [];
  }

  /** From T to 2T-1, so that two nodes seldom campaign at once. */
  drawElectionTicks(): void {
    const { electionTicks, random } = this.config;
    this.randomizedElectionTicks = electionTicks + (random.uint32() % electionTicks);
  }
}
