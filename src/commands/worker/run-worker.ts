/**
 * The worker command as a function: chooses the handler, reacts to signals, and says with its exit code how it ended.
 *
 * First signal: no more claims, running handlers may finish within the grace period, then they are stopped and their jobs
 * given back. Second: they are killed now. Third: nothing is waited for.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { errorTable, exitCodes } from "../../base/errors.ts";
import type { Logger, Random, Timers } from "../../base/ports.ts";
import { formatDuration } from "../../base/time.ts";
import type { SocketConstructor } from "../../sdk/stream-connection.ts";
import { createWorker, type Worker } from "../../sdk/worker.ts";
import type { WorkerReport } from "../../sdk/worker-reports.ts";
import type { Handler } from "../../sdk/worker-run.ts";
import { UsageError } from "../_shared/exit.ts";
import { Echo, JobEcho, type Out } from "./echo.ts";
import type { HandlerProcess } from "./handler-process.ts";
import type { OpenBlob } from "./job-input.ts";
import { persistentHandler } from "./persistent.ts";
import { printHandler } from "./print-jobs.ts";
import { type CommandOptions, commandHandler } from "./run-command.ts";

export interface RunnerOptions {
  readonly server: string;
  readonly apiKey?: string | undefined;
  readonly queues: readonly string[];
  /** Empty: jobs are printed. */
  readonly command: readonly string[];
  readonly concurrency: number;
  readonly leaseMs: number;
  readonly timeoutMs?: number | undefined;
  readonly killAfterMs: number;
  readonly graceMs: number;
  readonly isDrain: boolean;
  readonly isPersistent: boolean;
  readonly isQuiet: boolean;
  readonly isJson: boolean;
  readonly workerId: string;
  readonly hostname: string;
  readonly client: string;
  readonly startedAt: string;
  readonly labels?: Readonly<Record<string, string>> | undefined;
}

export interface RunnerSystem {
  readonly env: Readonly<Record<string, string>>;
  readonly temporaryFolder: string;
  readonly timers: Timers;
  readonly random: Random;
  readonly logger: Logger;
  readonly WebSocket: SocketConstructor;
  readonly out: Out;
  /** Calls back on SIGINT and SIGTERM; the returned function ends that. */
  onSignal(callback: () => void): () => void;
  /** Calls back when the server that began this worker is gone; the returned function ends that. */
  onServerGone(callback: () => void): () => void;
  /** Calls back when the process ends, for whatever reason it still can. */
  onExit(callback: () => void): void;
  readonly openBlob: OpenBlob;
  /** Jobs of the queues that are pending, scheduled or retrying. */
  countWaiting(queues: readonly string[]): Promise<number>;
}

interface Handling {
  readonly handler: Handler;
  readonly live: Set<HandlerProcess>;
  /** Ends idle processes. */
  close(): Promise<void>;
  /** Removes what was written to disk. */
  clean(): void;
}

/** Runs until it is stopped, drained or refused; the exit code of the command. */
export async function runWorker(options: RunnerOptions, system: RunnerSystem): Promise<number> {
  let worker: Worker | undefined;
  const handling = createHandling(options, system, () => worker?.stop(0));
  worker = createWorker({
    stream: { ...options, ...system, defer: setImmediate },
    queues: options.queues,
    concurrency: options.concurrency,
    leaseMs: options.leaseMs,
    workerId: options.workerId,
    hostname: options.hostname,
    labels: options.labels,
    client: options.client,
    startedAt: options.startedAt,
    stopGraceMs: options.graceMs,
    timeoutMs: options.timeoutMs,
    handler: handling.handler,
    logger: system.logger,
    countWaiting: options.isDrain ? () => system.countWaiting(options.queues) : undefined,
    abandonMs: options.killAfterMs + 5000,
  });
  system.onExit(() => {
    for (const child of handling.live) child.kill();
  });
  const thirdSignal = Promise.withResolvers<number>();
  const signals = new SignalSteps(options, system.logger, worker, handling.live);
  const stopListening = system.onSignal(() => {
    if (signals.next() > 2) thirdSignal.resolve(exitCodes.interrupted);
  });
  const stopWatching = system.onServerGone(() => {
    system.logger.warn("the server of this worker is gone, and so is its work: stopping");
    worker.stop(options.graceMs);
  });
  const ended = endOf(worker, handling, system.logger, signals);
  const code = await Promise.race([ended, thirdSignal.promise]);
  stopListening();
  stopWatching();
  handling.clean();
  return code;
}

