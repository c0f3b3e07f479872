/** Single events on a simulated cluster, each of which once went wrong. */
import { expect, test } from "bun:test";
import { encodeConfChange } from "../../src/raft/conf-change.ts";
import { emptyData } from "../../src/raft/message.ts";
import { toLogEntry } from "../../src/replica/raft-log.ts";
import { SeededRandom } from "../support/seeded-random.ts";
import { Network } from "./network.ts";
import { emptyMachine, SimNode, type World } from "./node.ts";
import { Oracle } from "./oracle.ts";
import { EventQueue } from "./virtual-time.ts";

/** A founder that is alone, and empty machines to add. */
class Scenario {
  readonly events = new EventQueue();
  readonly oracle = new Oracle();
  readonly nodes = new Map<number, SimNode>();
  readonly world: World = {
    events: this.events,
    oracle: this.oracle,
    nodes: this.nodes,
    network: new Network(this.events, new SeededRandom(1)),
    settings: {
      electionTicks: 8,
      heartbeatTicks: 2,
      messageBytesMax: 1 << 20,
      logTailEntries: 5,
      checkpointMs: 500,
    },
  };
  readonly founder: SimNode;

  constructor() {
    const image = emptyMachine();
    const data = encodeConfChange({
      transition: "auto",
      changes: [{ kind: "addVoter", id: 1 }],
      context: emptyData,
    });
    image.log.entries = [toLogEntry({ term: 1, index: 1, type: "EntryConfChangeV2", data })];
    image.log.hardState = { term: 1, vote: "0", commit: 1 };
    this.founder = this.add(1, image);
    this.pass(1000);
  }

  add(id: number, image = emptyMachine()): SimNode {
    const node = new SimNode(id, this.world, { image, seed: id });
    this.nodes.set(id, node);
    node.start();
    return node;
  }

  pass(durationMs: number): void {
    this.events.runUntil(this.events.nowMs + durationMs);
  }

  /** Resolves to how many of these calls were answered with an outcome. */
  enqueue(count: number): { answered: number; failed: number } {
    const answers = { answered: 0, failed: 0 };
    for (let i = 0; i < count; i++) {
      this.founder.call(
        { kind: "enqueue", jobs: [{ queue: "q", payload: `"${i}"` }] },
        (outcome) => {
          if (outcome === undefined) answers.failed++;
          else answers.answered++;
        },
      );
    }
    return answers;
  }

  change(kind: "addLearner" | "addVoter" | "remove", id: number): void {
    this.founder.enter(({ group }) => {
      group.proposeConf({ transition: "auto", changes: [{ kind, id }], context: emptyData });
    });
  }
}

test("a node that joins a cluster without traffic gets a snapshot that it is in", () => {
  const scenario = new Scenario();
  for (let i = 0; i < 30; i++) {
    scenario.enqueue(1);
    scenario.pass(50);
  }
  scenario.pass(5000);
  expect(scenario.founder.group?.storage.firstIndex()).toBeGreaterThan(1);

  const joiner = scenario.add(2);
  scenario.change("addLearner", 2);
  scenario.pass(10_000);

  expect(joiner.group?.appliedIndex).toBe(scenario.founder.group?.appliedIndex ?? -1);
  expect(joiner.store?.state.jobs.size).toBe(30);
  expect(scenario.oracle.problem).toBeUndefined();
});

test("a log that refused one write too many takes the next ones", () => {
  const scenario = new Scenario();
  const { founder } = scenario;
  founder.mood.latencyMs = 100;
  founder.mood.pendingBytesMax = 100;
  const first = scenario.enqueue(1);
  scenario.pass(1);
  // The second write goes to the log while the first is under way, as a change of members does.
  scenario.change("addLearner", 2);
  scenario.pass(2000);
  founder.mood.pendingBytesMax = 1 << 30;
  scenario.pass(2000);

  const later = scenario.enqueue(1);
  scenario.pass(2000);

  expect(first.answered + first.failed).toBe(1);
  expect(later).toEqual({ answered: 1, failed: 0 });
});

test("a read on a node that was removed ends", () => {
  const scenario = new Scenario();
  const { founder } = scenario;
  const removed = scenario.add(2);
  scenario.add(3);
  for (const id of [2, 3]) {
    scenario.change("addVoter", id);
    scenario.pass(2000);
  }
  scenario.change("remove", 2);
  scenario.pass(5000);
  expect(founder.replica?.conf.voters).toEqual([1, 3]);

  const ends: (number | undefined)[] = [];
  for (let i = 0; i < 5; i++) {
    removed.read((index) => ends.push(index));
    scenario.enqueue(1);
    scenario.pass(500);
  }
  scenario.pass(10_000);

  expect(ends.length).toBe(5);
});
