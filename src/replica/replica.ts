/**
 * The running node: joins log and engine. Everything that changes state passes through here, one way:
 *
 *   propose → open batch → (stamp time and seed) → log, durable → engine.apply → answers, then effects
 *
 * One write is in flight; what arrives meanwhile is the next batch, so the size of a batch follows the load by itself
 * and no timer is involved. Invariant: applied ≤ appended, and answers are given only for applied batches.
 */
import { CorvoError } from "../base/errors.ts";
import type { Clock, Logger, Random, Timers } from "../base/ports.ts";
import { type Batch, type Change, decodeBatch, encodeBatch } from "../engine/change.ts";
import { Engine } from "../engine/engine.ts";
import type { Effects, Outcome } from "../engine/outcome.ts";
import type { CommitLog, LogFault, StateStore } from "./ports.ts";

/** Called once: with the outcome, or with the reason why there is none. */
export type Settle = (outcome: Outcome | undefined, fault: CorvoError | undefined) => void;

interface Proposal {
  readonly change: Change;
  readonly bytes: number;
  readonly settle: Settle;
}

export interface ReplicaDeps {
  readonly clock: Clock;
  readonly timers: Timers;
  readonly random: Random;
  readonly logger: Logger;
  readonly log: CommitLog;
  readonly store: StateStore;
  /** The log can no longer be trusted: the process must end. */
  readonly onFatal: (reason: string) => void;
  readonly onEffects: (effects: Effects) => void;
}

export interface ReplicaOptions {
  /** Changes and bytes that may wait for the log; beyond these, calls are refused as OVERLOADED. */
  readonly pendingChangesMax: number;
  readonly pendingBytesMax: number;
  /** A batch takes no further change once it has this many bytes. */
  readonly batchBytesMax: number;
  /** Checkpoints come after this time, or as soon as this many records changed. */
  readonly checkpointMs: number;
  readonly checkpointRecords: number;
  /** Bytes of applied changes that no checkpoint has stored yet; at a quarter of this one is begun at once. */
  readonly unstoredBytesMax: number;
  /** Applied entries kept in the log although a checkpoint covers them. */
  readonly logTailEntries: number;
}

export const defaultReplicaOptions: ReplicaOptions = {
  pendingChangesMax: 16_384,
  pendingBytesMax: 64 * 1024 * 1024,
  batchBytesMax: 4 * 1024 * 1024,
  checkpointMs: 1000,
  checkpointRecords: 100_000,
  unstoredBytesMax: 256 * 1024 * 1024,
  logTailEntries: 1000,
};

/** How soon a refused `advanceTime` is tried again. */
const retryWakeMs = 500;
const advanceStepsMax = 2000;
/** Timers of the platform take at most a signed 32-bit number of milliseconds. */
const timerMsMax = 2 ** 31 - 1;

export class Replica {
  readonly engine: Engine;
  readonly #deps: ReplicaDeps;
  readonly #options: ReplicaOptions;
  #waiting: Proposal[] = [];
  #waitingBytes = 0;
  #inFlight: { batch: Batch; proposals: Proposal[]; bytes: number } | undefined;
  #flushQueued = false;
  #appliedIndex: number;
  #lastNowMs = 0;
  #readOnly: string | undefined;
  #stateFault: string | undefined;
  #unstoredBytes = 0;
  #stopped: CorvoError | undefined;
  #advancing = false;
  #wakeAtMs = Number.POSITIVE_INFINITY;
  #cancelWake: (() => void) | undefined;
  #cancelCheckpoint: (() => void) | undefined;
  #checkpointing: Promise<void> | undefined;
  #checkpointedIndex: number;
  #idle: (() => void)[] = [];

  constructor(deps: ReplicaDeps, options: ReplicaOptions = defaultReplicaOptions) {
    this.#deps = deps;
    this.#options = options;
    this.engine = new Engine(deps.store.state);
    this.#appliedIndex = deps.store.storedIndex;
    this.#checkpointedIndex = deps.store.storedIndex;
    this.#lastNowMs = deps.store.state.meta.nowMs;
  }

  get appliedIndex(): number {
    return this.#appliedIndex;
  }

  get checkpointedIndex(): number {
    return this.#checkpointedIndex;
  }

  get pendingChanges(): number {
    return this.#waiting.length + (this.#inFlight?.proposals.length ?? 0);
  }

  /** Why writes are refused at the moment, or undefined. */
  get readOnlyReason(): string | undefined {
    return this.#readOnly ?? this.#stateFault;
  }

