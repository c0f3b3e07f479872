/**
 * A whole cluster and its clients in one process. One seed decides everything: the same options give the same run, event
 * by event. A run is a number of steps, each some milliseconds long and with one act of a client or of the nemesis;
 * then everything heals, and the cluster must settle within a bound and be what was promised.
 */
import { findViolations } from "../../src/engine/invariants.ts";
import { isFinished, type Job } from "../../src/engine/job.ts";
import type { Delivery } from "../../src/engine/outbox/delivery.ts";
import { nextStepMs, wantsPlan } from "../../src/engine/schedule.ts";
import { hashState } from "../../src/engine/state-hash.ts";
import type { NodeId } from "../../src/raft/message.ts";
import { sortedIds } from "../../src/raft/quorum.ts";
import type { Group } from "../../src/replica/group.ts";
import { below, SeededRandom } from "../support/seeded-random.ts";
import { foundingMachine, foundingMembers, uuidOf } from "./founding.ts";
import { emptyMachine, type MachineImage, type World } from "./machine.ts";
import { type FaultKind, faultKinds, Nemesis } from "./nemesis.ts";
import { Network } from "./network.ts";
import { SimNode } from "./node.ts";
import { Operator } from "./operator.ts";
import { findForgotten, Oracle } from "./oracle.ts";
import { EventQueue } from "./virtual-time.ts";
import { Workload } from "./workload.ts";

export interface SimulationOptions {
  readonly seed: number;
  readonly steps: number;
  readonly nodes: number;
  /** The kinds of faults; chosen by the seed when absent. */
  readonly faults?: readonly FaultKind[];
}

export interface SimulationResult {
  readonly options: SimulationOptions;
  readonly faults: readonly FaultKind[];
  readonly problem: string | undefined;
  /** The step at which it was found; the number of steps when it was after the last. */
  readonly step: number;
  readonly events: number;
  readonly virtualMs: number;
  readonly entries: number;
  readonly fingerprint: string;
  readonly counts: Readonly<Record<string, number>>;
}

const stepMsMax = 50;
/** Within this time after the last fault everything must have settled. */
const healMsMax = 60_000;
const quietMs = 20_000;
const silenceMs = 12_000;
/** Jobs wait for a retry, or for workers that are gone, at most this long. */
const drainMsMax = 60_000;
/** No call waits longer for its answer once everything works. */
const callMsMax = 5000;

export class Simulation {
  readonly #options: SimulationOptions;
  readonly #faults: readonly FaultKind[];
  readonly #events = new EventQueue();
  readonly #oracle = new Oracle();
  readonly #nodes = new Map<NodeId, SimNode>();
  readonly #world: World;
  readonly #workload: Workload;
  readonly #operator: Operator;
  readonly #nemesis: Nemesis;
  readonly #random: SeededRandom;
  #step = 0;

