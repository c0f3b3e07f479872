/**
 * One member of one group as its host drives it: inputs go in, `takeReady` tells what to do.
 *
 * Writes are asynchronous by design. The host may take further work while earlier writes are still
 * under way; the order of writes and the rule "no promise before the disk has it" are part of the
 * work itself (see `ready.ts`). A host that wants to do one thing after another uses `SyncNode`.
 */
import { assert } from "../base/assert.ts";
import { appendedMessage, appliedMessage } from "./completion.ts";
import { type ConfChange, encodeConfChange } from "./conf-change.ts";
import type { RaftOptions } from "./config.ts";
import { InvariantWatch } from "./invariants.ts";
import { proposeEntries } from "./leader.ts";
import { applyConfChange } from "./membership.ts";
import {
  type ConfState,
  createMessage,
  type Entry,
  equalHardStates,
  type HardState,
  type Index,
  isLocalThread,
  isLocalType,
  isResponseType,
  isWellFormed,
  type Message,
  type NodeId,
  none,
  type SoftState,
  type Term,
} from "./message.ts";
import { createRaft, step, tick } from "./raft.ts";
import type { AppendWork, ApplyWork, Ready } from "./ready.ts";
import type { NewEntry } from "./replication.ts";
import { type DropReason, dropped, type RaftState, type StepResult } from "./state.ts";
import { type RaftStatus, statusOf } from "./status.ts";

export type ProposeResult =
  /** In the leader's log at these positions. They are committed if that term is still there. */
  | {
      readonly kind: "appended";
      readonly term: Term;
      readonly first: Index;
      readonly last: Index;
      readonly refused: string | undefined;
    }
  /** Passed on to the leader. What became of it cannot be known here. */
  | { readonly kind: "forwarded"; readonly leader: NodeId }
  | { readonly kind: "dropped"; readonly reason: DropReason; readonly leader: NodeId };

export class RaftNode {
  readonly #raft: RaftState;
  readonly #watch: InvariantWatch;
  #soft: SoftState;
  #hard: HardState;
  /** Work that was handed out and not reported, oldest first. */
  #appends: AppendWork[] = [];
  #applies: ApplyWork[] = [];

  constructor(options: RaftOptions) {
    this.#raft = createRaft(options);
    this.#watch = new InvariantWatch(this.#raft);
    this.#soft = this.#raft.softState();
    this.#hard = this.#raft.hardState();
  }

