/**
 * A simulated cluster to be told what happens to it, event by event. Nothing goes wrong by chance: messages arrive in
 * order after a millisecond, disks answer, clocks run alike. What every simulation checks is checked here as well.
 */
import { expect } from "bun:test";
import type { CorvoError } from "../../src/base/errors.ts";
import type { Change } from "../../src/engine/change.ts";
import type { Outcome } from "../../src/engine/outcome.ts";
import type { Member } from "../../src/engine/state.ts";
import { emptyData } from "../../src/raft/message.ts";
import { SeededRandom } from "../support/seeded-random.ts";
import { foundingMachine, foundingMembers, uuidOf } from "./founding.ts";
import { emptyMachine, type World } from "./machine.ts";
import { Network } from "./network.ts";
import { SimNode } from "./node.ts";
import { Operator } from "./operator.ts";
import { Oracle } from "./oracle.ts";
import { EventQueue } from "./virtual-time.ts";

export interface Answers {
  answered: number;
  failed: number;
  readonly faults: CorvoError[];
}

export class Scenario {
  readonly events = new EventQueue();
  readonly oracle = new Oracle();
  readonly nodes = new Map<number, SimNode>();
  readonly network = new Network(this.events, new SeededRandom(1));
  readonly world: World;
  readonly operator: Operator;
  readonly #founders: readonly Member[];
  #calls = 0;

  /** So many founders, numbered from 1; one of them leads when this returns. */
  constructor(founders = 1, settings: Partial<World["settings"]> = {}) {
    this.world = {
      events: this.events,
      oracle: this.oracle,
      nodes: this.nodes,
      network: this.network,
      settings: {
        electionTicks: 8,
        heartbeatTicks: 2,
        messageBytesMax: 1 << 20,
        logTailEntries: 5,
        checkpointMs: 500,
        ...settings,
      },
    };
    const ids = Array.from({ length: founders }, (_, i) => i + 1);
    this.#founders = foundingMembers(ids);
    this.operator = new Operator(this.world, (id, uuid) => {
      if (!this.nodes.has(id)) this.add(id, emptyMachine(this.#founders), uuid);
    });
    for (const id of ids) this.add(id, foundingMachine(ids));
    this.leader();
  }

  get founder(): SimNode {
    return this.node(1);
  }

  node(id: number): SimNode {
    const node = this.nodes.get(id);
    if (node === undefined) throw new Error(`there is no node ${id}`);
    return node;
  }

  add(id: number, image = emptyMachine(this.#founders), uuid = uuidOf(id)): SimNode {
    const node = new SimNode(id, this.world, { image, uuid, seed: id });
    this.nodes.set(id, node);
    node.start();
    return node;
  }

  pass(durationMs: number): void {
    this.events.runUntil(this.events.nowMs + durationMs);
  }

  /** Lets time pass until this is so; returns how much did. */
  passUntil(isSo: () => boolean, withinMs = 20_000, stepMs = 10): number {
    const sinceMs = this.events.nowMs;
    while (!isSo()) {
      if (this.events.nowMs - sinceMs > withinMs) throw new Error(`not so after ${withinMs} ms`);
      this.pass(stepMs);
    }
    return this.events.nowMs - sinceMs;
  }

  /** Who leads, among these; waits for one. */
  leader(among: readonly number[] = [...this.nodes.keys()]): SimNode {
    const find = () => among.find((id) => this.nodes.get(id)?.replica?.isLeader === true);
    this.passUntil(() => find() !== undefined);
    return this.node(find() ?? 0);
  }

  /** Members that do not lead. */
  followers(): readonly SimNode[] {
    const leader = this.leader();
    return [...this.nodes.values()].filter((node) => node !== leader);
  }

  call(change: Change, node = this.leader()): { outcome?: Outcome; fault?: CorvoError } {
    const reply: { outcome?: Outcome; fault?: CorvoError } = {};
    node.call(change, (outcome, fault) => {
      if (outcome !== undefined) reply.outcome = outcome;
      if (fault !== undefined) reply.fault = fault;
    });
    return reply;
  }

  /** Counts what becomes of so many enqueues, while time passes. */
  enqueue(count: number, node = this.leader()): Answers {
    const answers: Answers = { answered: 0, failed: 0, faults: [] };
    for (let i = 0; i < count; i++) {
      const payload = `"${++this.#calls}"`;
      node.call({ kind: "enqueue", jobs: [{ queue: "q", payload }] }, (outcome, fault) => {
        if (outcome?.kind === "enqueued") answers.answered++;
        else answers.failed++;
        if (fault !== undefined) answers.faults.push(fault);
        const [result] = outcome?.kind === "enqueued" ? outcome.results : [];
        if (result?.kind === "added") this.oracle.enqueued(result.seq, payload);
      });
    }
    return answers;
  }

  /** Cuts both ways between these and all other nodes. */
  isolate(...ids: readonly number[]): void {
    for (const inside of ids) {
      for (const outside of this.nodes.keys()) {
        if (ids.includes(outside)) continue;
        this.network.cut(inside, outside);
        this.network.cut(outside, inside);
      }
    }
  }

  change(kind: "addLearner" | "addVoter" | "remove", id: number, node = this.leader()): void {
    node.enter(({ group }) => {
      group.proposeConf({ transition: "auto", changes: [{ kind, id }], context: emptyData });
    });
  }

  /** Everyone in the configuration has all there is, the same, and nothing that was promised is missing. */
  expectWhole(): void {
    const leader = this.leader();
    const { voters, learners } = leader.replica?.conf ?? { voters: [], learners: [] };
    const behind = () =>
      [...voters, ...learners].filter(
        (id) => this.node(id).group?.appliedIndex !== leader.group?.appliedIndex,
      );
    this.passUntil(() => behind().length === 0);
    if (leader.store !== undefined) this.oracle.checkFinal(leader.store.state.jobs);
    expect(this.oracle.problem).toBeUndefined();
  }
}
