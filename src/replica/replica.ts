/**
 * The running node: joins consensus and engine. Everything that changes state passes through here, one way:
 *
 *   propose → open batch → (stamp time and seed) → consensus, durable on a quorum → engine.apply → answers, then effects
 *
 * One batch is in flight; what arrives meanwhile is the next one, so the size of a batch follows the load by itself and
 * no timer is involved. Answers are given only for applied batches. On a node that does not lead, entries arrive from
 * the leader and are applied the same way; nothing can be proposed there.
 */
import { CorvoError } from "../base/errors.ts";
import type { LogFault } from "../base/log.ts";
import type { Clock, Logger, Random, Timers } from "../base/ports.ts";
import { type Batch, type Change, decodeBatch, encodeBatch } from "../engine/change.ts";
import { Engine } from "../engine/engine.ts";
import { needOf, newestFeatureLevel, versionOfLevel } from "../engine/feature-levels.ts";
import { createEffects, type Effects, type Outcome } from "../engine/outcome.ts";
import type { Place } from "../engine/place.ts";
import { refuseIllFormed } from "../engine/well-formed.ts";
import type { ConfState, Entry } from "../raft/message.ts";
import { Alarm } from "./alarm.ts";
import { type CheckpointOptions, Checkpoints } from "./checkpoints.ts";
import { LogTime } from "./log-time.ts";
import type { AppliedPoint, Consensus, StateStore } from "./ports.ts";

/** Called once: with the outcome, or with the reason why there is none. */
export type Settle = (outcome: Outcome | undefined, fault: CorvoError | undefined) => void;

interface Proposal {
  readonly change: Change;
  readonly bytes: number;
  readonly settle: Settle;
}

interface Flight {
  readonly index: number;
  readonly term: number;
  readonly batch: Batch;
  readonly proposals: readonly Proposal[];
  readonly bytes: number;
}

export interface ReplicaDeps {
  readonly clock: Clock;
  readonly timers: Timers;
  readonly random: Random;
  readonly logger: Logger;
  readonly store: StateStore;
  /** Entries up to this index are stored in the state and not needed any more. */
  readonly onStored: (index: number) => void;
  /** The log can no longer be trusted: the process must end. */
  readonly onFatal: (reason: string) => void;
  readonly onEffects: (effects: Effects) => void;
  /** A blob got its first use, or lost its last; on every node. */
  readonly onBlobsChanged?: () => void;
  /** Which of the cluster's shards this is; the only one when absent. */
  readonly place?: Place;
  /** Messages to or from other shards were written, taken or forgotten, whoever leads. */
  readonly onMail?: () => void;
  /** Life-cycle events were added; on every node, also where `onEffects` is not called. */
  readonly onEvents?: () => void;
  /** From now on only programs that know this level may touch what the node keeps. */
  readonly onFeatureLevel?: (level: number) => void;
}

export interface ReplicaOptions extends CheckpointOptions {
  /** Changes and bytes that may wait for the log; beyond these, calls are refused as OVERLOADED. */
  readonly pendingChangesMax: number;
  readonly pendingBytesMax: number;
  /** A batch takes no further change once it has this many bytes. */
  readonly batchBytesMax: number;
}

export const defaultReplicaOptions: ReplicaOptions = {
  pendingChangesMax: 16_384,
  pendingBytesMax: 64 * 1024 * 1024,
  batchBytesMax: 4 * 1024 * 1024,
  checkpointMs: 1000,
  checkpointRecords: 25_000,
  quietCheckpointMs: 10_000,
  quietRecords: 1000,
  unstoredBytesMax: 96 * 1024 * 1024,
};

const advanceStepsMax = 2000;
/** Memory of a life-cycle event that waits to be stored, about: a claim of a few bytes makes hundreds. */
const eventBytes = 40;

export class Replica {
  readonly engine: Engine;
  readonly #deps: ReplicaDeps;
  readonly #options: ReplicaOptions;
  readonly #checkpoints: Checkpoints;
  readonly #alarm: Alarm;
  readonly #time: LogTime;
  readonly #encoder = new TextEncoder();
  readonly #decoder = new TextDecoder();
  #consensus: Consensus | undefined;
  /**
   * Where the engine and the membership stand, which is what a checkpoint stores. Consensus counts an entry before it is
   * carried out here, and may ask for a snapshot in between: the next batch is proposed before this one is applied.
   */
  #applied: AppliedPoint;
  #waiting: Proposal[] = [];
  #waitingBytes = 0;
  #inFlight: Flight | undefined;
  #flushQueued = false;
  /** Between a batch and its effects, which tell of everything that became ready. */
  #isApplying = false;
  #readOnly: string | undefined;
  #stopped: CorvoError | undefined;
  #applyMs = 0;
  #idle: (() => void)[] = [];