  /** Why this node should get no work, or undefined. */
  get unhealthyReason(): string | undefined {
    return this.#stopped?.message ?? this.readOnlyReason;
  }

  /** Applies an entry that the log already holds; only before `start`. */
  replay(index: number, text: string): void {
    const batch = decodeBatch(text);
    this.engine.apply(batch);
    this.engine.takeEffects();
    this.#appliedIndex = index;
    this.#lastNowMs = batch.nowMs;
  }

  /** Begins to keep time and to make checkpoints. */
  start(): void {
    this.#armWake();
    this.#armCheckpoint();
  }

  /**
   * Proposes a change. `bytes` is its approximate size. `settle` is called exactly once, never before this returns,
   * unless the call is refused at once: then it throws, and nothing happened.
   */
  propose(change: Change, bytes: number, settle: Settle): void {
    if (this.#stopped !== undefined) throw this.#stopped;
    this.#refuseWhenFull(bytes);
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

  /** Memory that no one else bounds: what waits for the log, and what waits to be stored. */
  #refuseWhenFull(bytes: number): void {
    const pending = this.pendingChanges;
    if (pending >= this.#options.pendingChangesMax) {
      throw overloaded(`${pending} changes wait for the log (pendingChangesMax)`);
    }
    if (this.#waitingBytes + bytes > this.#options.pendingBytesMax) {
      throw overloaded(`${this.#waitingBytes} bytes wait for the log (pendingBytesMax)`);
    }
    if (this.#unstoredBytes + bytes > this.#options.unstoredBytesMax) {
      if (this.#stateFault !== undefined) {
        throw new CorvoError("READ_ONLY", this.#stateFault, { retryAfterMs: 1000 });
      }
      throw overloaded(`${this.#unstoredBytes} bytes wait to be stored (unstoredBytesMax)`);
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

  /** Resolves when what the engine holds now can be read from the database. */
  async flushState(): Promise<void> {
    const target = this.#appliedIndex;
    while (this.#checkpointedIndex < target) {
      if (this.#checkpointing === undefined && this.#deps.store.dirtyCount === 0) return;
      await this.#checkpoint();
    }
  }

  /** Finishes what was accepted, stores the state, and refuses everything after. */
  async stop(): Promise<void> {
    this.#stopped ??= new CorvoError("UNAVAILABLE", "the server is shutting down");
    this.#cancelWake?.();
    this.#cancelCheckpoint?.();
    if (this.pendingChanges > 0) await new Promise<void>((resolve) => this.#idle.push(resolve));
    try {
      await this.#checkpointing;
      await this.#checkpoint();
    } catch (error) {
      this.#deps.logger.warn("the state was not stored at shutdown; the log has it", { error });
    }
  }

  #flush(): void {
    if (this.#inFlight !== undefined || this.#waiting.length === 0) return;
    const proposals = this.#takeBatch();
    this.#lastNowMs = Math.max(this.#lastNowMs, this.#deps.clock.nowMs());
    const batch: Batch = {
      nowMs: this.#lastNowMs,
      seed: this.#deps.random.uint32(),
      changes: proposals.map((proposal) => proposal.change),
    };
    let bytes = 0;
    for (const proposal of proposals) bytes += proposal.bytes;
    const index = this.#appliedIndex + 1;
    this.#inFlight = { batch, proposals, bytes };
    this.#deps.log.append(index, encodeBatch(batch), (fault) => this.#appended(index, fault));
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

  #appended(index: number, fault: LogFault | undefined): void {
    const flight = this.#inFlight;
    if (flight === undefined) return;
    this.#inFlight = undefined;
    if (fault !== undefined) {
      this.#refuse(flight.proposals, fault);
      return;
    }
    this.#readOnly = undefined;
    this.#appliedIndex = index;
    this.#unstoredBytes += flight.bytes;
    // The next batch is written while this one is applied and answered.
    this.#flush();
    const outcomes = this.engine.apply(flight.batch);
    for (let i = 0; i < flight.proposals.length; i++) {
      flight.proposals[i]?.settle(outcomes[i], undefined);
    }
    this.#deps.onEffects(this.engine.takeEffects());
    this.#armWake();
    this.#checkpointIfLarge();
    this.#resolveIdle();
  }

  #refuse(proposals: readonly Proposal[], fault: LogFault): void {
    const error =
      fault.kind === "disk_full"
        ? new CorvoError("READ_ONLY", `the log cannot grow: ${fault.message}`, {
            retryAfterMs: 1000,
          })
        : new CorvoError("OUTCOME_UNKNOWN", `the log failed: ${fault.message}`);
    const all = [...proposals, ...this.#waiting];
    this.#waiting = [];
    this.#waitingBytes = 0;
    if (fault.kind === "disk_full") {
      this.#readOnly = error.message;
      this.#retryWake();
    } else {
      this.#stopped = error;
      this.#deps.onFatal(error.message);
    }
    for (const proposal of all) proposal.settle(undefined, error);
    this.#resolveIdle();
  }

  #resolveIdle(): void {
    if (this.pendingChanges > 0) return;
    for (const resolve of this.#idle.splice(0)) resolve();
  }

  /** Sleeps until the next thing that time alone causes, then proposes it. */
  #armWake(): void {
    if (this.#stopped !== undefined || this.#advancing) return;
    const atMs = this.engine.nextDeadlineMs();
    if (atMs === Number.POSITIVE_INFINITY || atMs >= this.#wakeAtMs) return;
    this.#cancelWake?.();
    this.#wakeAtMs = atMs;
    const delayMs = Math.min(timerMsMax, Math.max(0, atMs - this.#deps.clock.nowMs()));
    this.#cancelWake = this.#deps.timers.after(delayMs, () => this.#wake());
  }

  #wake(): void {
    this.#wakeAtMs = Number.POSITIVE_INFINITY;
    this.#cancelWake = undefined;
    if (this.#stopped !== undefined || this.#advancing) return;
    const nowMs = Math.max(this.#lastNowMs, this.#deps.clock.nowMs());
    // A read-only node writes an empty step now and then, to notice that there is space again.
    if (this.engine.nextDeadlineMs() > nowMs && this.#readOnly === undefined) {
      this.#armWake();
      return;
    }
    this.#advancing = true;
    try {
      this.propose({ kind: "advanceTime", limit: advanceStepsMax }, 64, (_outcome, fault) => {
        this.#advancing = false;
        // The wake that follows this apply goes on if there was more; after a refusal time is tried again later.
        if (fault !== undefined) this.#retryWake();
      });
    } catch {
      this.#advancing = false;
      this.#retryWake();
    }
  }

  #retryWake(): void {
    if (this.#stopped !== undefined) return;
    this.#cancelWake?.();
    this.#wakeAtMs = this.#deps.clock.nowMs() + retryWakeMs;
    this.#cancelWake = this.#deps.timers.after(retryWakeMs, () => this.#wake());
  }

  #armCheckpoint(): void {
    if (this.#stopped !== undefined) return;
    this.#cancelCheckpoint?.();
    this.#cancelCheckpoint = this.#deps.timers.after(this.#options.checkpointMs, () => {
      this.#checkpoint().catch(() => undefined);
      this.#armCheckpoint();
    });
  }

  #checkpointIfLarge(): void {
    if (this.#checkpointing !== undefined) return;
    if (
      this.#deps.store.dirtyCount >= this.#options.checkpointRecords ||
      this.#unstoredBytes * 4 > this.#options.unstoredBytesMax
    ) {
      this.#checkpoint().catch(() => undefined);
    }
  }

  /** Stores the state; joins the one under way. A failure is logged, and the records stay dirty. */
  #checkpoint(): Promise<void> {
    if (this.#checkpointing !== undefined) return this.#checkpointing;
    if (this.#deps.store.dirtyCount === 0) {
      return Promise.resolve();
    }
    const index = this.#appliedIndex;
    const bytes = this.#unstoredBytes;
    this.#checkpointing = this.#deps.store
      .checkpoint(index)
      .then(
        () => {
          this.#checkpointedIndex = index;
          this.#unstoredBytes -= bytes;
          this.#stateFault = undefined;
          const through = index - this.#options.logTailEntries;
          if (through > 0) this.#deps.log.compact(through);
        },
        (error: unknown) => {
          this.#stateFault = `the state cannot be stored: ${error instanceof Error ? error.message : error}`;
          this.#deps.logger.error("the state could not be stored; it is kept in memory", { error });
          throw error;
        },
      )
      .finally(() => {
        this.#checkpointing = undefined;
      });
    return this.#checkpointing;
  }
}

function overloaded(message: string): CorvoError {
  return new CorvoError("OVERLOADED", message, { retryAfterMs: 20 });
}