  constructor(options: SimulationOptions) {
    const { seed } = options;
    this.#options = options;
    this.#random = stream(seed, "steps");
    const choice = stream(seed, "faults");
    // Few kinds at a time show what many would hide: where all goes wrong at once, little is left to go wrong in.
    const oneIn = [2, 4, 8][below(stream(seed, "density"), 3)] ?? 2;
    const chosen = faultKinds.filter(() => below(choice, oneIn) === 0);
    this.#faults = options.faults ?? chosen;
    const isCompacting = this.#faults.includes("compaction");
    this.#world = {
      events: this.#events,
      oracle: this.#oracle,
      nodes: this.#nodes,
      network: new Network(this.#events, stream(seed, "network")),
      settings: {
        // Not drawn, so that the seeds of found bugs stay what they were.
        ...(options.seed % 3 === 2 ? { doze: { idle: 3, beat: 4, patience: 12 } } : {}),
        electionTicks: [8, 20][below(choice, 2)] ?? 20,
        heartbeatTicks: 2,
        messageBytesMax: [500, 1 << 20][below(choice, 2)] ?? 500,
        logTailEntries: isCompacting ? 5 : 20_000,
        checkpointMs: 200 + below(choice, 1500),
      },
    };
    const ids = Array.from({ length: options.nodes }, (_, i) => i + 1);
    for (const id of ids) this.#createNode(id, uuidOf(id), foundingMachine(ids));
    const founders = foundingMembers(ids);
    this.#operator = new Operator(this.#world, (id, uuid) => {
      if (!this.#nodes.has(id)) this.#createNode(id, uuid, emptyMachine(founders));
    });
    this.#workload = new Workload({
      events: this.#events,
      nodes: this.#nodes,
      oracle: this.#oracle,
      random: stream(seed, "workload"),
    });
    this.#nemesis = new Nemesis(this.#world, {
      random: stream(seed, "nemesis"),
      kinds: this.#faults,
      operator: this.#operator,
    });
  }

  run(): SimulationResult {
    for (const node of this.#nodes.values()) node.start();
    const { steps } = this.#options;
    for (; this.#step < steps && this.#oracle.problem === undefined; this.#step++) {
      this.#pass(below(this.#random, stepMsMax));
      if (below(this.#random, 100) < 8) this.#nemesis.step();
      else this.#workload.step();
      if (this.#step % 20 === 0) this.#checkNodes();
    }
    if (this.#oracle.problem === undefined) this.#heal();
    return {
      options: this.#options,
      faults: this.#faults,
      problem: this.#oracle.problem,
      step: this.#step,
      events: this.#events.count,
      virtualMs: this.#events.nowMs,
      entries: this.#oracle.appliedEntries,
      fingerprint: `${this.#events.count} ${this.#oracle.fingerprint.toString(16)}`,
      counts: this.#oracle.counts,
    };
  }

  #createNode(id: NodeId, uuid: string, image: MachineImage): SimNode {
    const seed = stream(this.#options.seed, `node ${id}`).uint32();
    const node = new SimNode(id, this.#world, { image, uuid, seed });
    this.#nodes.set(id, node);
    node.start();
    return node;
  }

  #pass(durationMs: number): void {
    this.#events.runUntil(this.#events.nowMs + durationMs);
  }

  #checkNodes(): void {
    this.#oracle.schedules.check();
    this.#oracle.checkStored();
    for (const node of this.#nodes.values()) {
      const { group } = node;
      if (group === undefined) continue;
      const problem = node.findInvariantProblem();
      if (problem !== undefined) this.#oracle.report(`node ${node.id}: ${problem}`);
      this.#checkCommitted(node.id, group);
    }
  }

  #checkCommitted(id: NodeId, { state: { log } }: Group): void {
    const from = Math.max(log.firstIndex(), log.committed - 30);
    for (let index = from; index <= log.committed; index++) {
      const term = log.termOrZero(index);
      if (term > 0) this.#oracle.committed(id, { index, term });
    }
  }

  /** Ends all faults and waits until everything is as it must be; what is still wrong after that is a problem. */
  #heal(): void {
    const oracle = this.#oracle;
    const endMs = this.#events.nowMs + healMsMax;
    this.#nemesis.heal();
    this.#workload.lostRepliesPermille = 0;
    this.#workload.resumeQueues();
    this.#workload.removeLimits();
    this.#workload.enableWebhooks();
    let isAnswered = false;
    this.#workload.probe(() => {
      isAnswered = true;
    });
    // Jobs whose workers are gone, timers of clocks that were set back, snapshots for whoever lagged.
    this.#pass(quietMs);
    let unsettled: string | undefined = "nothing was looked at";
    while (this.#events.nowMs < endMs && oracle.problem === undefined) {
      this.#pass(500);
      // A process may have ended by itself, as one with a broken disk does.
      for (const node of this.#nodes.values()) node.start();
      unsettled = isAnswered ? this.#findUnsettled() : "an enqueue is not answered";
      if (unsettled === undefined) break;
    }
    if (unsettled !== undefined) {
      oracle.report(`${healMsMax} ms after the last fault, ${unsettled}`);
    }
    if (oracle.problem === undefined) this.#changeLeaderInSilence();
    if (oracle.problem === undefined) this.#drain();
    if (oracle.problem === undefined) this.#checkEnd();
  }

  /** No client says a word while leadership changes, and yet a job that is due later becomes due. */
  #changeLeaderInSilence(): void {
    // Schedules go on, or nothing but the time of one job passes.
    if (below(this.#random, 2) === 0) this.#workload.pauseSchedules();
    this.#workload.probe(() => {}, silenceMs / 2);
    this.#pass(silenceMs / 4);
    const leader = this.#leader();
    leader?.crash();
    this.#pass(3000);
    leader?.start();
    this.#pass(silenceMs);
    const unsettled = this.#settleWithin(2000);
    if (unsettled !== undefined)
      this.#oracle.report(`after a silent change of leader, ${unsettled}`);
  }

  /** One worker that waits at the leader gets every job there is, those included that are due later. */
  #drain(): void {
    const leader = this.#leader();
    if (leader === undefined) return;
    // A call of before the end of all faults may have stopped one after it was resumed.
    this.#workload.resumeQueues();
    this.#workload.removeLimits();
    this.#workload.enableWebhooks();
    this.#workload.pauseSchedules();
    this.#workload.drain(leader);
    const open = () => findOpen([...(leader.store?.state.jobs.values() ?? [])]);
    const endMs = this.#events.nowMs + drainMsMax;
    while (open().length > 0 && this.#events.nowMs < endMs) this.#pass(250);
    const unsent = () => hasWaiting(leader.store?.state.records("delivery").entries() ?? []);
    while (unsent() && this.#events.nowMs < endMs) this.#pass(250);
    const [job] = open();
    if (job !== undefined) {
      this.#oracle.report(
        `job ${job.seq} is still ${job.state} after ${drainMsMax} ms with a worker that waits for it`,
      );
    }
    // The followers learn of the last answers.
    this.#pass(1000);
  }

  /** Followers are a message behind while schedules fire. */
  #settleWithin(durationMs: number): string | undefined {
    const endMs = this.#events.nowMs + durationMs;
    let unsettled = this.#findUnsettled();
    while (unsettled !== undefined && this.#events.nowMs < endMs) {
      this.#pass(130);
      unsettled = this.#findUnsettled();
    }
    return unsettled;
  }

  #leader(): SimNode | undefined {
    return [...this.#nodes.values()].find((node) => node.replica?.isLeader === true);
  }

  #findUnsettled(): string | undefined {
    const leader = this.#leader();
    const replica = leader?.replica;
    if (leader === undefined || replica === undefined) return "no node leads";
    this.#oracle.schedules.check();
    if (this.#operator.open > 0) return `${this.#operator.open} wishes of the operator are open`;
    if (this.#workload.openCalls > 0) return `${this.#workload.openCalls} calls have no answer`;
    const { voters, learners, votersOutgoing } = replica.conf;
    if (votersOutgoing.length > 0) return "the membership change is not finished";
    const { members } = replica.engine.state.meta;
    const known = members.map(({ id }) => id).join(" ");
    const counted = sortedIds([...voters, ...learners]).join(" ");
    if (known !== counted) return `members are ${known}, in the configuration are ${counted}`;
    const late = members.find(({ id, standby }) => !standby && learners.includes(id));
    if (late !== undefined) return `node ${late.id} was not promoted`;
    for (const id of [...voters, ...learners]) {
      const index = this.#nodes.get(id)?.group?.appliedIndex;
      if (index !== replica.appliedIndex) {
        return `member ${id} applied ${index}, the leader ${replica.appliedIndex}`;
      }
    }
    for (const node of this.#nodes.values()) {
      if (node.oldestCallMs > callMsMax) {
        return `node ${node.id} owes an answer since ${node.oldestCallMs} ms`;
      }
    }
    const nowMs = leader.clock.nowMs() - 1000;
    const forgotten = findForgotten(leader.store?.state.jobs ?? new Map(), nowMs);
    if (forgotten !== undefined)
      return `job ${forgotten.seq} (${forgotten.state}) is past its time`;
    const redrives = leader.store?.state.records("redrive").entries() ?? [];
    const [open] = [...redrives].find(([, { state }]) => state === "running") ?? [];
    if (open !== undefined) return `the redrive of ${open} is not finished`;
    const bulks = leader.store?.state.records("bulk").entries() ?? [];
    const [going] = [...bulks].find(([, { state }]) => state === "running") ?? [];
    if (going !== undefined) return `the bulk action ${going} is not finished`;
    return this.#findStoppedSchedule(leader, nowMs);
  }

  /** One whose next due time is past, or not planned. */
  #findStoppedSchedule({ store }: SimNode, nowMs: number): string | undefined {
    for (const [name, record] of store?.state.records("schedule").entries() ?? []) {
      if (record.paused) continue;
      if (wantsPlan(record)) return `schedule ${name} is not planned`;
      if (nextStepMs(record) < nowMs) return `schedule ${name} is past its time`;
    }
    return undefined;
  }

  #checkEnd(): void {
    const oracle = this.#oracle;
    const leader = this.#leader();
    const conf = leader?.replica?.conf;
    if (leader?.store === undefined || conf === undefined) return;
    const { state } = leader.store;
    for (const id of [...conf.voters, ...conf.learners]) {
      const node = this.#nodes.get(id);
      const own = node?.store?.state;
      const engine = node?.replica?.engine;
      if (own === undefined || engine === undefined) continue;
      if (own !== state && !own.equals(state)) {
        const [one, other] = [own, state].map((each) => hashState(each.contents()));
        oracle.report(`node ${id} has not the state of its leader:\n${one}\n${other}`);
      }
      // Images hold what was written, so a kind of write that they do not know would be missing here.
      if (node?.store?.reopened().equals(own) === false) {
        oracle.report(`node ${id} does not store what it holds`);
      }
      const altered = own.findAlteredJob();
      if (altered !== undefined) oracle.report(`node ${id} changed job ${altered.seq} in place`);
      const left = [...own.contents().records()].find(({ kind }) => kind === "aftermath");
      if (left !== undefined) oracle.report(`node ${id} never did ${JSON.stringify(left)}`);
      const [violation] = findViolations(own.contents(), engine);
      if (violation !== undefined) oracle.report(`node ${id}: ${violation}`);
    }
    this.#checkNodes();
    oracle.flow.check(state.records("chain").entries());
    oracle.deliveries.check(state.records("delivery").entries());
    oracle.checkFinal(state.jobs);
  }
}

function hasWaiting(deliveries: Iterable<readonly [string, Delivery]>): boolean {
  return [...deliveries].some(([, { state }]) => state === "waiting");
}

/** Jobs that nothing but a worker keeps from their end: what waits for others, or behind them in its line, is none. */
function findOpen(jobs: readonly Job[]): readonly Job[] {
  const stuck = new Set<string>();
  const lineOf = ({ queue, options }: Job) => `${queue}\n${options.lane?.fifo}`;
  return jobs
    .filter(({ state }) => !isFinished(state))
    .toSorted((one, other) => one.seq - other.seq)
    .filter((job) => {
      const isInLine = job.options.lane?.fifo !== undefined;
      if (isInLine && stuck.has(lineOf(job))) return false;
      const isStuck = job.state === "held" || (job.state === "pending" && job.order === 0);
      if (isStuck && isInLine) stuck.add(lineOf(job));
      return !isStuck;
    });
}

/** A random sequence of its own for each purpose, so that one more draw here changes nothing there. */
function stream(seed: number, purpose: string): SeededRandom {
  return new SeededRandom(Number(BigInt(Bun.hash(`${seed} ${purpose}`)) & 0xffff_ffffn));
}
