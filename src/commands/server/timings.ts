/**
 * How long this node's disk, engine and event loop take, for whoever asks why it is slow: they are what a job waits for when
 * nothing else is wrong.
 */
import { DurationHistogram } from "../../base/duration-histogram.ts";
import type { AppendWork, Log, LogBounds, LogEntry, LogFault, LogSize } from "../../base/log.ts";
import type { Clock, Timers } from "../../base/ports.ts";

/** In seconds: from what memory takes to a disk or a loop that stands still. */
const bounds = [
  0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5,
];

const loopCheckMs = 100;

/** Of one shard on this node. */
export class Timings {
  readonly logWrites = new DurationHistogram(bounds);
  readonly applies = new DurationHistogram(bounds);
  readonly #clock: Clock;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  timedLog(log: Log): Log {
    return new TimedLog(log, this.#clock, this.logWrites);
  }

  timedApply(apply: () => void): void {
    const startMs = this.#clock.monotonicMs();
    apply();
    this.applies.note(this.#clock.monotonicMs() - startMs);
  }
}

/** Looks ten times a second how late a timer comes. */
export class LoopWatch {
  readonly delays = new DurationHistogram(bounds);
  readonly #clock: Clock;
  readonly #timers: Timers;
  #cancel: (() => void) | undefined;

  constructor(clock: Clock, timers: Timers) {
    this.#clock = clock;
    this.#timers = timers;
  }

  start(): void {
    const dueMs = this.#clock.monotonicMs() + loopCheckMs;
    this.#cancel = this.#timers.after(loopCheckMs, () => {
      this.delays.note(Math.max(0, this.#clock.monotonicMs() - dueMs));
      this.start();
    });
  }

  stop(): void {
    this.#cancel?.();
  }
}

/** A log whose writes are timed. Those that failed are not told: their faults are. */
class TimedLog implements Log {
  readonly #log: Log;
  readonly #clock: Clock;
  readonly #writes: DurationHistogram;

  constructor(log: Log, clock: Clock, writes: DurationHistogram) {
    this.#log = log;
    this.#clock = clock;
    this.#writes = writes;
  }

  get readOnly(): boolean {
    return this.#log.readOnly;
  }

  append(work: AppendWork, done: (fault: LogFault | undefined) => void): void {
    const startMs = this.#clock.monotonicMs();
    this.#log.append(work, (fault) => {
      if (fault === undefined) this.#writes.note(this.#clock.monotonicMs() - startMs);
      done(fault);
    });
  }

  read(group: number, from: number, bytesMax: number): LogEntry[] {
    return this.#log.read(group, from, bytesMax);
  }

  bounds(group: number): LogBounds {
    return this.#log.bounds(group);
  }

  compact(group: number, throughIndex: number): void {
    this.#log.compact(group, throughIndex);
  }

  size(): LogSize {
    return this.#log.size();
  }

  close(): Promise<void> {
    return this.#log.close();
  }
}
