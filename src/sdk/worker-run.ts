/**
 * One job that this worker holds: what its handler may do, why it must stop, and what the next heartbeat has to carry.
 *
 * held -handler settles-> over, or held -stop(reason)-> stopping -handler settles-> over. The first reason to stop stays; the
 * handler learns it through the signal. Progress and checkpoints are kept here, last one wins, until a heartbeat takes them.
 */
import type { Static } from "@sinclair/typebox";
import type { HeartbeatItem } from "../api/worker.ts";
import { RawJson } from "../base/json.ts";
import type { Job } from "./stream.ts";
import type { Sendable } from "./stream-frame.ts";

/**
 * Why a handler is asked to stop. `cancelled`: the job is no longer wanted; `lost`: another attempt may be running;
 * `timeout`: the attempt took too long and fails; `shutdown`: the worker ends and gives the job back.
 */
export type StopReason = "cancelled" | "lost" | "timeout" | "shutdown";

/** Reason of the signal of a run that must stop. */
export class RunStopped extends Error {
  override name = "RunStopped";
  readonly reason: StopReason;

  constructor(reason: StopReason) {
    super(`the run was stopped: ${reason}`);
    this.reason = reason;
  }
}

/** What a handler sees of its job. */
export interface JobRun {
  readonly job: Job;
  /** The payload; never absent, unlike in the job, where JSON's `null` is null. */
  readonly payload: RawJson;
  /** Aborted with a `RunStopped`. The handler should end soon; its outcome then only counts if it is `done`, on shutdown. */
  readonly signal: AbortSignal;
  /** Shows how far the job is. Sent within half a second or before the outcome, the last value wins. */
  progress(value: RawJson): void;
  /** Keeps state for the next attempt, should this one end early. Sent like progress. */
  checkpoint(value: RawJson): void;
  /** Has the checkpoint read before each heartbeat and at the end, instead of being told of each change. */
  watchCheckpoint(read: () => RawJson | undefined): void;
}

/**
 * How a handler ended. `returned` gives the job back without spending the attempt; `snoozed` says that it is not yet time for it,
 * which is counted, and fails the attempt once the job may not be put off again.
 */
export type JobOutcome =
  | {
      readonly kind: "done";
      readonly result?: RawJson | undefined;
      readonly output?: string | undefined;
    }
  | {
      readonly kind: "failed";
      readonly error: string;
      readonly errorClass?: string | undefined;
      readonly backtrace?: string | undefined;
      readonly retryable?: boolean | undefined;
      readonly output?: string | undefined;
    }
  | { readonly kind: "snoozed"; readonly delayMs: number }
  | { readonly kind: "returned"; readonly reason: string; readonly delayMs?: number | undefined };

export type Handler = (run: JobRun) => Promise<JobOutcome>;

const nullPayload = new RawJson("null");

export class HeldJob implements JobRun {
  readonly job: Job;
  readonly payload: RawJson;
  stopReason: StopReason | undefined;
  /** Nobody said that the lease is over: how the run ended is reported, and counts if the lease is still there. */
  isCutOff = false;
  /** A heartbeat is on its way; another one waits for its answer. */
  isBeating = false;
  /** There is something to send before the next regular heartbeat. */
  isDirty = false;
  readonly #onDirty: () => void;
  readonly #controller = new AbortController();
  #progress: RawJson | undefined;
  #checkpoint: RawJson | undefined;
  #checkpointText: string | undefined;
  #readCheckpoint: (() => RawJson | undefined) | undefined;

  constructor(job: Job, onDirty: () => void) {
    this.job = job;
    this.payload = job.payload ?? nullPayload;
    this.#checkpointText = job.checkpoint?.text;
    this.#onDirty = onDirty;
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** No server answers, so the lease is over as far as can be known here; one that answers again has the last word. */
  cutOff(): void {
    if (this.stopReason !== undefined) return;
    this.stop("lost");
    this.isCutOff = true;
  }

  stop(reason: StopReason): void {
    if (reason === "lost" || reason === "cancelled") this.isCutOff = false;
    if (this.stopReason !== undefined) return;
    this.stopReason = reason;
    this.#controller.abort(new RunStopped(reason));
  }

  progress(value: RawJson): void {
    this.#progress = value;
    this.#markDirty();
  }

  checkpoint(value: RawJson): void {
    this.#setCheckpoint(value);
    if (this.#checkpoint !== undefined) this.#markDirty();
  }

  watchCheckpoint(read: () => RawJson | undefined): void {
    this.#readCheckpoint = read;
  }

  /** The checkpoint that the server does not have yet; it counts as sent from here on. */
  takeCheckpoint(): RawJson | undefined {
    const read = this.#readCheckpoint?.();
    if (read !== undefined) this.#setCheckpoint(read);
    const taken = this.#checkpoint;
    this.#checkpoint = undefined;
    return taken;
  }

  /** What no heartbeat has taken yet; it counts as sent from here on. */
  takeProgress(): RawJson | undefined {
    const taken = this.#progress;
    this.#progress = undefined;
    return taken;
  }

  takeHeartbeat(leaseMs: number): Sendable<Static<typeof HeartbeatItem>> {
    const item = {
      job_id: this.job.job_id,
      lease_token: this.job.lease_token,
      lease_ms: leaseMs,
      progress: this.takeProgress(),
      checkpoint: this.takeCheckpoint(),
    };
    this.isDirty = false;
    return item;
  }

  #setCheckpoint(value: RawJson): void {
    if (value.text === this.#checkpointText) return;
    this.#checkpointText = value.text;
    this.#checkpoint = value;
  }

  #markDirty(): void {
    this.isDirty = true;
    this.#onDirty();
  }
}
