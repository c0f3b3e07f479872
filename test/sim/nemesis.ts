/** Does harm to the cluster, one act at a time, and makes good again. Each kind of fault can be switched off. */
import type { NodeId } from "../../src/raft/message.ts";
import { below, type SeededRandom } from "../support/seeded-random.ts";
import type { World } from "./machine.ts";
import type { SimNode } from "./node.ts";
import type { Operator } from "./operator.ts";

export const faultKinds = [
  "loss",
  "repetition",
  "reordering",
  "delay",
  "cut",
  "partition",
  "crash",
  "pause",
  "clock",
  "fullDisk",
  "slowDisk",
  "stalledDisk",
  "brokenDisk",
  "damage",
  "overload",
  "transfer",
  "members",
  "compaction",
] as const;
export type FaultKind = (typeof faultKinds)[number];

/** Machines that may be added to those of the beginning. */
const sparesMax = 4;

export class Nemesis {
  readonly #world: World;
  readonly #random: SeededRandom;
  readonly #kinds: readonly FaultKind[];
  readonly #operator: Operator;
  #machines = 0;

  constructor(
    world: World,
    parts: {
      random: SeededRandom;
      kinds: readonly FaultKind[];
      operator: Operator;
    },
  ) {
    this.#world = world;
    this.#random = parts.random;
    this.#kinds = parts.kinds;
    this.#operator = parts.operator;
  }

  step(): void {
    const kind = this.#kinds[below(this.#random, Math.max(1, this.#kinds.length))];
    if (kind === undefined) return;
    this.#world.oracle.note(kind);
    this.#act(kind);
  }

  /** All faults end, for good. */
  heal(): void {
    this.#world.network.heal();
    for (const node of this.#world.nodes.values()) {
      Object.assign(node.mood, { latencyMs: 1, isFull: false, breaksNext: false });
      node.mood.pendingBytesMax = 1 << 30;
      node.clock.setRate(1);
      node.resume();
      node.start();
    }
  }