  constructor(deps: ReplicaDeps, options: ReplicaOptions = defaultReplicaOptions) {
    this.#deps = deps;
    this.#options = options;
    this.engine = new Engine(deps.store.state, undefined, deps.place);
    this.#applied = deps.store.stored;
    this.#time = new LogTime(deps.clock, deps.store.state.meta.nowMs);
    this.#checkpoints = new Checkpoints({ ...deps, applied: () => this.#applied }, options);
    this.#alarm = new Alarm({
      ...deps,
      time: this.#time,
      isOnDuty: () => this.#stopped === undefined && this.isLeader,
      nextDeadlineMs: () => Math.min(this.engine.nextDeadlineMs(), this.engine.nextWakeMs()),
      advance: (done) =>
        this.propose({ kind: "advanceTime", limit: advanceStepsMax }, 64, (outcome) =>
          done(outcome !== undefined),
        ),
    });
  }

  /** Joins the consensus that this replica applies; once, before anything else. */
  attach(consensus: Consensus): void {
    this.#consensus = consensus;
  }

  /** May changes be proposed here? */
  get isLeader(): boolean {
    return this.#consensus?.isReady === true;
  }

  get appliedIndex(): number {
    return this.#consensus?.appliedIndex ?? this.#deps.store.stored.index;
  }

  /** The time that a batch made now would have. */
  get nextBatchMs(): number {
    return this.#time.nowMs;
  }

  get checkpointedIndex(): number {
    return this.#checkpoints.storedIndex;
  }

  get pendingChanges(): number {
    return this.#waiting.length + (this.#inFlight?.proposals.length ?? 0);
  }

  /** How long the engine took for the last batch, during which nothing else was done here. */
  get applyMs(): number {
    return this.#applyMs;
  }

  /** The membership as applied. */
  get conf(): ConfState {
    return this.#applied.conf;
  }

  /** Why writes are refused at the moment, or undefined. */
  get readOnlyReason(): string | undefined {
    return this.#readOnly ?? this.#checkpoints.fault;
  }

  /** Why this node should get no work, or undefined. */
  get unhealthyReason(): string | undefined {
    return this.#stopped?.message ?? this.readOnlyReason;
  }

  /** Begins to make checkpoints. */
  start(): void {
    this.#checkpoints.start();
  }

  /**
   * Proposes a change. `bytes` is its approximate size. `settle` is called exactly once, never before this returns,
   * unless the call is refused at once: then it throws, and nothing happened.
   */
  propose(change: Change, bytes: number, settle: Settle): void {
    if (this.#stopped !== undefined) throw this.#stopped;
    if (!this.isLeader) throw notLeader();
    this.#refuseIllFormed(change);
    if (this.engine.featureLevel < newestFeatureLevel) this.#refuseUnknown(change);
    this.#admit(bytes);
    this.#waiting.push({ change, bytes, settle });
    this.#waitingBytes += bytes;
    if (this.#inFlight === undefined && !this.#flushQueued) {
      this.#flushQueued = true;
      queueMicrotask(() => {
        this.#flushQueued = false;
        this.#flush();
      });
    }
  }

  /** `propose` as a promise. */
  submit(change: Change, bytes = 256): Promise<Outcome> {
    return new Promise((resolve, reject) => {
      this.propose(change, bytes, (outcome, fault) => {
        if (outcome === undefined) reject(fault);
        else resolve(outcome);
      });
    });
  }

  /** How many jobs a claim of the queue could get, counted up to `most`. Somebody waits there, so what stops the others is timed from now on. */
  claimable(queue: string, most: number, labels?: readonly string[]): number {
    const count = this.engine.claimable(queue, most, labels);
    if (!this.#isApplying) this.#tellOfReady();
    if (this.engine.nextWakeMs() !== Number.POSITIVE_INFINITY) this.#alarm.arm();
    return count;
  }

  /** Looking at one queue may find that the time of others has come; no batch would tell those who wait there. */
  #tellOfReady(): void {
    const readyQueues = this.engine.takeReadyQueues();
    if (readyQueues === undefined) return;
    queueMicrotask(() => {
      if (this.isLeader) this.#deps.onEffects({ ...createEffects(), readyQueues });
    });
  }

  /** Resolves when a read of the engine sees everything that was acknowledged before the call. */
  async readBarrier(): Promise<void> {
    try {
      await this.#consensus?.readBarrier();
    } catch {
      throw notLeader();
    }
  }

  /** Resolves when what the engine holds now can be read from the database. */
  flushState(): Promise<void> {
    return this.#checkpoints.flush();
  }

  /** Stores the state as of now, with the applied index and the members, even if no record changed. */
  storeState(): Promise<void> {
    return this.#checkpoints.advance();
  }

  /** Finishes what was accepted, stores the state, and refuses everything after. */
  async stop(): Promise<void> {
    this.#stopped ??= new CorvoError("UNAVAILABLE", "the server is shutting down");
    this.#alarm.stop();
    this.#checkpoints.stop();
    if (this.pendingChanges > 0 && this.#readOnly === undefined) {
      await new Promise<void>((resolve) => this.#idle.push(resolve));
    }
    try {
      await this.#checkpoints.flush();
    } catch (error) {
      this.#deps.logger.warn("the state was not stored at shutdown; the log has it", { error });
    }
  }

  /** A committed entry, from consensus, in order. */
  applyEntry(entry: Entry): void {
    const flight = this.#inFlight;
    const isOwn = flight?.index === entry.index && flight.term === entry.term;
    const batch = isOwn ? flight.batch : decodeBatch(this.#decoder.decode(entry.data));
    if (isOwn) this.#inFlight = undefined;
    else if (flight !== undefined && flight.index <= entry.index) this.#abandonFlight();
    // The next batch is written while this one is applied and answered.
    this.#flush();
    const level = this.engine.featureLevel;
    const { meta } = this.engine.state;
    const { nextEvent } = meta;
    this.#isApplying = true;
    const startedMs = this.#deps.clock.monotonicMs();
    const outcomes = this.engine.apply(batch);
    this.#applied = { ...this.#applied, index: entry.index };
    this.#applyMs = this.#deps.clock.monotonicMs() - startedMs;
    if (this.engine.featureLevel !== level) this.#deps.onFeatureLevel?.(this.engine.featureLevel);
    this.#time.note(batch.nowMs);
    if (isOwn) {
      const { proposals } = flight;
      for (let i = 0; i < proposals.length; i++) proposals[i]?.settle(outcomes[i], undefined);
    }
    const effects = this.engine.takeEffects();
    this.#isApplying = false;
    if (this.isLeader) this.#deps.onEffects(effects);
    if (effects.blobsChanged) this.#deps.onBlobsChanged?.();
    if (effects.mailMoved) this.#deps.onMail?.();
    if (meta.nextEvent !== nextEvent) this.#deps.onEvents?.();
    this.#alarm.arm();
    this.#checkpoints.note(entry.data.length + (meta.nextEvent - nextEvent) * eventBytes);
    this.#resolveIdle();
  }

  /** The membership changed with the entry of this index. */
  applyConf(conf: ConfState, index: number): void {
    this.#applied = { index, conf };
  }

  /** Leadership was won, lost, or became usable. What this node can no longer promise is answered at once. */
  leadershipChanged(): void {
    if (this.isLeader) {
      this.#alarm.arm();
      return;
    }
    this.#alarm.stop();
    this.#abandonFlight();
    this.#refuseWaiting(notLeader());
    this.#resolveIdle();
  }

  /** A write of the log failed. A full disk is waited for by consensus; any other failure is final. */
  logFailed(fault: LogFault): void {
    if (fault.kind === "disk_full" || fault.kind === "overloaded") {
      const error = new CorvoError("READ_ONLY", `the log cannot grow: ${fault.message}`, {
        retryAfterMs: 1000,
      });
      this.#readOnly = error.message;
      this.#abandonFlight();
      this.#refuseWaiting(error);
    } else {
      this.#stopped = new CorvoError("OUTCOME_UNKNOWN", `the log failed: ${fault.message}`);
      this.#abandonFlight();
      this.#refuseWaiting(this.#stopped);
      this.#deps.onFatal(this.#stopped.message);
    }
    this.#resolveIdle();
  }

  /** The log takes writes again. */
  logRecovered(): void {
    this.#readOnly = undefined;
    this.#alarm.arm();
  }

  /** Memory that no one else bounds: what waits for the log, and what waits to be stored. */
  #admit(bytes: number): void {
    if (this.#readOnly !== undefined) {
      throw new CorvoError("READ_ONLY", this.#readOnly, { retryAfterMs: 1000 });
    }
    const pending = this.pendingChanges;
    if (pending >= this.#options.pendingChangesMax) {
      throw overloaded(`${pending} changes wait for the log (pendingChangesMax)`);
    }
    if (this.#waitingBytes + bytes > this.#options.pendingBytesMax) {
      throw overloaded(`${this.#waitingBytes} bytes wait for the log (pendingBytesMax)`);
    }
    this.#checkpoints.admit(bytes);
  }

  #flush(): void {
    if (this.#inFlight !== undefined || this.#waiting.length === 0) return;
    if (!this.isLeader) {
      this.#refuseWaiting(notLeader());
      return;
    }
    const proposals = this.#takeBatch();
    const batch: Batch = {
      nowMs: this.#time.next(),
      seed: this.#deps.random.uint32(),
      changes: proposals.map((proposal) => proposal.change),
    };
    let bytes = 0;
    for (const proposal of proposals) bytes += proposal.bytes;
    const text = encodeBatch(batch, this.#levelOf(batch));
    const result = this.#consensus?.propose(this.#encoder.encode(text));
    if (result?.kind !== "appended") {
      const error = notLeader(result?.kind === "dropped" ? result.reason : undefined);
      for (const proposal of proposals) proposal.settle(undefined, error);
      return;
    }
    this.#inFlight = { index: result.first, term: result.term, batch, proposals, bytes };
  }

  /** What a reader of the batch must know. An entry that raises the level is of the new one itself. */
  #levelOf(batch: Batch): number {
    let level = this.engine.featureLevel;
    if (level === newestFeatureLevel) return level;
    for (const change of batch.changes) {
      if (change.kind === "raiseFeatureLevel") level = Math.max(level, change.level);
    }
    return level;
  }

  /** What the handlers let through, or the node itself made, is a fault of the program. */
  #refuseIllFormed(change: Change): void {
    try {
      refuseIllFormed(change);
    } catch (error) {
      this.#deps.logger.warn("a change of a wrong form was kept out of the log", { error });
      throw error;
    }
  }

  /** While there are nodes that do not know a change, nobody may ask for it. */
  #refuseUnknown(change: Change): void {
    if (change.kind === "raiseFeatureLevel") return;
    const { featureLevel } = this.engine;
    const { level, because } = needOf(change);
    if (level <= featureLevel) return;
    throw new CorvoError(
      "UNSUPPORTED",
      `${because} needs feature level ${level}; the cluster is at level ${featureLevel} until every node runs corvo ${versionOfLevel(level)} or later`,
      { hint: "Upgrade the nodes that `corvo cluster status` shows with an older version." },
    );
  }

  #takeBatch(): Proposal[] {
    let bytes = 0;
    let count = 0;
    for (const proposal of this.#waiting) {
      if (count > 0 && bytes + proposal.bytes > this.#options.batchBytesMax) break;
      bytes += proposal.bytes;
      count++;
    }
    this.#waitingBytes -= bytes;
    if (count < this.#waiting.length) return this.#waiting.splice(0, count);
    const all = this.#waiting;
    this.#waiting = [];
    return all;
  }

  /** Whether the batch in flight takes effect is not known here any more. */
  #abandonFlight(): void {
    const flight = this.#inFlight;
    if (flight === undefined) return;
    this.#inFlight = undefined;
    const error = new CorvoError(
      "OUTCOME_UNKNOWN",
      "the node lost its leadership or its disk while the call was in the log's hands",
    );
    for (const proposal of flight.proposals) proposal.settle(undefined, error);
  }

  #refuseWaiting(error: CorvoError): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    this.#waitingBytes = 0;
    for (const proposal of waiting) proposal.settle(undefined, error);
  }

  #resolveIdle(): void {
    if (this.pendingChanges > 0) return;
    for (const resolve of this.#idle.splice(0)) resolve();
  }
}

function overloaded(message: string): CorvoError {
  return new CorvoError("OVERLOADED", message, { retryAfterMs: 20 });
}

function notLeader(reason?: string): CorvoError {
  const because = reason === undefined ? "" : ` (${reason})`;
  return new CorvoError("UNAVAILABLE", `this node does not lead at the moment${because}`, {
    retryAfterMs: 200,
  });
}
