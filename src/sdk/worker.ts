/**
 * A worker: claims jobs over a stream, runs a handler for each, keeps their leases, and reports how they ended.
 *
 * Credits: the server may push as many jobs as were granted, and grants add up. What is granted and not used yet counts as
 * taken, so there are never more jobs here than slots.
 *
 * Leases: one sweep of all held jobs each third of the lease, in one frame; another at once after a reconnect. A job whose
 * lease turns out to be over is stopped and nothing is reported for it. While the server is away handlers go on, since it
 * may come back before the leases end; results wait in the stream. After the time of a lease without an answer they are stopped
 * too, whether or not the connection is gone: others may run their jobs by then.
 *
 * Stopping: no more claims; handlers may finish for `graceMs`; then they are told to stop, and each job is released when its
 * handler has ended, so that its next attempt does not overlap with it.
 */
import { CorvoError, type ErrorCode, isErrorCode } from "../base/errors.ts";
import type { Logger } from "../base/ports.ts";
import { formatDuration } from "../base/time.ts";
import { type Job, openStream, type Stream, type StreamOptions } from "./stream.ts";
import type { ItemAnswer } from "./stream-frame.ts";
import { Reports, unfitCodes, type WorkerReport } from "./worker-reports.ts";
import { type Handler, HeldJob, type JobOutcome } from "./worker-run.ts";

export interface WorkerOptions {
  readonly stream: StreamOptions;
  readonly queues: readonly string[];
  /** Jobs at one time. */
  readonly concurrency: number;
  readonly leaseMs: number;
  readonly workerId: string;
  readonly hostname?: string | undefined;
  /** What the worker has of what jobs may require. */
  readonly labels?: Readonly<Record<string, string>> | undefined;
  /** Name and version of the program, for those who look at workers. */
  readonly client?: string | undefined;
  /** When the process began, as RFC 3339. */
  readonly startedAt?: string | undefined;
  /** How long handlers may go on when an operator asks the worker to end. Default 30 s. */
  readonly stopGraceMs?: number | undefined;
  /** Time for one attempt, for jobs that bring none of their own. */
  readonly timeoutMs?: number | undefined;
  readonly handler: Handler;
  readonly logger: Logger;
  /** Jobs of the queues that wait for a worker, now or later. With it the worker ends when there are none. */
  readonly countWaiting?: (() => Promise<number>) | undefined;
  /** How long a handler that was told to stop may take before its job is released all the same. */
  readonly abandonMs?: number | undefined;
}

export interface Worker {
  readonly runningCount: number;
  /** Resolved when the worker has ended: stopped, drained, or refused by the server. */
  readonly finished: Promise<WorkerReport>;
  /** Ends the worker; a second call can shorten the grace period. */
  stop(graceMs: number): void;
}

export function createWorker(options: WorkerOptions): Worker {
  const worker = new WorkerLoop(options);
  worker.start();
  return worker;
}

const sweepsPerLease = 3;
/** Progress and checkpoints of all jobs are gathered this long. */
const progressMs = 500;
/** Pause between two looks at the queues while draining. Two of them must find nothing. */
const drainMs = 200;
/** Time for the answers to the last reports when the worker ends. */
const lastAnswersMs = 5000;
const abandonMsDefault = 15_000;
const stopGraceMsDefault = 30_000;
/** Each job has a report and a heartbeat or two under way at most. */
const itemsPerSlot = 4;
/** The lease, or the job, is gone. */
const overCodes: ReadonlySet<string | undefined> = new Set(["LEASE_LOST", "NOT_FOUND"]);

type Phase = "working" | "draining" | "stopping" | "ended";