  status(): RaftStatus {
    return statusOf(this.#raft);
  }

  /** The state itself, to look at. Only this class changes it. */
  get state(): RaftState {
    return this.#raft;
  }

  tick(): void {
    tick(this.#raft);
    this.#watch.check();
  }

  /** Takes a message from a peer. */
  step(message: Message): StepResult {
    const isOwn = isLocalThread(message.from);
    if (isLocalType(message.type) && !isOwn) return dropped("localMessage");
    const isUnknown = !isOwn && this.#raft.tracker.get(message.from) === undefined;
    if (isResponseType(message.type) && isUnknown) return dropped("unknownPeer");
    if (!isOwn && !isWellFormed(message)) return dropped("malformed");
    return this.#step(message);
  }

  /** Campaigns now. Does nothing on a leader. */
  campaign(): void {
    this.#step(createMessage("MsgHup", none));
  }

  propose(batch: readonly Uint8Array[]): ProposeResult {
    return this.#propose(batch.map((data) => ({ type: "EntryNormal", data })));
  }

  /** `EntryConfChange` is for a change of one node in one step; any other is `EntryConfChangeV2`. */
  proposeConfChange(
    change: ConfChange,
    type: "EntryConfChange" | "EntryConfChangeV2" = "EntryConfChangeV2",
  ): ProposeResult {
    return this.#propose([{ type, data: encodeConfChange(change) }]);
  }

  /** Asks for a read state with this token. It may never come: ask again after a time-out. */
  readIndex(token: number): StepResult {
    return this.#step(createMessage("MsgReadIndex", none, { token }));
  }

  transferLeadership(to: NodeId): void {
    this.#step(createMessage("MsgTransferLeader", none, { from: to }));
  }

  /** Lets a follower vote at once, for a host that knows the leader to be gone. */
  forgetLeader(): void {
    this.#step(createMessage("MsgForgetLeader", none));
  }

  /** The last message to this member was probably lost. */
  reportUnreachable(id: NodeId): void {
    this.#step(createMessage("MsgUnreachable", none, { from: id }));
  }

  /** The snapshot sent to this member was delivered, or was not. */
  reportSnapshot(id: NodeId, delivered: boolean): void {
    this.#step(createMessage("MsgSnapStatus", none, { from: id, reject: !delivered }));
  }

  hasReady(): boolean {
    const raft = this.#raft;
    // Asked after every input, so the states are compared as they stand, without objects made of them.
    return (
      raft.messages.length > 0 ||
      raft.afterAppend.length > 0 ||
      !this.#equalsSoft(raft) ||
      raft.term !== this.#hard.term ||
      raft.vote !== this.#hard.vote ||
      raft.log.committed !== this.#hard.commit ||
      raft.log.unstable.nextSnapshot() !== undefined ||
      raft.log.unstable.hasNextEntries ||
      raft.log.hasNextCommitted(raft.config.applyUnstable) ||
      raft.readStates.length > 0
    );
  }

  takeReady(): Ready {
    const raft = this.#raft;
    const { applyUnstable } = raft.config;
    const soft = raft.softState();
    const committed = raft.log.nextCommitted(applyUnstable);
    const ready: Ready = {
      soft: this.#equalsSoft(soft) ? undefined : soft,
      reads: raft.readStates,
      append: this.#takeAppend(),
      apply: committed.length > 0 ? { entries: committed } : undefined,
      messages: raft.messages,
    };
    this.#soft = soft;
    raft.readStates = [];
    raft.messages = [];
    raft.log.acceptApplying(committed, applyUnstable);
    if (ready.append !== undefined) this.#appends.push(ready.append);
    if (ready.apply !== undefined) this.#applies.push(ready.apply);
    this.#watch.check();
    return ready;
  }

  /** A write is durable, and so is every earlier one. Returns what may now be sent to peers. */
  appended(work: AppendWork): readonly Message[] {
    assert(work === this.#appends.shift(), "writes are reported once, in the order of handing out");
    // What was handed out for applying before the snapshot is part of it.
    if (work.snapshot !== undefined) this.#applies = [];
    const released: Message[] = [];
    for (const message of work.after) {
      if (message.to === this.#raft.id) this.#step(message);
      else released.push(message);
    }
    const done = appendedMessage(this.#raft.id, work);
    if (done !== undefined) this.#step(done);
    return released;
  }

  /**
   * To be called for each entry with a membership change when it is applied, before `applied` for
   * the batch. The result belongs into the next snapshot. Undefined means that a snapshot is about
   * to replace the state: leave out this entry and everything else handed out for applying.
   */
  applyConfChange(entry: Entry): ConfState | undefined {
    const conf = applyConfChange(this.#raft, entry);
    this.#watch.check();
    return conf;
  }

  applied(work: ApplyWork): void {
    if (work !== this.#applies[0]) {
      const last = work.entries.at(-1)?.index ?? 0;
      const isCovered = last <= this.#raft.log.applied;
      assert(isCovered, "entries are reported as applied once, in the order of handing out");
      return;
    }
    this.#applies.shift();
    this.#step(appliedMessage(this.#raft.id, work.entries));
  }

  #step(message: Message): StepResult {
    const result = step(this.#raft, message);
    this.#watch.check();
    return result;
  }

  #propose(batch: readonly NewEntry[]): ProposeResult {
    const raft = this.#raft;
    assert(batch.length > 0, "a proposal has at least one entry");
    if (raft.role === "leader") {
      const first = raft.log.lastIndex() + 1;
      const proposal = proposeEntries(raft, batch);
      this.#watch.check();
      if (proposal.kind === "dropped") return { ...proposal, leader: raft.leader };
      const last = first + batch.length - 1;
      return { kind: "appended", term: raft.term, first, last, refused: proposal.refused };
    }
    const entries = batch.map(({ type, data }): Entry => ({ term: 0, index: 0, type, data }));
    const result = this.#step(createMessage("MsgProp", none, { from: raft.id, entries }));
    if (result.kind === "dropped") return { ...result, leader: raft.leader };
    return { kind: "forwarded", leader: raft.leader };
  }

  #takeAppend(): AppendWork | undefined {
    const raft = this.#raft;
    const { unstable } = raft.log;
    const entries = unstable.nextEntries();
    const snapshot = unstable.nextSnapshot();
    const after = raft.afterAppend;
    const hard = raft.hardState();
    const isSameHard = equalHardStates(hard, this.#hard);
    const isIdle = entries.length === 0 && snapshot === undefined && after.length === 0;
    if (isIdle && isSameHard) return undefined;
    const newTermOrVote = hard.term !== this.#hard.term || hard.vote !== this.#hard.vote;
    // Not only for new entries: a completion that was ignored because the term had moved on is made
    // good by the next one, which vouches for the whole unstable log.
    const stable = unstable.length > 0 ? raft.log.lastId() : undefined;
    raft.afterAppend = [];
    unstable.acceptInProgress();
    this.#hard = hard;
    return {
      term: raft.term,
      hard: isSameHard ? undefined : hard,
      entries,
      snapshot,
      newTermOrVote,
      stable,
      after,
    };
  }

  #equalsSoft(soft: SoftState): boolean {
    return soft.leader === this.#soft.leader && soft.role === this.#soft.role;
  }
}
