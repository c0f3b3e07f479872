/**
 * One machine with one process on it: the program's own group, replica, snapshots and engine over a simulated disk,
 * clock and network, wired as the server wires them. The machine outlives the process: a crash keeps the disk's image
 * and nothing else, a pause lets the world go on while the process sees nothing of it.
 */
import { drainMicrotasks } from "bun:jsc";
import { CorvoError } from "../../src/base/errors.ts";
import type { Logger } from "../../src/base/ports.ts";
import { type Change, decodeBatch } from "../../src/engine/change.ts";
import { findInvariantProblem } from "../../src/raft/invariants.ts";
import type { Entry, Message, NodeId } from "../../src/raft/message.ts";
import { ClaimRates } from "../../src/replica/claim-rates.ts";
import { Claims } from "../../src/replica/claims.ts";
import { Group } from "../../src/replica/group.ts";
import { Planner } from "../../src/replica/planner.ts";
import { defaultReplicaOptions, Replica, type Settle } from "../../src/replica/replica.ts";
import { Snapshots } from "../../src/replica/snapshots.ts";
import { dueTimes } from "../../src/service/timetable.ts";
import { reaching } from "../../src/store/snapshots.ts";
import { SeededRandom } from "../support/seeded-random.ts";
import { type Disk, type DiskMood, emptyLog, type LogImage, SimLog } from "./disk.ts";
import type { Network } from "./network.ts";
import type { Oracle } from "./oracle.ts";
import { emptyState, SimStore, type StateImage } from "./stored-state.ts";
import { type EventQueue, MachineClock, processTimers } from "./virtual-time.ts";

/** What is left when the process is gone. */
export interface MachineImage {
  log: LogImage;
  state: StateImage;
  /** A received snapshot that the next start puts in place. */
  incoming: { readonly state: StateImage; readonly term: number } | undefined;
}

export function emptyMachine(): MachineImage {
  return { log: emptyLog(), state: emptyState(), incoming: undefined };
}

export interface World {
  readonly events: EventQueue;
  readonly network: Network;
  readonly oracle: Oracle;
  readonly nodes: ReadonlyMap<NodeId, SimNode>;
  readonly settings: {
    readonly electionTicks: number;
    readonly heartbeatTicks: number;
    readonly messageBytesMax: number;
    /** Applied entries that stay in the log for members that lag. */
    readonly logTailEntries: number;
    readonly checkpointMs: number;
  };
}

interface Process {
  readonly log: SimLog;
  readonly store: SimStore;
  readonly group: Group;
  readonly replica: Replica;
  readonly claims: Claims;
  readonly planner: Planner;
  readonly snapshots: Snapshots;
  readonly made: Map<string, StateImage>;
}

interface Call {
  readonly settle: Settle;
  readonly sinceMs: number;
}

const tickMs = 50;

export class SimNode {
  readonly id: NodeId;
  readonly clock: MachineClock;
  readonly image: MachineImage;
  readonly mood: DiskMood = {
    latencyMs: 1,
    isFull: false,
    breaksNext: false,
    pendingBytesMax: 1 << 30,
  };
  readonly #world: World;
  readonly #random: SeededRandom;
  #process: Process | undefined;
  /** Counts the processes of this machine; what an older one planned does not happen. */
  #run = 0;
  #isPaused = false;
  #backlog: (() => void)[] = [];
  #calls = new Set<Call>();

  constructor(id: NodeId, world: World, parts: { image: MachineImage; seed: number }) {
    this.id = id;
    this.#world = world;
    this.image = parts.image;
    this.#random = new SeededRandom(parts.seed);
    this.clock = new MachineClock(world.events);
  }

  get isUp(): boolean {
    return this.#process !== undefined;
  }

  get isPaused(): boolean {
    return this.#isPaused;
  }

  get group(): Group | undefined {
    return this.#process?.group;
  }

  get replica(): Replica | undefined {
    return this.#process?.replica;
  }

