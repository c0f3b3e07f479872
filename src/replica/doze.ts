/**
 * A group of many in which nothing happens dozes: its clock stands still, and a heartbeat comes every two seconds instead of
 * ten a second.
 *
 *   awake --leader: idle for a while, every member in touch and level--> dozing, says so with every heartbeat
 *   awake --follower: told so by its leader, and as far as it is-------> dozing
 *   dozing --anything else happens, or what is due does not come-------> awake
 *
 * Safety does not depend on clocks, so this can only cost time, and little: a follower that hears nothing for five seconds, or
 * is told that its leader cannot be reached, wakes and counts towards an election as ever; a leader that has no answer from some
 * member wakes, and steps down if it has lost the majority.
 */
import { createMessage, type Message, type NodeId, none } from "../raft/message.ts";
import type { RaftState } from "../raft/state.ts";

export interface DozeTicks {
  /** Without any work, after which a leader dozes. */
  readonly idle: number;
  /** Between two heartbeats of a leader that dozes. */
  readonly beat: number;
  /** How long a follower dozes without a word; more than two heartbeats. */
  readonly patience: number;
}

/** Of 50 ms: three, two and five seconds. */
export const defaultDoze: DozeTicks = { idle: 60, beat: 40, patience: 100 };

export class Doze {
  readonly #raft: RaftState;
  readonly #limits: DozeTicks;
  readonly #send: (to: NodeId, messages: readonly Message[]) => void;
  #role: "leader" | "follower" | undefined;
  /** Since it began, or since the last word of the leader. */
  #ticks = 0;
  #idleTicks = 0;
  #lastIndex = 0;
  /** Members that answered the last heartbeat. */
  readonly #answered = new Set<NodeId>();

  constructor(
    raft: RaftState,
    limits: DozeTicks,
    send: (to: NodeId, messages: readonly Message[]) => void,
  ) {
    this.#raft = raft;
    this.#limits = limits;
    this.#send = send;
  }

  get isDozing(): boolean {
    return this.#role !== undefined;
  }

  wake(): void {
    this.#role = undefined;
    this.#idleTicks = 0;
  }

  /** With every tick. `isQuiet`: the host of the group waits for nothing. True when the clock of the core is to stand still. */
  tick(isQuiet: boolean): boolean {
    this.#ticks++;
    if (this.#role === "leader") this.#tickLeader(isQuiet);
    else if (this.#role === "follower") this.#tickFollower();
    else this.#tickAwake(isQuiet);
    return this.#role !== undefined;
  }

  /** After the core has taken a message. */
  received(message: Message): void {
    if (message.type === "MsgHeartbeat" && message.force) {
      if (this.#agrees(message)) this.#begin("follower");
      else this.wake();
      return;
    }
    const isAnswer = message.type === "MsgHeartbeatResp" && message.term === this.#raft.term;
    if (this.#role === "leader" && isAnswer) this.#answered.add(message.from);
    else if (this.#role !== undefined) this.wake();
  }

  #tickLeader(isQuiet: boolean): void {
    if (!isQuiet || !this.#isLevel()) this.wake();
    else if (this.#ticks % this.#limits.beat === 0) {
      if (this.#others().every((id) => this.#answered.has(id))) this.#beat();
      else this.wake();
    }
  }

  #tickFollower(): void {
    if (this.#ticks >= this.#limits.patience || this.#raft.role !== "follower") this.wake();
  }

  #tickAwake(isQuiet: boolean): void {
    const lastIndex = this.#raft.log.lastIndex();
    const isIdle = isQuiet && lastIndex === this.#lastIndex;
    this.#lastIndex = lastIndex;
    this.#idleTicks = isIdle ? this.#idleTicks + 1 : 0;
    // Members count as out of touch for a moment after each check of the quorum: that alone is no work.
    if (this.#idleTicks < this.#limits.idle || !this.#isLevel()) return;
    this.#begin("leader");
    this.#beat();
  }

  #begin(role: "leader" | "follower"): void {
    this.#role = role;
    this.#ticks = 0;
  }

  /** Leads, with every member in touch and holding all that there is. */
  #isLevel(): boolean {
    const { role, log, tracker, transferee } = this.#raft;
    const lastIndex = log.lastIndex();
    if (role !== "leader" || transferee !== none || log.committed !== lastIndex) return false;
    return this.#others().every((id) => {
      const progress = tracker.get(id);
      return (
        progress?.recentActive === true &&
        progress.state === "StateReplicate" &&
        progress.match === lastIndex
      );
    });
  }

  #others(): readonly NodeId[] {
    return this.#raft.tracker.ids.filter((id) => id !== this.#raft.id);
  }

  #beat(): void {
    const { id, term, log } = this.#raft;
    this.#answered.clear();
    for (const to of this.#others()) {
      const fields = { from: id, term, commit: log.committed, index: log.lastIndex(), force: true };
      this.#send(to, [createMessage("MsgHeartbeat", to, fields)]);
    }
  }

  /** A follower that is behind its leader, or follows another one, must not stop counting. */
  #agrees({ from, term, index }: Message): boolean {
    const raft = this.#raft;
    const isOwnLeader = raft.role === "follower" && raft.leader === from && raft.term === term;
    return isOwnLeader && raft.log.lastIndex() === index && raft.log.committed === index;
  }
}
