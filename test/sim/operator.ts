/**
 * Whoever looks after the cluster: lets machines in, takes nodes out, gives and takes votes, hands leadership over, through
 * the program's own membership on whichever node leads. Each wish is repeated until it is fulfilled or refused for good,
 * whatever happens to leaders meanwhile, as `corvo cluster` and a joining server do.
 */
import type { CorvoError } from "../../src/base/errors.ts";
import type { NodeId } from "../../src/raft/message.ts";
import type { Membership } from "../../src/replica/membership.ts";
import { describeMachine, type World } from "./machine.ts";
import type { SimNode } from "./node.ts";

/** More than what a change may take until it counts as unconfirmed. */
const patienceMs = 12_000;
const pauseMs = 400;

export class Operator {
  /** Wishes that are neither fulfilled nor given up. */
  open = 0;
  /** Those of them that take voters away. Two at once could each want the other's last node. */
  shrinking = 0;
  readonly #world: World;
  readonly #createNode: (id: NodeId, uuid: string) => void;

  constructor(world: World, createNode: (id: NodeId, uuid: string) => void) {
    this.#world = world;
    this.#createNode = createNode;
  }

  /** A machine with an empty disk asks to be let in; it has a number once it is. */
  join(uuid: string, done: () => void = () => {}): void {
    const request = describeMachine(uuid);
    this.#repeat(
      (membership) => membership.join(request),
      (answer) => {
        if (answer !== undefined) this.#createNode(answer.nodeId, uuid);
        done();
      },
    );
  }

  remove(id: NodeId, done: () => void = () => {}): void {
    this.shrinking++;
    this.#repeat(
      (membership) => membership.remove(id),
      () => {
        this.shrinking--;
        done();
      },
    );
  }

  /** The disk of a node is lost: another machine takes its place. */
  replace(id: NodeId, uuid: string): void {
    this.remove(id, () => this.join(uuid));
  }

  setVoter(id: NodeId, voter: boolean): void {
    const by = voter ? 0 : 1;
    this.shrinking += by;
    this.#repeat(
      (membership) => membership.setVoter(id, voter),
      () => {
        this.shrinking -= by;
      },
    );
  }

  handOver(id: NodeId): void {
    this.#leader()?.ask(
      (membership) => membership.transferLeadership(id),
      () => {},
    );
  }

  #repeat<T>(act: (membership: Membership) => Promise<T>, done: (answer?: T) => void): void {
    this.open++;
    let isOver = false;
    const end = (answer?: T) => {
      if (isOver) return;
      isOver = true;
      this.open--;
      done(answer);
    };
    const attempt = () => {
      if (isOver) return;
      let isAnswered = false;
      const again = () => {
        if (isAnswered) return;
        isAnswered = true;
        this.#world.events.after(pauseMs, attempt);
      };
      this.#world.events.after(patienceMs, again);
      const leader = this.#leader();
      if (leader === undefined) {
        again();
        return;
      }
      leader.ask(act, (answer, fault) => {
        if (fault === undefined) {
          isAnswered = true;
          this.#world.oracle.note("memberChanges");
          end(answer);
        } else if (isFinal(fault)) {
          isAnswered = true;
          end();
        } else again();
      });
    };
    attempt();
  }

  #leader(): SimNode | undefined {
    return [...this.#world.nodes.values()].find((node) => node.replica?.isLeader === true);
  }
}

/** The node is gone already, or the cluster would end with it. */
function isFinal(fault: CorvoError): boolean {
  return fault.code === "NOT_FOUND" || fault.code === "CONFLICT" || fault.code === "LIMIT_EXCEEDED";
}