  #act(kind: FaultKind): void {
    const { network } = this.#world;
    const node = this.#anyNode();
    switch (kind) {
      case "loss":
        network.mood.lossPermille = this.#chance(50) ? 0 : below(this.#random, 300);
        return;
      case "repetition":
        network.mood.repeatPermille = this.#chance(50) ? 0 : below(this.#random, 200);
        return;
      case "reordering":
        network.mood.reorders = !network.mood.reorders;
        return;
      case "delay":
        network.mood.delayMs = this.#chance(50) ? 1 : 1 + below(this.#random, 150);
        return;
      case "cut":
        if (this.#chance(40)) network.mend();
        else network.cut(this.#anyNode().id, node.id);
        return;
      case "partition":
        network.mend();
        if (this.#chance(60)) this.#partition();
        return;
      case "crash":
        node.crash();
        this.#later(20 + below(this.#random, 4000), () => node.start());
        return;
      case "pause":
        node.pause();
        this.#later(20 + below(this.#random, 5000), () => node.resume());
        return;
      case "clock":
        if (this.#chance(50)) node.clock.setRate(0.8 + below(this.#random, 400) / 1000);
        else if (this.#chance(85)) node.clock.jump(below(this.#random, 10_000) - 5000);
        else node.clock.jump(below(this.#random, 360_000) - 180_000);
        return;
      default:
        this.#actOnDiskOrRoles(kind, node);
    }
  }

  #actOnDiskOrRoles(kind: FaultKind, node: SimNode): void {
    const { mood } = node;
    switch (kind) {
      case "fullDisk":
        mood.isFull = true;
        this.#later(100 + below(this.#random, 4000), () => {
          mood.isFull = false;
        });
        return;
      case "slowDisk":
        mood.latencyMs = this.#chance(60) ? 1 : 1 + below(this.#random, 400);
        return;
      case "stalledDisk":
        // The write that begins now ends seconds later; the node does not know which of its writes that is.
        mood.latencyMs = 500 + below(this.#random, 3000);
        this.#later(100 + below(this.#random, 1000), () => {
          mood.latencyMs = 1;
        });
        return;
      case "brokenDisk":
        mood.breaksNext = true;
        return;
      case "overload":
        mood.pendingBytesMax = this.#chance(40) ? 1 << 30 : 100 + below(this.#random, 2000);
        return;
      case "transfer":
        if (this.#chance(50)) this.#operator.handOver(node.id);
        else this.#leader()?.enter(({ group }) => group.transferLeadership(node.id));
        return;
      case "damage":
        this.#damage(node);
        return;
      case "members":
        this.#changeMembers();
        return;
      default:
        // Compaction has no moment of its own: it is how little of the log is kept.
        return;
    }
  }

  #partition(): void {
    const ids = [...this.#world.nodes.keys()];
    const isLeft = new Map(ids.map((id) => [id, this.#chance(50)]));
    for (const from of ids) {
      for (const to of ids) {
        if (isLeft.get(from) !== isLeft.get(to)) this.#world.network.cut(from, to);
      }
    }
  }

  /** Whoever looks after the cluster wants something, and in part of the cases the leader goes in the middle of it. */
  #changeMembers(): void {
    const leader = this.#leader();
    const conf = leader?.replica?.conf;
    if (conf === undefined || this.#operator.open > 2) return;
    const { voters, learners } = conf;
    const draw = below(this.#random, 100);
    const voter = voters[below(this.#random, voters.length)];
    const learner = learners[below(this.#random, Math.max(1, learners.length))];
    if (draw < 40) this.#join();
    else if (draw < 65 && this.#canShrink(voters) && voter !== undefined)
      this.#operator.remove(voter);
    else if (draw < 80 && this.#canShrink(voters) && voter !== undefined) {
      this.#operator.setVoter(voter, false);
    } else if (learner !== undefined) this.#operator.setVoter(learner, true);
    if (this.#chance(50)) this.#later(below(this.#random, 400), () => this.#takeLeaderAway());
  }

  #join(): void {
    if (this.#machines < sparesMax) this.#operator.join(`spare ${++this.#machines}`);
  }

  /** Where disks get lost nobody takes healthy nodes out: the rest could be too few. */
  #canShrink(voters: readonly NodeId[]): boolean {
    const { shrinking } = this.#operator;
    return voters.length > 2 && shrinking === 0 && !this.#kinds.includes("damage");
  }

  #takeLeaderAway(): void {
    const leader = this.#leader();
    if (leader === undefined) return;
    const draw = below(this.#random, 3);
    if (draw === 0) {
      leader.crash();
      this.#later(20 + below(this.#random, 4000), () => leader.start());
    } else if (draw === 1) {
      leader.pause();
      this.#later(20 + below(this.#random, 5000), () => leader.resume());
    } else this.#operator.handOver(this.#anyNode().id);
  }

  /**
   * A disk is lost, one at a time and only of three voters or more; another machine takes its place. Whoever leads may not
   * know all of the present configuration, but what it cannot know is only that there are more voters: nobody is taken
   * out but by a wish, and none is open.
   */
  #damage(node: SimNode): void {
    const conf = this.#leader()?.replica?.conf;
    if (conf === undefined || this.#operator.open > 0 || this.#machines >= sparesMax) return;
    const members = [...conf.voters, ...conf.learners];
    if (conf.voters.length < 3 || !members.includes(node.id)) return;
    if (!node.damage(this.#random)) return;
    this.#world.oracle.note("disksLost");
    this.#operator.replace(node.id, `spare ${++this.#machines}`);
  }

  #leader(): SimNode | undefined {
    return [...this.#world.nodes.values()].find((node) => node.replica?.isLeader === true);
  }

  #anyNode(): SimNode {
    const nodes = [...this.#world.nodes.values()];
    return nodes[below(this.#random, nodes.length)] as SimNode;
  }

  #later(delayMs: number, act: () => void): void {
    this.#world.events.after(delayMs, act);
  }

  #chance(percent: number): boolean {
    return below(this.#random, 100) < percent;
  }
}
