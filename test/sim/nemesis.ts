/** Does harm to the cluster, one act at a time, and makes good again. Each kind of fault can be switched off. */
import { emptyData, type NodeId } from "../../src/raft/message.ts";
import { below, type SeededRandom } from "../support/seeded-random.ts";
import type { SimNode, World } from "./node.ts";

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
  "overload",
  "transfer",
  "members",
  "compaction",
] as const;
export type FaultKind = (typeof faultKinds)[number];

export class Nemesis {
  readonly #world: World;
  readonly #random: SeededRandom;
  readonly #kinds: readonly FaultKind[];
  readonly #addNode: () => SimNode | undefined;

  constructor(
    world: World,
    parts: {
      random: SeededRandom;
      kinds: readonly FaultKind[];
      /** Brings up an empty machine that belongs to no cluster yet. */
      addNode: () => SimNode | undefined;
    },
  ) {
    this.#world = world;
    this.#random = parts.random;
    this.#kinds = parts.kinds;
    this.#addNode = parts.addNode;
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
        else node.clock.jump(below(this.#random, 10_000) - 5000);
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
        this.#leader()?.enter(({ group }) => group.transferLeadership(this.#anyNode().id));
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

  /** A new learner, a promotion, or the end of a member. A member that was removed stays up, unaware. */
  #changeMembers(): void {
    this.#leader()?.enter(({ group, replica }) => {
      const { voters, learners } = replica.conf;
      const [learner] = learners;
      const draw = below(this.#random, 100);
      const propose = (kind: "addLearner" | "addVoter" | "remove", id: NodeId) => {
        const result = group.proposeConf({
          transition: "auto",
          changes: [{ kind, id }],
          context: emptyData,
        });
        if (result.kind === "appended") this.#world.oracle.note("confChanges");
      };
      if (learner !== undefined && draw < 60) propose("addVoter", learner);
      else if (draw < 75) {
        const added = this.#addNode();
        if (added !== undefined) propose("addLearner", added.id);
      } else if (voters.length > 3) {
        const gone = voters[below(this.#random, voters.length)];
        if (gone !== undefined && gone !== group.state.id) propose("remove", gone);
      }
    });
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
