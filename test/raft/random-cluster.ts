/**
 * A cluster of real nodes under chance: every step moves one message, one write, one clock or one
 * fault, chosen by a seeded generator. After each step the safety properties of the protocol are
 * checked against what was ever seen, so that a violation stops at the step that made it.
 *
 * Disks: a write counts when it completes. A crash loses everything handed out and not completed.
 * Network: one bag of messages, taken out in any order, lost and doubled. State machines persist
 * what they applied, and may so outlive the commit index in the log.
 */
import { assert, must } from "../../src/base/assert.ts";
import {
  type ConfChange,
  isConfChangeType,
  leaveJointChange,
  type NodeChange,
} from "../../src/raft/conf-change.ts";
import type { RaftOptions } from "../../src/raft/config.ts";
import { findInvariantProblem } from "../../src/raft/invariants.ts";
import { emptySnapshot } from "../../src/raft/memory-log.ts";
import {
  type Entry,
  emptyData,
  type Index,
  type Message,
  type NodeId,
  type Snapshot,
  type Term,
  unbounded,
} from "../../src/raft/message.ts";
import { RaftNode } from "../../src/raft/node.ts";
import { describeMembership, isJoint } from "../../src/raft/tracker.ts";
import { below, SeededRandom } from "../support/seeded-random.ts";
import { Host } from "./random-host.ts";
import { type Action, Mix } from "./random-mix.ts";

export interface ClusterOptions {
  readonly seed: number;
  readonly voters: number;
  /** Nodes that exist but start outside the group. */
  readonly spares: number;
  readonly membershipChanges: boolean;
  /** All clocks run at one speed, as leases require. */
  readonly lockstep?: boolean;
  readonly settings: Partial<RaftOptions>;
}

/** Messages beyond this are lost: a network has no memory without end. */
const messagesMax = 400;

export class RandomCluster {
  readonly hosts: Host[] = [];
  readonly #random: SeededRandom;
  readonly #options: ClusterOptions;
  readonly #mix: Mix;
  #messages: Message[] = [];
  /** Snapshots that arrived; their senders will hear of it later. */
  #delivered: Message[] = [];
  #cut = new Set<NodeId>();
  #proposed = 0;
  /** Every entry that any node ever held as committed. */
  readonly #committed = new Map<Index, Entry>();
  #committedMax = 0;
  readonly #leaders = new Map<Term, NodeId>();
  readonly #reads = new Map<number, Index>();
  readonly #checkedTo = new Map<NodeId, Index>();
  reads = 0;
  elections = 0;
  snapshots = 0;
  changes = 0;

  constructor(options: ClusterOptions) {
    this.#options = options;
    this.#random = new SeededRandom(options.seed);
    this.#mix = new Mix(options.seed);
    const voters = Array.from({ length: options.voters }, (_, position) => position + 1);
    const conf = { ...emptySnapshot.conf, voters };
    const start: Snapshot = { index: 2, term: 1, conf, data: emptyData };
    for (let id = 1; id <= options.voters + options.spares; id += 1) {
      this.hosts.push(new Host(id, id <= options.voters ? start : emptySnapshot));
    }
    for (const host of this.hosts) this.#start(host);
  }

  get committedMax(): Index {
    return this.#committedMax;
  }

  run(steps: number): void {
    for (let step = 0; step < steps; step += 1) this.#act();
  }

  /** Repairs everything and runs without faults until a fresh entry is applied by every member. */
  heal(): void {
    this.#cut.clear();
    for (const host of this.hosts) if (host.node === undefined) this.#start(host);
    for (let round = 0; round < 600; round += 1) {
      for (const host of this.hosts) {
        const state = host.node?.state;
        // A removed leader that was told to lead on is shut down by its host in the end.
        const isRemoved = state?.role === "leader" && state.tracker.get(host.id) === undefined;
        if (isRemoved) this.#crash(host);
        host.node?.tick();
      }
      this.#settle();
      const leader = this.#currentLeader();
      if (leader === undefined) continue;
      const node = must(leader.node, "a leader runs");
      const { membership } = node.state.tracker;
      if (isJoint(membership) && !membership.autoLeave) node.proposeConfChange(leaveJointChange);
      const result = node.propose([Uint8Array.of(255)]);
      if (result.kind !== "appended") continue;
      for (let tick = 0; tick < 4; tick += 1) {
        this.#settle();
        for (const host of this.hosts) host.node?.tick();
      }
      this.#settle();
      const members = node.state.tracker.ids;
      const isEverywhere = members.every((id) => this.#host(id).state.index >= result.last);
      if (isEverywhere && !isJoint(node.state.tracker.membership)) return;
    }
    const states = this.hosts.map(({ node, state }) => {
      if (node === undefined) return "stopped";
      const { role, term, leader, log, tracker } = node.state;
      const membership = describeMembership(tracker.membership);
      return `${role} term=${term} leader=${leader} ${membership} [${log}] state=${state.index}`;
    });
    throw new Error(`the healed cluster does not make progress\n${states.join("\n")}`);
  }

  #host(id: NodeId): Host {
    return must(this.hosts[id - 1], "ids are dense");
  }

