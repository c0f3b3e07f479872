/**
 * When the state is stored: each second, or sooner when much has changed. One checkpoint at a time. What is applied and
 * not yet stored lives in memory, so it has a bound in bytes; beyond it, calls are refused.
 */
import { CorvoError } from "../base/errors.ts";
import type { Logger, Timers } from "../base/ports.ts";
import type { AppliedPoint, StateStore } from "./ports.ts";

export interface CheckpointOptions {
  /** Checkpoints come after this time, or as soon as this many records changed. */
  readonly checkpointMs: number;
  readonly checkpointRecords: number;
  /**
   * A few changes wait longer: their fsync would meet those of the log on the same disk and show in the latency of an
   * idle system, while replaying them at a start costs nothing.
   */
  readonly quietCheckpointMs: number;
  readonly quietRecords: number;
  /** Bytes of applied changes that no checkpoint has stored yet; at a quarter of this one is begun at once. */
  readonly unstoredBytesMax: number;
}

interface CheckpointDeps {
  readonly store: StateStore;
  readonly timers: Timers;
  readonly logger: Logger;
  /** Where the engine stands now. */
  readonly applied: () => AppliedPoint;
  /** The state is stored up to here. */
  readonly onStored: (index: number) => void;
}

export class Checkpoints {
  readonly #deps: CheckpointDeps;
  readonly #options: CheckpointOptions;
  #storedIndex: number;
  #unstoredBytes = 0;
  /** Time since the last checkpoint, in steps of the timer. */
  #quietMs = 0;
  #running: Promise<void> | undefined;
  #fault: string | undefined;
  #cancelTimer: (() => void) | undefined;

  constructor(deps: CheckpointDeps, options: CheckpointOptions) {
    this.#deps = deps;
    this.#options = options;
    this.#storedIndex = deps.store.stored.index;
  }

  get storedIndex(): number {
    return this.#storedIndex;
  }

  /** Why the state cannot be stored at present, or undefined. */
  get fault(): string | undefined {
    return this.#fault;
  }

  start(): void {
    this.#cancelTimer = this.#deps.timers.after(this.#options.checkpointMs, () => {
      this.#quietMs += this.#options.checkpointMs;
      const isWorthIt = this.#deps.store.dirtyCount >= this.#options.quietRecords;
      if (isWorthIt || this.#quietMs >= this.#options.quietCheckpointMs) {
        this.run().catch(() => undefined);
      }
      this.start();
    });
  }

  stop(): void {
    this.#cancelTimer?.();
  }

  /** Throws when too much waits to be stored for another change of this size. */
  admit(bytes: number): void {
    if (this.#unstoredBytes + bytes <= this.#options.unstoredBytesMax) return;
    if (this.#fault !== undefined) {
      throw new CorvoError("READ_ONLY", this.#fault, { retryAfterMs: 1000 });
    }
    throw new CorvoError(
      "OVERLOADED",
      `${this.#unstoredBytes} bytes wait to be stored; the limit unstoredBytesMax is ${this.#options.unstoredBytesMax}`,
      { retryAfterMs: 50 },
    );
  }

  /** A change of this size was applied. */
  note(bytes: number): void {
    this.#unstoredBytes += bytes;
    if (this.#running !== undefined) return;
    if (
      this.#deps.store.dirtyCount >= this.#options.checkpointRecords ||
      this.#unstoredBytes * 4 > this.#options.unstoredBytesMax
    ) {
      this.run().catch(() => undefined);
    }
  }

  /** Resolves when what the engine holds now can be read from the database. */
  async flush(): Promise<void> {
    const target = this.#deps.applied().index;
    while (this.#storedIndex < target) {
      if (this.#running === undefined && this.#deps.store.dirtyCount === 0) return;
      await this.run();
    }
  }

  /**
   * Resolves when the stored state stands where the engine stands now, members included. A change of members touches no
   * record, so for a snapshot it is not enough that none waits to be stored.
   */
  async advance(): Promise<void> {
    const target = this.#deps.applied().index;
    while (this.#storedIndex < target) await (this.#running ?? this.#store());
  }

  /** Stores the state; joins the checkpoint under way. A failure is logged, and the records stay in memory. */
  run(): Promise<void> {
    if (this.#running !== undefined) return this.#running;
    return this.#deps.store.dirtyCount === 0 ? Promise.resolve() : this.#store();
  }

  #store(): Promise<void> {
    this.#quietMs = 0;
    const point = this.#deps.applied();
    const bytes = this.#unstoredBytes;
    this.#running = this.#deps.store
      .checkpoint(point)
      .then(
        () => {
          this.#storedIndex = point.index;
          this.#unstoredBytes -= bytes;
          this.#fault = undefined;
          this.#tellStored(point.index);
        },
        (error: unknown) => {
          this.#fault = `the state cannot be stored: ${error instanceof Error ? error.message : error}`;
          this.#deps.logger.error("the state could not be stored; it is kept in memory", { error });
          // Searches and snapshots wait for this; a full disk is no fault of the program.
          throw new CorvoError("READ_ONLY", this.#fault, { cause: error, retryAfterMs: 1000 });
        },
      )
      .finally(() => {
        this.#running = undefined;
      });
    return this.#running;
  }

  /** What fails here is no failure of the checkpoint, whose callers would take it for one or not look at it. */
  #tellStored(index: number): void {
    try {
      this.#deps.onStored(index);
    } catch (error) {
      this.#deps.logger.error("what the state holds could not be taken out of the log", { error });
    }
  }
}
