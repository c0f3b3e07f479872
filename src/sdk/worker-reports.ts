/**
 * Reports of a worker: how each job ended, sent over the stream, and counted by what the server said.
 *
 * A report that the server will not take, because something in it is too large, is replaced by a smaller one, down to a failure
 * that says what was refused; so a job never hangs on its own result until the lease ends.
 */
import type { Static } from "@sinclair/typebox";
import { requestLimits as limits } from "../api/limits.ts";
import type { AckItem, FailItem, HeartbeatItem } from "../api/worker.ts";
import type { CorvoError } from "../base/errors.ts";
import type { Logger } from "../base/ports.ts";
import { formatDuration } from "../base/time.ts";
import type { Stream } from "./stream.ts";
import type { ItemAnswer, Sendable } from "./stream-frame.ts";
import type { HeldJob, JobOutcome } from "./worker-run.ts";

export interface WorkerReport {
  readonly done: number;
  readonly failed: number;
  readonly returned: number;
  /** Cancelled, or the lease was lost: not reported, or reported in vain. */
  readonly dropped: number;
  /** Whether the server took the report of these is not known. */
  readonly unknown: number;
  /** Why the worker had to end by itself. */
  readonly fault: CorvoError | undefined;
}

type Counts = { -readonly [Key in Exclude<keyof WorkerReport, "fault">]: WorkerReport[Key] };
type FailReport = Omit<Sendable<Static<typeof FailItem>>, "job_id" | "lease_token">;
type AckReport = Omit<Sendable<Static<typeof AckItem>>, "job_id" | "lease_token">;
type LastNews = Pick<Sendable<Static<typeof HeartbeatItem>>, "progress" | "checkpoint">;
type Done = Extract<JobOutcome, { kind: "done" }>;

/** The server will not take this item, but may take a smaller one. */
export const unfitCodes: ReadonlySet<string | undefined> = new Set([
  "PAYLOAD_TOO_LARGE",
  "VALIDATION_ERROR",
  "LIMIT_EXCEEDED",
  "PARSE_ERROR",
]);
const unsureCodes: ReadonlySet<string> = new Set(["OUTCOME_UNKNOWN", "UNAVAILABLE"]);

export class Reports {
  readonly counts: Counts = { done: 0, failed: 0, returned: 0, dropped: 0, unknown: 0 };
  /** Without an answer. */
  openCount = 0;
  readonly #stream: Stream;
  readonly #logger: Logger;
  readonly #onAnswered: () => void;

  constructor(stream: Stream, logger: Logger, onAnswered: () => void) {
    this.#stream = stream;
    this.#logger = logger;
    this.#onAnswered = onAnswered;
  }