class WorkerLoop implements Worker {
  readonly finished: Promise<WorkerReport>;
  readonly #options: WorkerOptions;
  readonly #stream: Stream;
  readonly #reports: Reports;
  readonly #held = new Map<string, HeldJob>();
  #finish: (report: WorkerReport) => void = () => {};
  #phase: Phase = "working";
  /** Granted to the server and not used by it yet. */
  #credits = 0;
  /** Rises with every job that arrives. */
  #arrivals = 0;
  #emptyLooks = 0;
  /** What an operator asked last. */
  #order = "work";
  #faultSeen: CorvoError | undefined;
  #isBeatDue = false;
  /** The answer to the last claim, for no more jobs, is to come. */
  #isWithdrawing = false;
  /** No handler is left; the time for the last answers runs. */
  #isAwaitingAnswers = false;
  #stopGrace: () => void = () => {};
  /** The server answered, or gave out jobs, since the last sweep; and in how many sweeps before it had not. */
  #isAnswered = true;
  #silentSweeps = 0;

  constructor(options: WorkerOptions) {
    this.#options = options;
    this.finished = new Promise((resolve) => {
      this.#finish = resolve;
    });
    this.#stream = this.#open();
    this.#reports = new Reports(this.#stream, options.logger, () => this.#endIfOver());
  }

  get runningCount(): number {
    return this.#held.size;
  }

  start(): void {
    this.#sweepLater();
    if (this.#options.countWaiting !== undefined) this.#lookLater();
  }

  #open(): Stream {
    const { stream, concurrency, logger } = this.#options;
    // There are at most so many reports as slots, so they are bounded already and must never be refused here.
    const unbounded = {
      itemsMax: itemsPerSlot * (concurrency + 1),
      charsMax: Number.MAX_SAFE_INTEGER,
    };
    return openStream(
      { ...stream, ...unbounded },
      {
        opened: () => this.#opened(),
        jobs: (jobs) => this.#arrived(jobs),
        revoked: (revoked) => {
          for (const each of revoked) {
            this.#held.get(each.lease_token)?.stop(each.reason === "cancel" ? "cancelled" : "lost");
          }
        },
        ordered: (order) => this.#ordered(order),
        closing: () => logger.info("the server asks to connect again, or elsewhere"),
        lost: (reason, retryMs, server) => {
          this.#credits = 0;
          this.#isWithdrawing = false;
          logger.warn(`no connection to ${server}: ${reason}`, {
            running: this.#held.size,
            retryMs,
          });
          this.#endIfOver();
        },
      },
    );
  }

  /** The server gives out no jobs to a worker that has orders; to end is for the worker itself. */
  #ordered(order: string): void {
    const { logger, stopGraceMs } = this.#options;
    if (order === this.#order) return;
    this.#order = order;
    if (order === "quiet") logger.info("an operator asked this worker to take no more jobs");
    else if (order === "work") logger.info("an operator lets this worker take jobs again");
    else if (order === "stop") {
      logger.info("an operator asked this worker to finish its jobs and to end");
      this.stop(stopGraceMs ?? stopGraceMsDefault);
    }
  }