  #start(host: Host): void {
    // The configuration comes from the state machine, the log from its own disk.
    if (host.state.index > 0) host.storage.saveSnapshot(host.state);
    host.node = new RaftNode({
      electionTicks: 8,
      heartbeatTicks: 2,
      ...this.#options.settings,
      id: host.id,
      storage: host.storage,
      random: new SeededRandom(this.#options.seed * 31 + host.id),
      applied: host.state.index,
    });
    this.#checkedTo.set(host.id, host.state.index);
  }

  #crash(host: Host): void {
    host.node = undefined;
    host.appends = [];
    host.applies = [];
  }

  #act(): void {
    const host = this.#host(below(this.#random, this.hosts.length) + 1);
    const { node } = host;
    if (node === undefined) {
      if (below(this.#random, 100) < this.#mix.restart) this.#start(host);
      return;
    }
    this.#perform(this.#mix.draw(), host, node);
    if (host.node !== undefined && below(this.#random, 4) !== 0) this.#takeReady(host);
    this.#check(host);
  }

  #perform(action: Action, host: Host, node: RaftNode): void {
    const someId = below(this.#random, this.hosts.length) + 1;
    const actions: Record<Action, () => void> = {
      tick: () => this.#tick(node),
      moveMessage: () => this.#moveMessage(),
      completeAppend: () => this.#completeAppend(host),
      completeApply: () => this.#completeApply(host),
      propose: () => this.#propose(host),
      read: () => this.#read(host),
      transfer: () => node.transferLeadership(someId),
      changeMembership: () => this.#changeMembership(host),
      compact: () => this.#compact(host),
      partition: () => this.#partition(),
      reportSnapshots: () => this.#reportSnapshots(),
      reportUnreachable: () => node.reportUnreachable(someId),
      forgetLeader: () => node.forgetLeader(),
      campaign: () => node.campaign(),
      crash: () => this.#crash(host),
    };
    actions[action]();
  }

  #tick(node: RaftNode): void {
    const running = this.#options.lockstep ? this.hosts.map((host) => host.node) : [node];
    for (const each of running) each?.tick();
  }

  #takeReady(host: Host): void {
    const { node } = host;
    if (node === undefined || !node.hasReady()) return;
    const ready = node.takeReady();
    if (ready.append !== undefined) host.appends.push(ready.append);
    if (ready.apply !== undefined) host.applies.push(ready.apply);
    this.#send(host.id, ready.messages);
    for (const { token, index } of ready.reads) {
      const atLeast = must(this.#reads.get(token), "every read was asked for");
      assert(index >= atLeast, `read ${token} got index ${index} after ${atLeast} was committed`);
      this.reads += 1;
    }
  }

  #send(from: NodeId, messages: readonly Message[]): void {
    for (const message of messages) {
      assert(message.to !== from, "nothing addressed to the sender leaves it");
      if (this.#messages.length < messagesMax) this.#messages.push(message);
      else this.#lose(message);
    }
  }

  #moveMessage(): void {
    if (this.#messages.length === 0) return;
    const { lost, doubled, inOrder } = this.#mix;
    const isFirst = below(this.#random, 100) < inOrder;
    const at = isFirst ? 0 : below(this.#random, this.#messages.length);
    const message = must(this.#messages[at], "the position is within the bag");
    if (below(this.#random, 100) >= doubled) this.#messages.splice(at, 1);
    const isCut = this.#cut.has(message.from) !== this.#cut.has(message.to);
    if (isCut || below(this.#random, 100) < lost) this.#lose(message);
    else this.#deliver(message);
  }

  /** Only the loss of a snapshot is noticed, because its sender waits for the end of the stream. */
  #lose(message: Message): void {
    if (message.type !== "MsgSnap") return;
    this.hosts[message.from - 1]?.node?.reportSnapshot(message.to, false);
  }

  #reportSnapshots(): void {
    for (const { from, to } of this.#delivered) this.#host(from).node?.reportSnapshot(to, true);
    this.#delivered = [];
  }

  #deliver(message: Message): void {
    const host = this.hosts[message.to - 1];
    if (host?.node === undefined) {
      this.#lose(message);
      return;
    }
    host.node.step(message);
    if (message.type === "MsgSnap") this.#delivered.push(message);
    this.#check(host);
  }

  #completeAppend(host: Host): void {
    const work = host.appends.shift();
    if (work === undefined) return;
    const node = must(host.node, "a crashed host has no work");
    if (work.hard !== undefined) host.storage.setHardState(work.hard);
    if (work.snapshot !== undefined) {
      // The state is replaced with the log; what was still to be applied is part of it.
      this.snapshots += 1;
      host.storage.installSnapshot(work.snapshot);
      host.state = work.snapshot;
      host.applies = [];
      this.#checkedTo.set(host.id, work.snapshot.index);
    }
    host.storage.append(work.entries);
    this.#send(host.id, node.appended(work));
  }

  #completeApply(host: Host): void {
    const work = host.applies.shift();
    if (work === undefined) return;
    const node = must(host.node, "a crashed host has no work");
    if (work.entries.every((entry) => this.#applyEntry(host, node, entry))) node.applied(work);
    else host.applies = [];
  }

  /** False if a snapshot is about to replace the state. */
  #applyEntry(host: Host, node: RaftNode, entry: Entry): boolean {
    assert(entry.index === host.state.index + 1, `node ${host.id} applies without gaps`);
    const known = must(this.#committed.get(entry.index), "only committed entries are applied");
    assert(known.term === entry.term, `entry ${entry.index} is applied as it was committed`);
    let { conf } = host.state;
    if (isConfChangeType(entry.type)) {
      const changed = node.applyConfChange(entry);
      if (changed === undefined) return false;
      conf = changed;
      this.changes += 1;
    }
    host.state = { index: entry.index, term: entry.term, conf, data: emptyData };
    return true;
  }

  #propose(host: Host): void {
    this.#proposed += 1;
    const count = 1 + below(this.#random, 3);
    const batch = Array.from({ length: count }, () => Uint8Array.of(this.#proposed % 256, 7));
    host.node?.propose(batch);
  }

  #read(host: Host): void {
    const token = this.#reads.size + 1;
    this.#reads.set(token, this.#committedMax);
    host.node?.readIndex(token);
  }

  #changeMembership(host: Host): void {
    if (!this.#options.membershipChanges || host.node?.state.role !== "leader") return;
    if (isJoint(host.node.state.tracker.membership)) {
      host.node.proposeConfChange(leaveJointChange);
      return;
    }
    const kinds: NodeChange["kind"][] = ["addVoter", "addVoter", "addLearner", "remove"];
    const changes = Array.from({ length: 1 + below(this.#random, 3) }, (): NodeChange => {
      const kind = must(
        kinds[below(this.#random, kinds.length)],
        "the position is within the list",
      );
      return { kind, id: 1 + below(this.#random, this.hosts.length) };
    });
    // A leader that must leave hands over first, as a careful host does (see stepDownOnRemoval).
    if (changes.some(({ kind, id }) => id === host.id && kind !== "addVoter")) {
      host.node.transferLeadership(below(this.#random, this.hosts.length) + 1);
      return;
    }
    const transitions = ["auto", "implicit", "explicit"] as const;
    const transition = must(transitions[below(this.#random, 3)], "the position is within the list");
    const change: ConfChange = { transition, changes, context: emptyData };
    host.node.proposeConfChange(change);
  }

  #compact(host: Host): void {
    if (host.state.index === 0) return;
    host.storage.saveSnapshot(host.state);
    const keep = below(this.#random, 6);
    host.storage.compact(host.state.index - keep);
  }

  /** Heals, cuts the group at random, or cuts off whoever leads. */
  #partition(): void {
    const kind = below(this.#random, 4);
    const leader = this.#currentLeader();
    if (kind <= 1) this.#cut = new Set();
    else if (kind === 2 && leader !== undefined) this.#cut = new Set([leader.id]);
    else {
      const side = this.hosts.filter(() => below(this.#random, 2) === 0);
      this.#cut = new Set(side.map(({ id }) => id));
    }
  }

  /** Runs every write and delivers every message, in order, until nothing is left. */
  #settle(): void {
    for (let round = 0; round < 100; round += 1) {
      const messages = this.#messages;
      this.#messages = [];
      for (const message of messages) this.#deliver(message);
      this.#reportSnapshots();
      let isBusy = messages.length > 0;
      for (const host of this.hosts) {
        isBusy = (host.node?.hasReady() ?? false) || isBusy;
        this.#takeReady(host);
        while (host.appends.length > 0) this.#completeAppend(host);
        while (host.applies.length > 0) this.#completeApply(host);
        this.#check(host);
      }
      if (!isBusy) return;
    }
  }

  #currentLeader(): Host | undefined {
    const leaders = this.hosts.filter((host) => host.node?.state.role === "leader");
    return leaders.sort((a, b) => (b.node?.state.term ?? 0) - (a.node?.state.term ?? 0))[0];
  }

  #check(host: Host): void {
    const { node } = host;
    if (node === undefined) return;
    const { state } = node;
    this.#checkCommitted(host, node);
    if (state.role !== "leader") return;
    const known = this.#leaders.get(state.term);
    assert(
      known === undefined || known === host.id,
      `term ${state.term} has one leader, not ${known} and ${host.id}`,
    );
    if (known !== undefined) return;
    this.#leaders.set(state.term, host.id);
    this.elections += 1;
    this.#checkComplete(node);
  }

  /** What is committed is on record; what is on record never changes. */
  #checkCommitted(host: Host, node: RaftNode): void {
    const { log } = node.state;
    let index = Math.max(this.#checkedTo.get(host.id) ?? 0, log.firstIndex() - 1);
    if (index >= log.committed) return;
    const entries = log.slice(index + 1, log.committed + 1, unbounded);
    assert(typeof entries !== "string", "committed entries can be read");
    for (const entry of entries) {
      index = entry.index;
      const known = this.#committed.get(index);
      if (known === undefined) {
        this.#committed.set(index, entry);
        if (!this.#options.membershipChanges) this.#checkDurable(entry);
      } else {
        assert(
          known.term === entry.term && equalBytes(known.data, entry.data),
          `entry ${index} is committed with term ${known.term} and with term ${entry.term}`,
        );
      }
    }
    this.#committedMax = Math.max(this.#committedMax, index);
    this.#checkedTo.set(host.id, index);
  }

  /** A commit needs a majority of disks, not of memories. */
  #checkDurable(entry: Entry): void {
    const voters = this.hosts.slice(0, this.#options.voters);
    const durable = voters.filter(
      ({ storage, state }) =>
        storage.term(entry.index) === entry.term || state.index >= entry.index,
    );
    assert(durable.length * 2 > voters.length, `entry ${entry.index} is durable on a majority`);
  }

  /** A new leader has everything that was committed before. */
  #checkComplete(node: RaftNode): void {
    const { log } = node.state;
    for (let index = log.firstIndex(); index <= this.#committedMax; index += 1) {
      const entry = this.#committed.get(index);
      if (entry === undefined || entry.term >= node.state.term) continue;
      assert(log.term(index) === entry.term, `the new leader has committed entry ${index}`);
    }
  }

  /** Two logs that agree on one entry agree on everything before it; and each is in order. */
  checkLogs(): void {
    const logs = this.hosts.flatMap(({ node }) => (node === undefined ? [] : [node.state]));
    for (const state of logs) {
      const problem = findInvariantProblem(state);
      assert(problem === undefined, `node ${state.id}: ${problem}`);
    }
    for (const [position, a] of logs.entries()) {
      for (const b of logs.slice(position + 1)) {
        const from = Math.max(a.log.firstIndex(), b.log.firstIndex());
        let agrees = false;
        for (
          let index = Math.min(a.log.lastIndex(), b.log.lastIndex());
          index >= from;
          index -= 1
        ) {
          const isEqual = a.log.term(index) === b.log.term(index);
          assert(isEqual || !agrees, `logs ${a.id} and ${b.id} meet after they parted at ${index}`);
          agrees = isEqual;
        }
      }
    }
  }
}

function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, position) => byte === b[position]);
}