  settle(held: HeldJob, outcome: JobOutcome): void {
    const { job, stopReason } = held;
    if (stopReason === "cancelled" || (stopReason === "lost" && !held.isCutOff)) {
      this.counts.dropped++;
      this.#logger.warn(`job ${job.job_id} was ${stopReason}; its outcome is dropped`);
      return;
    }
    // Reports carry no progress. Without its last one a finished job would show for ever how far it was half a second before.
    this.#afterHeartbeat(held, { progress: held.takeProgress() }, () =>
      this.#report(held, outcome),
    );
  }

  #report(held: HeldJob, outcome: JobOutcome): void {
    const isGivenBack = held.stopReason === "shutdown" || held.isCutOff;
    if (outcome.kind === "done") {
      this.#ack(held, outcome);
    } else if (outcome.kind === "failed" && !isGivenBack) {
      const { error, errorClass, backtrace, retryable, output } = outcome;
      const error_class = errorClass?.slice(0, limits.errorClassLengthMax);
      this.#afterCheckpoint(held, () =>
        this.#fail(held, { error, error_class, backtrace, retryable, output }),
      );
    } else if (outcome.kind === "snoozed" && !isGivenBack) {
      this.#snooze(held, outcome.delayMs);
    } else {
      if (outcome.kind === "returned") this.#logger.warn(outcome.reason);
      const delayMs = outcome.kind === "returned" ? outcome.delayMs : undefined;
      this.#afterCheckpoint(held, () => this.release(held, delayMs));
    }
  }

  /** Gives the job back. */
  release(held: HeldJob, delayMs?: number): void {
    const { job_id, lease_token } = held.job;
    const delay = delayMs === undefined ? undefined : formatDuration(delayMs);
    this.openCount++;
    this.#stream.release({ job_id, lease_token, delay }, (answer) => {
      this.#count("returned", answer);
      this.#answered();
    });
  }

  #snooze(held: HeldJob, delayMs: number): void {
    const { job_id, lease_token } = held.job;
    const delay = formatDuration(delayMs);
    const checkpoint = held.takeCheckpoint();
    this.openCount++;
    this.#stream.snooze({ job_id, lease_token, delay, checkpoint }, (answer) => {
      // It may not be put off any more, and must not hang here until its lease ends.
      if (answer.code === "SNOOZE_ERROR" || unfitCodes.has(answer.code)) {
        this.#fail(held, {
          error: `the snooze was refused: ${answer.code}: ${answer.error ?? ""}`,
        });
      } else {
        this.#count("returned", answer);
      }
      this.#answered();
    });
  }

  /** Failing and releasing carry no checkpoint, so a new one goes ahead in a heartbeat of its own. */
  #afterCheckpoint(held: HeldJob, report: () => void): void {
    this.#afterHeartbeat(held, { checkpoint: held.takeCheckpoint() }, report);
  }

  /** Whatever becomes of the heartbeat, the report follows. */
  #afterHeartbeat(held: HeldJob, news: LastNews, report: () => void): void {
    if (news.progress === undefined && news.checkpoint === undefined) {
      report();
      return;
    }
    const { job_id, lease_token } = held.job;
    this.openCount++;
    this.#stream.heartbeat({ job_id, lease_token, ...news }, () => {
      report();
      this.#answered();
    });
  }

  #ack(held: HeldJob, { result, output }: Done): void {
    const report = { result, output: lastPart(output), checkpoint: held.takeCheckpoint() };
    this.#sendAck(held, report, (answer) => {
      if (!unfitCodes.has(answer.code)) {
        this.#count("done", answer);
      } else if (report.checkpoint === undefined) {
        this.#failUnfit(held, answer);
      } else {
        // A finished job has little use for a checkpoint; it must not cost the result.
        this.#logger.warn(`job ${held.job.job_id}: ${answer.code}: ${answer.error ?? ""}`);
        this.#sendAck(held, { ...report, checkpoint: undefined }, (second) => {
          if (unfitCodes.has(second.code)) this.#failUnfit(held, second);
          else this.#count("done", second);
        });
      }
    });
  }

  #sendAck(held: HeldJob, report: AckReport, done: (answer: ItemAnswer) => void): void {
    const { job_id, lease_token } = held.job;
    this.openCount++;
    this.#stream.ack({ job_id, lease_token, ...report }, (answer) => {
      done(answer);
      this.#answered();
    });
  }

  #failUnfit(held: HeldJob, answer: ItemAnswer): void {
    this.#fail(held, { error: `the result was refused: ${answer.code}: ${answer.error ?? ""}` });
  }

  #fail(held: HeldJob, report: FailReport): void {
    const { job_id, lease_token } = held.job;
    const output = lastPart(report.output ?? undefined);
    this.openCount++;
    this.#stream.fail({ job_id, lease_token, ...report, output }, (answer) => {
      this.#count("failed", answer);
      this.#answered();
    });
  }

  #count(kind: "done" | "failed" | "returned", answer: ItemAnswer): void {
    if (answer.code === undefined) {
      this.counts[kind]++;
      return;
    }
    this.counts[unsureCodes.has(answer.code) ? "unknown" : "dropped"]++;
    this.#logger.warn(
      `job ${answer.job_id}: the report "${kind}" was not confirmed: ${answer.code}: ${answer.error ?? ""}`,
    );
  }

  #answered(): void {
    this.openCount--;
    this.#onAnswered();
  }
}

/** The server keeps the end of the output only, so no more of it is sent. */
function lastPart(output: string | undefined): string | undefined {
  if (output === undefined || output.length <= limits.outputBytesMax) return output;
  return output.slice(-limits.outputBytesMax).toWellFormed();
}