async function endOf(
  worker: Worker,
  handling: Handling,
  logger: Logger,
  signals: SignalSteps,
): Promise<number> {
  const report = await worker.finished;
  await handling.close();
  logger.info(summary(report));
  if (signals.count > 1) return exitCodes.interrupted;
  if (report.fault !== undefined) {
    logger.error(report.fault.message);
    return errorTable[report.fault.code].exit;
  }
  if (report.unknown > 0) {
    logger.error(
      `${report.unknown} reports were not confirmed by the server; those jobs may run again when their leases end`,
    );
    return exitCodes.unavailable;
  }
  return exitCodes.ok;
}

class SignalSteps {
  count = 0;
  readonly #options: RunnerOptions;
  readonly #logger: Logger;
  readonly #worker: Worker;
  readonly #live: Set<HandlerProcess>;

  constructor(options: RunnerOptions, logger: Logger, worker: Worker, live: Set<HandlerProcess>) {
    this.#options = options;
    this.#logger = logger;
    this.#worker = worker;
    this.#live = live;
  }

  next(): number {
    this.count++;
    if (this.count === 1) {
      const running = this.#worker.runningCount;
      const { graceMs } = this.#options;
      this.#logger.info(
        running === 0
          ? "stopping: no job is running"
          : `stopping: ${running} running, waiting up to ${formatDuration(graceMs)}; a second signal kills them`,
      );
      this.#worker.stop(graceMs);
    } else {
      this.#logger.warn(
        `killing ${this.#live.size} handler process${this.#live.size === 1 ? "" : "es"}`,
      );
      // First the worker, so that the jobs count as given back and not as failed.
      this.#worker.stop(0);
      for (const child of this.#live) child.kill();
    }
    return this.count;
  }
}

function createHandling(
  options: RunnerOptions,
  system: RunnerSystem,
  onClosed: () => void,
): Handling {
  const live = new Set<HandlerProcess>();
  if (options.command.length === 0) {
    const handler = printHandler(system.out, options.isJson, onClosed);
    return { handler, live, close: () => Promise.resolve(), clean: () => {} };
  }
  const filesRoot = makeFolder(system.temporaryFolder);
  const clean = () => rmSync(filesRoot, { recursive: true, force: true });
  const echo = new Echo(system.out);
  const commandOptions: CommandOptions = {
    ...options,
    ...system,
    filesRoot,
    live,
    echo: ({ job }) =>
      options.isQuiet
        ? undefined
        : new JobEcho(echo, `[${job.queue} ${job.job_id.slice(-6)}#${job.attempt}]`),
  };
  if (!options.isPersistent) {
    const handler = commandHandler(commandOptions);
    return { handler, live, close: () => Promise.resolve(), clean };
  }
  const { handler, close } = persistentHandler(commandOptions);
  return { handler, live, close, clean };
}

/** For checkpoints and results of jobs. */
function makeFolder(parent: string): string {
  try {
    return mkdtempSync(join(parent, "corvo-worker-"));
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new UsageError(
      `no folder for the files of jobs could be made: ${reason}`,
      "TMPDIR names the folder that it is made in.",
    );
  }
}

function summary(report: WorkerReport): string {
  const counts = [
    `${report.done} done`,
    `${report.failed} failed`,
    `${report.returned} given back`,
    `${report.dropped} dropped`,
  ];
  return `worker ended: ${counts.join(", ")}`;
}