  stop(graceMs: number): void {
    if (this.#phase === "ended") return;
    if (this.#phase !== "stopping") {
      this.#phase = "stopping";
      if (this.#stream.isOpen) this.#withdraw();
    }
    if (this.#held.size === 0) {
      this.#endIfOver();
      return;
    }
    this.#stopGrace();
    if (graceMs <= 0) this.#stopHandlers();
    else this.#stopGrace = this.#after(graceMs, () => this.#stopHandlers());
  }

  /** Takes the credits back. Jobs that were on their way arrive before the answer, and are released. */
  #withdraw(): void {
    this.#isWithdrawing = true;
    this.#sendClaim(0, () => {
      this.#isWithdrawing = false;
      this.#endIfOver();
    });
  }

  #after(delayMs: number, callback: () => void): () => void {
    return this.#options.stream.timers.after(delayMs, callback);
  }

  #opened(): void {
    this.#credits = 0;
    this.#options.logger.info(`connected to ${this.#stream.server}`, {
      queues: this.#options.queues.join(","),
    });
    for (const held of this.#held.values()) this.#beat(held);
    if (this.#phase === "draining") this.#workOn();
    this.#claimFree();
  }

  /** What was renewed last was so a whole lease ago. */
  #cutOff(): void {
    if (this.#held.size === 0) return;
    const { logger, leaseMs } = this.#options;
    const running = this.#held.size;
    logger.warn(
      `no server answered for ${formatDuration(leaseMs)}, the time of a lease; what runs is stopped, since others may run it by now`,
      { running },
    );
    for (const held of this.#held.values()) held.cutOff();
  }

  #claimFree(): void {
    if (this.#phase !== "working" || !this.#stream.isOpen) return;
    const free = this.#options.concurrency - this.#held.size - this.#credits;
    if (free <= 0) return;
    this.#credits += free;
    this.#sendClaim(free);
  }

  #sendClaim(credits: number, done?: () => void): void {
    const { queues, workerId, hostname, client, startedAt, labels, leaseMs } = this.#options;
    const request = {
      queues: [...queues],
      worker_id: workerId,
      hostname,
      client,
      started_at: startedAt,
      labels,
      lease_ms: leaseMs,
      credits,
    };
    this.#stream.claim(request, (refusal) => {
      if (refusal === undefined) {
        done?.();
        return;
      }
      this.#isWithdrawing = false;
      const code = isErrorCode(refusal.code ?? "") ? (refusal.code as ErrorCode) : "INTERNAL_ERROR";
      this.#fault(new CorvoError(code, `the server refused the claim: ${refusal.error ?? ""}`));
      this.#endIfOver();
    });
  }

  #arrived(jobs: readonly Job[]): void {
    this.#isAnswered = true;
    this.#arrivals++;
    this.#credits = Math.max(0, this.#credits - jobs.length);
    for (const job of jobs) {
      const held = new HeldJob(job, () => this.#beatSoon());
      const isWanted = this.#phase === "working" || this.#phase === "draining";
      if (isWanted && this.#held.size < this.#options.concurrency) void this.#run(held);
      else this.#reports.release(held);
    }
    this.#claimFree();
  }

  async #run(held: HeldJob): Promise<void> {
    const { job } = held;
    this.#held.set(job.lease_token, held);
    const timeoutMs = job.timeout_ms ?? this.#options.timeoutMs;
    const stopTimeout =
      timeoutMs === undefined ? undefined : this.#after(timeoutMs, () => held.stop("timeout"));
    let outcome: JobOutcome;
    try {
      outcome = await this.#options.handler(held);
    } catch (error) {
      outcome = outcomeOfError(error);
    }
    stopTimeout?.();
    // Stopping may have taken so long that the job was released without its handler.
    if (!this.#held.delete(job.lease_token)) return;
    if (held.stopReason === "timeout" && timeoutMs !== undefined) {
      outcome = timedOut(outcome, timeoutMs);
    }
    this.#reports.settle(held, outcome);
    this.#claimFree();
    this.#endIfOver();
  }

  #beat(held: HeldJob): void {
    if (held.isBeating) return;
    held.isBeating = true;
    this.#stream.heartbeat(held.takeHeartbeat(this.#options.leaseMs), (answer) => {
      held.isBeating = false;
      if (answer.code === undefined) this.#isAnswered = true;
      if (answer.status === "cancel") held.stop("cancelled");
      else if (answer.status === "lost" || overCodes.has(answer.code)) held.stop("lost");
      else if (unfitCodes.has(answer.code)) this.#beatAgain(held, answer);
      else if (held.isDirty) this.#beatSoon();
    });
  }

  /** What the heartbeat carried was refused, and with it the longer lease, which is asked for alone now. */
  #beatAgain(held: HeldJob, answer: ItemAnswer): void {
    this.#options.logger.warn(
      `job ${held.job.job_id}: progress or checkpoint was refused: ${answer.code}: ${answer.error ?? ""}`,
    );
    const { job_id, lease_token } = held.job;
    const lease_ms = this.#options.leaseMs;
    held.isBeating = true;
    this.#stream.heartbeat({ job_id, lease_token, lease_ms }, (second) => {
      held.isBeating = false;
      if (second.code === undefined) this.#isAnswered = true;
      if (overCodes.has(second.code)) held.stop("lost");
    });
  }

  #beatSoon(): void {
    if (this.#isBeatDue) return;
    this.#isBeatDue = true;
    this.#after(progressMs, () => {
      this.#isBeatDue = false;
      for (const held of this.#held.values()) if (held.isDirty) this.#beat(held);
    });
  }

  #sweepLater(): void {
    this.#after(this.#options.leaseMs / sweepsPerLease, () => {
      if (this.#phase === "ended") return;
      this.#silentSweeps = this.#isAnswered ? 0 : this.#silentSweeps + 1;
      this.#isAnswered = false;
      if (this.#silentSweeps === sweepsPerLease) this.#cutOff();
      for (const held of this.#held.values()) this.#beat(held);
      this.#sweepLater();
    });
  }

  #lookLater(): void {
    const arrivals = this.#arrivals;
    this.#after(drainMs, () => {
      if (this.#phase === "working") void this.#look(arrivals);
    });
  }

  /** Draining: ends the worker when nothing waits in the queues and nothing has happened here since the last look. */
  async #look(arrivalsBefore: number): Promise<void> {
    const isQuiet = () =>
      this.#held.size === 0 && this.#reports.openCount === 0 && this.#arrivals === arrivalsBefore;
    let waiting = Number.POSITIVE_INFINITY;
    if (isQuiet() && this.#stream.isOpen) {
      waiting = await this.#countWaiting();
    }
    this.#emptyLooks = waiting === 0 && isQuiet() ? this.#emptyLooks + 1 : 0;
    if (this.#phase !== "working") return;
    if (this.#emptyLooks < 2) {
      this.#lookLater();
      return;
    }
    // A job may be on its way still; it arrives before the answer to the claim that withdraws the credits.
    this.#phase = "draining";
    this.#sendClaim(0, () => {
      if (this.#phase !== "draining") return;
      if (isQuiet()) {
        this.stop(0);
        return;
      }
      this.#workOn();
      this.#claimFree();
    });
  }

  async #countWaiting(): Promise<number> {
    try {
      return (await this.#options.countWaiting?.()) ?? 0;
    } catch (error) {
      this.#options.logger.debug(`the waiting jobs could not be counted: ${error}`);
      return Number.POSITIVE_INFINITY;
    }
  }

  /** Draining met another job, or lost its connection: back to work. */
  #workOn(): void {
    this.#phase = "working";
    this.#emptyLooks = 0;
    this.#credits = 0;
    this.#lookLater();
  }

  #stopHandlers(): void {
    for (const held of this.#held.values()) held.stop("shutdown");
    this.#stopGrace = this.#after(this.#options.abandonMs ?? abandonMsDefault, () => {
      for (const held of this.#held.values()) {
        this.#options.logger.warn(`the handler of job ${held.job.job_id} did not stop in time`);
        this.#reports.release(held);
      }
      this.#held.clear();
      this.#endIfOver();
    });
  }

  #fault(fault: CorvoError): void {
    if (this.#faultSeen !== undefined) return;
    this.#faultSeen = fault;
    this.stop(0);
  }

  #endIfOver(): void {
    if (this.#phase !== "stopping" || this.#held.size > 0) return;
    if (this.#reports.openCount === 0 && !this.#isWithdrawing) {
      this.#end();
    } else if (!this.#isAwaitingAnswers) {
      this.#isAwaitingAnswers = true;
      this.#stopGrace();
      this.#stopGrace = this.#after(lastAnswersMs, () => this.#end());
    }
  }

  #end(): void {
    if (this.#phase === "ended") return;
    this.#phase = "ended";
    this.#stopGrace();
    this.#stream.close();
    this.#finish({ ...this.#reports.counts, fault: this.#faultSeen });
  }
}

function outcomeOfError(error: unknown): JobOutcome {
  if (!(error instanceof Error)) return { kind: "failed", error: String(error) };
  const errorClass = error.name === "" ? undefined : error.name;
  return { kind: "failed", error: error.message, errorClass, backtrace: error.stack };
}

function timedOut(outcome: JobOutcome, timeoutMs: number): JobOutcome {
  const error = `timed out after ${formatDuration(timeoutMs)}`;
  if (outcome.kind === "returned" || outcome.kind === "snoozed") return { kind: "failed", error };
  const detail = outcome.kind === "failed" ? `: ${outcome.error}` : "";
  return { kind: "failed", error: error + detail, output: outcome.output };
}
