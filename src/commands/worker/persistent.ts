/**
 * Handler with long-lived processes, one per slot: a line of JSON for each job on standard input, lines of JSON back.
 *
 * off -job-> busy -answer-> idle -job-> busy …; any -exit-> off. A process is started when its slot gets a job, and again, after
 * a growing pause, when it has died. One that dies during a job fails the job with its exit status; one that answers when it
 * was not asked is stopped, because its next answer could be taken for that of another job.
 * One that exits with 0 right after an answer, as handlers do that are made to last for a number of jobs, may be sent a job in its
 * last moment: if it said nothing about it, the job goes to a new process, once.
 * Lines that are not answers are output, as everything on stderr is.
 */
import { requestLimits as limits } from "../../api/limits.ts";
import { parseJson, type RawJson, type RawTree, stringifyJson } from "../../base/json.ts";
import { parseDuration } from "../../base/time.ts";
import type { Handler, JobOutcome, JobRun } from "../../sdk/worker-run.ts";
import type { JobEcho } from "./echo.ts";
import { HandlerProcess } from "./handler-process.ts";
import { ByteTail, LineSplitter, lastLines } from "./output.ts";
import { oneLine } from "./print-jobs.ts";
import { type CommandOptions, errorOf, notStarted } from "./run-command.ts";

interface Answer {
  readonly job_id?: unknown;
  readonly ok?: unknown;
  readonly result?: RawJson | null;
  readonly error?: unknown;
  readonly error_class?: unknown;
  readonly retryable?: unknown;
  readonly snooze?: unknown;
  readonly progress?: RawJson | null;
  readonly checkpoint?: RawJson | null;
}

const answerTree: RawTree = { members: { result: "raw", progress: "raw", checkpoint: "raw" } };
/** A result and a checkpoint of the largest size with room around them. */
const lineBytesMax = 4 * limits.payloadBytesMax;
const errorCharsMax = 4000;
const restartMs = 100;
const restartMsMax = 30_000;
/** Time to end by itself after its input was closed. */
const closeMs = 2000;

export interface PersistentHandler {
  readonly handler: Handler;
  /** Ends all processes, once no job is running any more. */
  close(): Promise<void>;
}

export function persistentHandler(options: CommandOptions): PersistentHandler {
  const all: Slot[] = [];
  const idle: Slot[] = [];
  return {
    async handler(run) {
      let slot = idle.pop();
      if (slot === undefined) {
        slot = new Slot(options);
        all.push(slot);
      }
      try {
        return await slot.run(run);
      } finally {
        idle.push(slot);
      }
    },
    async close() {
      await Promise.all(all.map((slot) => slot.close()));
    },
  };
}

interface Current {
  readonly run: JobRun;
  readonly output: ByteTail;
  readonly stderr: ByteTail;
  readonly echo: JobEcho | undefined;
  readonly settle: (outcome: JobOutcome) => void;
  /** The process that was given the job. */
  child: HandlerProcess | undefined;
  /** The process has not written anything since it was given the job. */
  isUntouched: boolean;
  isSecondTry: boolean;
}

class Slot {
  readonly #options: CommandOptions;
  #child: HandlerProcess | undefined;
  #current: Current | undefined;
  /** Deaths since the last finished job. */
  #deaths = 0;
  /** The present process has answered for a job. */
  #hasAnswered = false;

  constructor(options: CommandOptions) {
    this.#options = options;
  }

  async run(run: JobRun): Promise<JobOutcome> {
    const stop = () => this.#child?.terminate();
    run.signal.addEventListener("abort", stop);
    const outcome = await new Promise<JobOutcome>((settle) => {
      const output = new ByteTail(limits.outputBytesMax);
      const stderr = new ByteTail(errorCharsMax);
      const echo = this.#options.echo(run);
      const state = { child: undefined, isUntouched: true, isSecondTry: false };
      this.#current = { run, output, stderr, echo, settle, ...state };
      void this.#begin(run);
    });
    run.signal.removeEventListener("abort", stop);
    return outcome;
  }

  async close(): Promise<void> {
    const child = this.#child;
    if (child === undefined) return;
    child.closeInput();
    const stopTimer = this.#options.timers.after(closeMs, () => child.terminate());
    await child.ended;
    stopTimer();
  }

