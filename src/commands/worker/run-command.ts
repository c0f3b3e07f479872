/**
 * Handler that starts one process per job: payload on standard input, facts in the environment, the outcome from the exit
 * code. `docs/guides/workers.md` is the contract that this file implements.
 */
import { requestLimits as limits } from "../../api/limits.ts";
import { RawJson } from "../../base/json.ts";
import type { Logger, Timers } from "../../base/ports.ts";
import type { Handler, JobOutcome, JobRun } from "../../sdk/worker-run.ts";
import type { JobEcho } from "./echo.ts";
import { describeExit, type ExitStatus, HandlerProcess } from "./handler-process.ts";
import { JobFiles, jsonOf } from "./job-files.ts";
import { type OpenBlob, openInput } from "./job-input.ts";
import { ByteTail, lastLines, MarkFilter } from "./output.ts";

export interface CommandOptions {
  readonly command: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly server: string;
  readonly killAfterMs: number;
  /** Folder for the files of jobs; exists, and is removed by its owner. */
  readonly filesRoot: string;
  readonly timers: Timers;
  readonly logger: Logger;
  readonly live: Set<HandlerProcess>;
  readonly openBlob: OpenBlob;
  echo(run: JobRun): JobEcho | undefined;
}

/** EX_TEMPFAIL and EX_DATAERR of sysexits. */
const exitRetry = 75;
const exitDead = 65;
/** Wait before a job that could not be started is handed out again. */
const startRetryMs = 5000;
const errorLines = 20;
const errorCharsMax = 4000;

export function commandHandler(options: CommandOptions): Handler {
  let lastNumber = 0;
  return async (run) => {
    let files: JobFiles | undefined;
    try {
      files = new JobFiles(options.filesRoot, `job-${++lastNumber}`, run.job.checkpoint);
      return await runOnce(options, run, files);
    } catch (error) {
      return notStarted(run, error);
    } finally {
      files?.remove();
    }
  };
}

/** Neither a full disk nor a lack of processes is the job's fault, so its attempt is not spent; too large tags are. */
export function notStarted(run: JobRun, error: unknown): JobOutcome {
  const message = error instanceof Error ? error.message : String(error);
  if ((error as { code?: string }).code === "E2BIG") {
    return { kind: "failed", error: `the command could not be started: ${message}` };
  }
  const reason = `job ${run.job.job_id} could not be started: ${message}`;
  return { kind: "returned", reason, delayMs: startRetryMs };
}

/** What the handler of a job finds in its environment. */
function jobEnvironment(run: JobRun, server: string): Record<string, string> {
  const { job } = run;
  return {
    CORVO_SERVER: server,
    CORVO_JOB_ID: job.job_id,
    CORVO_QUEUE: job.queue,
    CORVO_ATTEMPT: String(job.attempt),
    CORVO_MAX_RETRIES: String(job.max_retries),
    CORVO_LEASE_TOKEN: job.lease_token,
    CORVO_TAGS: JSON.stringify(job.tags ?? {}),
    ...(job.content_type == null ? {} : { CORVO_CONTENT_TYPE: job.content_type }),
  };
}

async function runOnce(options: CommandOptions, run: JobRun, files: JobFiles): Promise<JobOutcome> {
  const input = await openInput(run, options.openBlob);
  const output = new ByteTail(limits.outputBytesMax);
  const stderr = new ByteTail(errorCharsMax);
  const stdout = new ByteTail(limits.payloadBytesMax + 1);
  const echo = options.echo(run);
  const said: { snoozeMs?: number; errorClass?: string } = {};
  const filter = new MarkFilter(
    (mark) => {
      if (mark.kind === "progress") run.progress(mark.value);
      else if (mark.kind === "snooze") said.snoozeMs = mark.delayMs;
      else said.errorClass = mark.name;
    },
    (bytes) => {
      stdout.add(bytes);
      output.add(bytes);
      echo?.stdout(bytes);
    },
  );
  const child = new HandlerProcess({
    ...options,
    env: {
      ...options.env,
      ...jobEnvironment(run, options.server),
      CORVO_CHECKPOINT_FILE: files.checkpointPath,
      CORVO_RESULT_FILE: files.resultPath,
    },
    input: input.kind === "bytes" ? input.bytes : "pipe",
    onStdout: (bytes) => filter.add(bytes),
    onStderr: (bytes) => {
      stderr.add(bytes);
      output.add(bytes);
      echo?.stderr(bytes);
    },
  });
  let lost: unknown;
  if (input.kind === "stream") {
    // Never rejects, and is not waited for: the command may end without reading all of it.
    void child.feed(input.content).then((error) => {
      lost = error;
    });
  }
  run.watchCheckpoint(() => files.readCheckpoint());
  const stop = () => child.terminate();
  if (run.signal.aborted) stop();
  run.signal.addEventListener("abort", stop);
  const status = await child.ended;
  run.signal.removeEventListener("abort", stop);
  filter.end();
  echo?.end();
  keepLastCheckpoint(run, files);
  if (child.isOutputOpen) {
    options.logger.warn(
      `job ${run.job.job_id}: the command has ended and its output is still open, so what it wrote last may be missing; give what stays behind an output of its own`,
    );
  }
  // The command saw the beginning of its payload only: what it made of that says nothing about the job.
  if (lost !== undefined && run.signal.aborted === false) return notStarted(run, lost);
  const kept = { output: output.text() };
  const detail = lastLines(stderr.text(), errorLines, errorCharsMax);
  if (!child.isStopped && status.code === 0) {
    return { ...successOf(options, run, files, stdout), ...kept };
  }
  if (!child.isStopped && status.code === exitRetry && said.snoozeMs !== undefined) {
    return { kind: "snoozed", delayMs: said.snoozeMs };
  }
  const error = errorOf(status, detail);
  const errorClass = said.errorClass ?? classOf(status);
  // After it was told to stop, even exit code 0 may mean no more than that it did stop.
  if (child.isStopped) return { kind: "failed", error, ...kept };
  const retryable = status.code === exitDead ? false : status.code === exitRetry ? true : undefined;
  return { kind: "failed", error, errorClass, retryable, ...kept };
}

/** So that a job can name exit codes after which it is not to be retried. */
function classOf(status: ExitStatus): string {
  return status.signal === null ? `exit ${status.code}` : String(status.signal);
}

export function errorOf(status: ExitStatus, detail: string): string {
  return detail === "" ? describeExit(status) : `${describeExit(status)}: ${detail}`;
}

function successOf(
  options: CommandOptions,
  run: JobRun,
  files: JobFiles,
  stdout: ByteTail,
): JobOutcome {
  const file = files.readResult();
  if (file.kind === "value") return { kind: "done", result: file.value };
  if (file.kind === "bad") {
    return { kind: "failed", error: `the file CORVO_RESULT_FILE ${file.problem}` };
  }
  const bytes = stdout.bytes();
  if (stdout.droppedBytes > 0 || bytes.length > limits.payloadBytesMax) {
    options.logger.warn(
      `job ${run.job.job_id}: stdout is longer than ${limits.payloadBytesMax} bytes and was not looked at for a result`,
    );
    return { kind: "done" };
  }
  const json = jsonOf(bytes);
  return { kind: "done", result: json instanceof RawJson ? json : undefined };
}

function keepLastCheckpoint(run: JobRun, files: JobFiles): void {
  const last = files.readCheckpoint();
  run.watchCheckpoint(() => undefined);
  if (last !== undefined) run.checkpoint(last);
}