  /** What is wrong with the core of this process; looks at what has changed since it was last asked. */
  findInvariantProblem(): string | undefined {
    if (this.#process === undefined) return undefined;
    const { group, log } = this.#process;
    const from = Math.min(log.takeChangedFrom(), group.state.log.unstable.offset);
    return findInvariantProblem(group.state, from);
  }

  get store(): SimStore | undefined {
    return this.#process?.store;
  }

  /** How long the oldest call waits that has no answer yet. */
  get oldestCallMs(): number {
    let oldest = Number.POSITIVE_INFINITY;
    for (const { sinceMs } of this.#calls) oldest = Math.min(oldest, sinceMs);
    return this.#world.events.nowMs - oldest;
  }

  start(): void {
    if (this.#process !== undefined) return;
    this.#run++;
    this.#isPaused = false;
    const { incoming } = this.image;
    const enter = this.#entrance();
    const disk: Disk = { events: this.#world.events, random: this.#random, mood: this.mood };
    if (incoming !== undefined) this.image.state = incoming.state;
    const log = new SimLog(disk, this.image.log, enter);
    const store = new SimStore(disk, this.image.state, {
      enter,
      keep: (image) => {
        this.image.state = image;
      },
    });
    if (incoming === undefined) {
      enter(() => this.#begin(log, store));
      return;
    }
    this.#align(log, incoming, (ok) => {
      if (!ok) return;
      this.image.incoming = undefined;
      this.#begin(log, store);
    });
  }

  /** The process ends between two events, or in the middle of one: what comes after has no effect. */
  crash(): void {
    const process = this.#process;
    this.#run++;
    this.#process = undefined;
    this.#isPaused = false;
    this.#backlog = [];
    if (process === undefined) return;
    process.planner.stop();
    process.group.stop();
    process.log.crash();
    process.store.crash();
    const gone = new CorvoError("OUTCOME_UNKNOWN", "the connection broke");
    for (const { settle } of [...this.#calls]) settle(undefined, gone);
  }

  pause(): void {
    if (this.#process !== undefined) this.#isPaused = true;
  }

  resume(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    const run = this.#run;
    for (const work of this.#backlog.splice(0)) if (run === this.#run) this.#guard(work);
  }

  receive(messages: readonly Message[]): void {
    this.enter((process) => process.group.receive(messages));
  }

  receiveSnapshot(message: Message, state: StateImage): void {
    this.enter((process) => {
      const snapshot = message.snapshot;
      if (snapshot === undefined || snapshot.index <= process.group.appliedIndex) return;
      this.image.incoming = { state, term: snapshot.term };
      this.crash();
      this.start();
    });
  }

  /** A call of a client. What cannot be proposed, or is cut off by a crash, is settled with the reason. */
  call(change: Change, settle: Settle): void {
    if (this.#process === undefined) {
      settle(undefined, new CorvoError("UNAVAILABLE", "connection refused"));
      return;
    }
    this.enter((process) => {
      const call: Call = {
        sinceMs: this.#world.events.nowMs,
        settle: (outcome, fault) => {
          if (!this.#calls.delete(call)) {
            this.#world.oracle.report(`node ${this.id} settled one call twice`);
          }
          settle(outcome, fault);
        },
      };
      this.#calls.add(call);
      try {
        process.replica.propose(change, 256, (outcome, fault) => {
          if (this.#process === process) call.settle(outcome, fault);
        });
      } catch (error) {
        if (!(error instanceof CorvoError)) throw error;
        call.settle(undefined, error);
      }
    });
  }

  /** A linearizable read: calls back with the index that it saw, or with undefined. */
  read(done: (index: number | undefined) => void): void {
    if (this.#process === undefined) {
      done(undefined);
      return;
    }
    this.enter((process) => {
      const call: Call = {
        sinceMs: this.#world.events.nowMs,
        settle: (outcome) => {
          this.#calls.delete(call);
          done(outcome === undefined ? undefined : process.group.appliedIndex);
        },
      };
      this.#calls.add(call);
      const end = (isDone: boolean) => {
        if (!this.#calls.has(call)) return;
        call.settle(isDone ? { kind: "ok" } : undefined, undefined);
      };
      process.replica.readBarrier().then(
        () => end(true),
        () => end(false),
      );
    });
  }

  /** Lets the process do something now, or when it is resumed. */
  enter(work: (process: Process) => void): void {
    const process = this.#process;
    if (process === undefined) return;
    this.#entrance()(() => work(process));
  }

  /** For events of the present process only. */
  #entrance(): (work: () => void) => void {
    const run = this.#run;
    return (work) => {
      if (run !== this.#run) return;
      if (this.#isPaused) this.#backlog.push(work);
      else this.#guard(work);
    };
  }

  #guard(work: () => void): void {
    try {
      work();
      drainMicrotasks();
    } catch (error) {
      const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
      this.#world.oracle.report(`node ${this.id} failed: ${text}`);
      this.crash();
    }
  }

  /** As the server does when it finds a received snapshot: the log begins after it unless it goes on from it. */
  #align(
    log: SimLog,
    incoming: { readonly state: StateImage; readonly term: number },
    done: (ok: boolean) => void,
  ): void {
    const { index } = incoming.state.point;
    const { first, last, hardState } = log.bounds();
    const entry = index >= first && index <= last ? log.read(0, index, 1)[0] : undefined;
    if (entry?.term === incoming.term) {
      done(true);
      return;
    }
    const resetTo = { index, term: incoming.term };
    const work = { group: 0, entries: [], resetTo, hardState: reaching(hardState, resetTo) };
    log.append(work, (fault) => {
      done(fault === undefined);
      // The server does not come up on a disk that takes no writes; its supervisor starts it again.
      if (fault !== undefined) this.#world.events.after(500, () => this.start());
    });
  }

  #begin(log: SimLog, store: SimStore): void {
    const { oracle, events, settings } = this.#world;
    const { first } = log.bounds();
    if (first > store.stored.index + 1) {
      oracle.report(`node ${this.id}: log from ${first}, state to ${store.stored.index}`);
      return;
    }
    const enter = this.#entrance();
    const timers = processTimers(events, this.clock, enter);
    const parts = { timers, random: this.#random, logger: silent };
    const made = new Map<string, StateImage>();
    const replica: Replica = new Replica(
      {
        ...parts,
        clock: this.clock,
        store,
        onStored: (index) => {
          const { neededAfter } = snapshots;
          const through = Math.min(index - settings.logTailEntries, neededAfter);
          if (through > 0) log.compact(0, through);
        },
        onFatal: () => this.#dieAndReturn(),
        onEffects: (effects) => {
          for (const queue of effects.readyQueues) claims.wake(queue);
          planner.onEffects(effects);
        },
      },
      {
        ...defaultReplicaOptions,
        checkpointMs: settings.checkpointMs,
        quietCheckpointMs: settings.checkpointMs,
      },
    );
    const group = new Group(
      {
        ...parts,
        log,
        send: (to, messages) => this.#send(to, messages),
        sendSnapshot: (to, message, done) => this.#sendSnapshot(to, message, done),
        onEntry: (entry) => this.#apply(replica, store, entry),
        onConf: (conf, entry) => {
          replica.applyConf(conf);
          oracle.applied(this.id, entry, store.state.digest);
        },
        onSoft: (soft) => {
          if (soft.role === "leader") oracle.leads(this.id, group.state.term);
          replica.leadershipChanged();
        },
        onLogFault: (fault) => replica.logFailed(fault),
        onLogRecovered: () => replica.logRecovered(),
      },
      {
        group: 0,
        nodeId: this.id,
        tickMs,
        start: { applied: store.stored.index, conf: store.stored.conf },
        raft: {
          electionTicks: settings.electionTicks,
          heartbeatTicks: settings.heartbeatTicks,
          messageBytesMax: settings.messageBytesMax,
        },
      },
    );
    replica.attach(group);
    const claims = new Claims(replica, timers, new ClaimRates(() => this.clock.monotonicMs()));
    const planner = new Planner({ ...parts, clock: this.clock, replica, dueTimes });
    group.whenReady(() => planner.lead());
    const snapshots = new Snapshots({
      timers,
      logger: silent,
      storage: group.storage,
      make: () => this.#makeSnapshot(replica, store, made),
      remove: (path) => made.delete(path),
    });
    this.#process = { log, store, group, replica, claims, planner, snapshots, made };
    oracle.started(this.id, store.stored.index, store.state.digest);
    replica.start();
    group.start();
  }

  #apply(replica: Replica, store: SimStore, entry: Entry): void {
    const { oracle } = this.#world;
    const batch = decodeBatch(new TextDecoder().decode(entry.data));
    const isFirst = oracle.isFirst(entry.index);
    const { nowMs } = batch;
    store.state.onJob = isFirst
      ? (previous, next) => oracle.jobChanges(nowMs, previous, next)
      : undefined;
    store.state.onRecordPut = isFirst
      ? (kind, key, value) => oracle.schedules.changed(kind, key, value, nowMs)
      : undefined;
    replica.applyEntry(entry);
    oracle.applied(this.id, entry, store.state.digest);
  }

  #dieAndReturn(): void {
    this.#world.oracle.note("diskDeaths");
    this.crash();
    this.#world.events.after(1000, () => this.start());
  }

  #send(to: NodeId, messages: readonly Message[]): void {
    const { network, nodes, events } = this.#world;
    const arrives = network.send(this.id, to, () => nodes.get(to)?.receive(messages));
    if (arrives || this.#random.uint32() % 4 !== 0) return;
    const enter = this.#entrance();
    events.after(5, () => enter(() => this.group?.reportUnreachable(to)));
  }

  #sendSnapshot(to: NodeId, message: Message, done: (ok: boolean) => void): void {
    const { network, nodes, events, oracle } = this.#world;
    const path = this.#process?.snapshots.fileOf(message.snapshot?.index ?? 0)?.path;
    const state = path === undefined ? undefined : this.#process?.made.get(path);
    if (state === undefined) {
      done(false);
      return;
    }
    oracle.note("snapshotsSent");
    const enter = this.#entrance();
    let isAnswered = false;
    const answer = (ok: boolean) =>
      enter(() => {
        if (isAnswered) return;
        isAnswered = true;
        done(ok);
      });
    const arrives = network.send(this.id, to, () => {
      nodes.get(to)?.receiveSnapshot(message, state);
      network.send(to, this.id, () => answer(true));
    });
    events.after(arrives ? 2000 : 20, () => answer(false));
  }

  async #makeSnapshot(
    replica: Replica,
    store: SimStore,
    made: Map<string, StateImage>,
  ): Promise<{ path: string; bytes: number; index: number; conf: StateImage["point"]["conf"] }> {
    await replica.storeState();
    const { events } = this.#world;
    const enter = this.#entrance();
    const image = store.storedImage;
    await new Promise<void>((resolve) => events.after(3, () => enter(resolve)));
    const path = String(image.point.index);
    made.set(path, image);
    return { path, bytes: 1, ...image.point };
  }
}

const silent: Logger = { debug() {}, info() {}, warn() {}, error() {} };