  async #begin(run: JobRun): Promise<void> {
    try {
      // A process that is on its way out would take the job with it.
      if (this.#child?.isStopped === true || this.#child?.hasExited === true) {
        await this.#child.ended;
      }
      if (this.#child === undefined) await this.#restartPause(run.signal);
      if (run.signal.aborted) {
        this.#settle({ kind: "failed", error: "stopped before it was started" });
        return;
      }
      this.#child ??= this.#start();
    } catch (error) {
      this.#settle(notStarted(run, error));
      return;
    }
    const { job, payload } = run;
    const line = stringifyJson({
      job_id: job.job_id,
      queue: job.queue,
      attempt: job.attempt,
      max_retries: job.max_retries,
      lease_token: job.lease_token,
      tags: job.tags,
      payload,
      content_type: job.content_type,
      payload_base64: job.payload_base64,
      payload_blob: job.payload_blob,
      checkpoint: job.checkpoint ?? undefined,
    });
    if (this.#current !== undefined) this.#current.child = this.#child;
    this.#child.write(`${oneLine(line)}\n`);
  }

  #restartPause(signal: AbortSignal): Promise<void> {
    if (this.#deaths === 0) return Promise.resolve();
    const pauseMs = Math.min(restartMsMax, restartMs * 2 ** Math.min(this.#deaths - 1, 20));
    return new Promise((resolve) => {
      const stopTimer = this.#options.timers.after(pauseMs, resolve);
      signal.addEventListener("abort", () => {
        stopTimer();
        resolve();
      });
    });
  }

  #start(): HandlerProcess {
    this.#hasAnswered = false;
    const lines = new LineSplitter((line, isWhole) => this.#line(line, isWhole), lineBytesMax);
    const child = new HandlerProcess({
      ...this.#options,
      env: { ...this.#options.env, CORVO_SERVER: this.#options.server },
      input: "pipe",
      onStdout: (chunk) => {
        if (this.#current !== undefined) this.#current.isUntouched = false;
        lines.add(chunk);
      },
      onStderr: (chunk) => {
        if (this.#current !== undefined) this.#current.isUntouched = false;
        this.#current?.stderr.add(chunk);
        this.#current?.output.add(chunk);
        this.#current?.echo?.stderr(chunk);
      },
    });
    void child.ended.then((status) => {
      lines.end();
      this.#child = undefined;
      // A process may leave by itself between two jobs; only others count as having died.
      const hasLeft = status.code === 0 && this.#hasAnswered && !child.isStopped;
      if (!hasLeft) this.#deaths++;
      const current = this.#current;
      if (current === undefined || current.child !== child) {
        if (!hasLeft) {
          this.#options.logger.warn(`an idle handler process ended: ${errorOf(status, "")}`);
        }
        return;
      }
      if (hasLeft && current.isUntouched && !current.isSecondTry) {
        current.isSecondTry = true;
        void this.#begin(current.run);
        return;
      }
      const detail = lastLines(current.stderr.text(), 20, errorCharsMax);
      const error = `the handler process ended during the job: ${errorOf(status, detail)}`;
      this.#settle({ kind: "failed", error, output: current.output.text() });
    });
    return child;
  }

  #line(line: string, isWhole: boolean): void {
    const answer = line.startsWith("{") ? parseAnswer(line) : undefined;
    if (answer === undefined) {
      const bytes = new TextEncoder().encode(isWhole ? `${line}\n` : line);
      this.#current?.output.add(bytes);
      this.#current?.echo?.stdout(bytes);
      return;
    }
    const current = this.#current;
    const isForeign = answer.job_id !== undefined && answer.job_id !== current?.run.job.job_id;
    if (current === undefined || isForeign) {
      this.#options.logger.error(
        `a handler process answered for a job that it does not have; it is stopped: ${line.slice(0, 200)}`,
      );
      this.#child?.terminate();
      return;
    }
    if (answer.progress !== undefined && answer.progress !== null) {
      current.run.progress(answer.progress);
    }
    if (answer.checkpoint !== undefined && answer.checkpoint !== null) {
      current.run.checkpoint(answer.checkpoint);
    }
    if (answer.ok !== undefined) this.#answered(answer, current);
  }

  #answered(answer: Answer, current: Current): void {
    this.#deaths = 0;
    this.#hasAnswered = true;
    const output = current.output.text();
    if (answer.ok === true) {
      this.#settle({ kind: "done", result: answer.result ?? undefined, output });
      return;
    }
    const delayMs = typeof answer.snooze === "string" ? parseDuration(answer.snooze) : undefined;
    if (delayMs !== undefined) {
      this.#settle({ kind: "snoozed", delayMs });
      return;
    }
    const error = errorIn(answer);
    const retryable = answer.retryable === false ? false : undefined;
    const errorClass = typeof answer.error_class === "string" ? answer.error_class : undefined;
    this.#settle({ kind: "failed", error, errorClass, retryable, output });
  }

  #settle(outcome: JobOutcome): void {
    const current = this.#current;
    this.#current = undefined;
    current?.echo?.end();
    current?.settle(outcome);
  }
}

/** What a handler said of its failure. A slip in the answer is told, or nobody would find it. */
function errorIn({ error, snooze }: Answer): string {
  if (typeof error === "string") return error;
  if (error !== undefined && error !== null) return stringifyJson(error);
  if (snooze === undefined || snooze === null) return "the handler gave no reason";
  return `the handler asked for a snooze of ${stringifyJson(snooze)}, which is no duration such as "30s"`;
}

/** An answer is an object with at least one of the members that mean something. */
function parseAnswer(line: string): Answer | undefined {
  const parsed = parseJson(line, answerTree, limits.jsonDepthMax + 1);
  if (!parsed.ok || typeof parsed.value !== "object" || parsed.value === null) return undefined;
  const answer = parsed.value as Answer;
  const isAnswer = typeof answer.ok === "boolean" || "progress" in answer || "checkpoint" in answer;
  return isAnswer ? answer : undefined;
}
