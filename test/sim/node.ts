/**
 * One machine with one process on it (`process.ts`). The machine outlives the process: a crash keeps the disk's image and
 * nothing else, a pause lets the world go on while the process sees nothing of it.
 */
import { drainMicrotasks } from "bun:jsc";
import { CorvoError } from "../../src/base/errors.ts";
import type { Change } from "../../src/engine/change.ts";
import { findInvariantProblem } from "../../src/raft/invariants.ts";
import type { Message, NodeId } from "../../src/raft/message.ts";
import type { Group } from "../../src/replica/group.ts";
import type { Membership } from "../../src/replica/membership.ts";
import type { Replica, Settle } from "../../src/replica/replica.ts";
import { reaching } from "../../src/store/snapshots.ts";
import { SeededRandom } from "../support/seeded-random.ts";
import { type Disk, type DiskMood, damageLog, findDamage, SimLog } from "./disk.ts";
import type { MachineImage, World } from "./machine.ts";
import { createProcess, type Process, type ProcessHost } from "./process.ts";
import { SimStore, type StateImage } from "./stored-state.ts";
import { MachineClock } from "./virtual-time.ts";

interface Call {
  readonly settle: Settle;
  readonly sinceMs: number;
}

export class SimNode {
  readonly id: NodeId;
  readonly uuid: string;
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

  constructor(
    id: NodeId,
    world: World,
    parts: { image: MachineImage; uuid: string; seed: number },
  ) {
    this.id = id;
    this.uuid = parts.uuid;
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

  /** The program does not start on a log that lost something. */
  get isRefused(): boolean {
    return findDamage(this.image.log) !== undefined;
  }

  /** A power cut that leaves a damaged disk. False when there is nothing to damage. */
  damage(random: SeededRandom): boolean {
    this.crash();
    if (damageLog(this.image.log, random)) return true;
    this.start();
    return false;
  }

  start(): void {
    if (this.#process !== undefined) return;
    if (this.isRefused) {
      this.#world.oracle.note("startsRefused");
      return;
    }
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
      onCheckpoint: (point, digest) => this.#world.oracle.stores(this.id, point, digest),
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
    process.membership.stop();
    process.planner.stop();
    process.sweeper.stop();
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

  /** Asks this node's membership for something. A crash is no answer. */
  ask<T>(
    act: (membership: Membership) => Promise<T>,
    done: (answer: T | undefined, fault: CorvoError | undefined) => void,
  ): void {
    this.enter((process) => {
      const isGone = () => this.#process !== process;
      act(process.membership).then(
        (answer) => {
          if (!isGone()) done(answer, undefined);
        },
        (error: unknown) => {
          if (error instanceof CorvoError) {
            if (!isGone()) done(undefined, error);
          } else this.#world.oracle.report(`node ${this.id} failed: ${String(error)}`);
        },
      );
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
    const { oracle } = this.#world;
    const { first } = log.bounds();
    if (first > store.stored.index + 1) {
      oracle.report(`node ${this.id}: log from ${first}, state to ${store.stored.index}`);
      return;
    }
    const host: ProcessHost = {
      id: this.id,
      uuid: this.uuid,
      world: this.#world,
      clock: this.clock,
      random: this.#random,
      enter: this.#entrance(),
      send: (to, messages) => this.#send(to, messages),
      sendSnapshot: (to, message, done) => this.#sendSnapshot(to, message, done),
      onFatal: () => this.#dieAndReturn(),
    };
    const process = createProcess(host, log, store);
    this.#process = process;
    oracle.started(this.id, store.stored.index, store.state.digest);
    process.replica.start();
    process.group.start();
    process.membership.start();
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
    const lent = this.#process?.snapshots.lend(message.snapshot?.index ?? 0);
    const state = lent === undefined ? undefined : this.#process?.made.get(lent.path);
    if (lent === undefined || state === undefined) {
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
        lent.giveBack();
        done(ok);
      });
    const arrives = network.send(this.id, to, () => {
      nodes.get(to)?.receiveSnapshot(message, state);
      network.send(to, this.id, () => answer(true));
    });
    events.after(arrives ? 2000 : 20, () => answer(false));
  }
}
