/** The rules of docs/spec/leases.md and of retries in docs/spec/jobs.md, with nothing but scans. */
import type { ChainPlan } from "../../src/engine/chains.ts";
import type {
  AckItem,
  FailItem,
  HeartbeatItem,
  RaisedPause,
  ReleaseItem,
  SnoozeItem,
} from "../../src/engine/change.ts";
import type { JobState } from "../../src/engine/job.ts";
import { chanceOf, retryDelayMs } from "../../src/engine/retry.ts";
import { answerOf, type ModelJob } from "./naive-job.ts";
import type { ModelAnswer } from "./naive-model.ts";

interface Model {
  jobs(): readonly ModelJob[];
  nowMs(): number;
  seed(): number;
  finish(job: ModelJob, state: "completed" | "dead"): void;
  endLease(job: ModelJob, state: JobState): void;
  raise(job: ModelJob, pause: RaisedPause | undefined): "refused" | "done";
  /** A step of a chain, of which `plan` was left. */
  acked(job: ModelJob, plan: ChainPlan | undefined, exits: boolean): void;
}

type Item = { readonly seq: number; readonly token?: number };

const infinity = Number.POSITIVE_INFINITY;

export class NaiveAttempts {
  readonly #model: Model;

  constructor(model: Model) {
    this.#model = model;
  }

  leaseEnd(job: ModelJob): number {
    const { timeoutMs, deadlineAtMs } = job.options;
    return Math.min(
      this.#model.nowMs() + job.leaseMs,
      timeoutMs > 0 ? job.startedAtMs + timeoutMs : infinity,
      deadlineAtMs > 0 ? deadlineAtMs : infinity,
    );
  }

  /** The job when the item speaks for its lease; else the code of the refusal, or `repeated`. */
  #holder(item: Item, stateCode: string): { job: ModelJob; repeated: boolean } | string {
    const job = this.#model.jobs().find(({ seq }) => seq === item.seq);
    if (job === undefined) return "NOT_FOUND";
    if (item.token === undefined)
      return job.state === "active" ? { job, repeated: false } : stateCode;
    if (item.token !== job.token) return "LEASE_LOST";
    return { job, repeated: job.state !== "active" };
  }

  ack(item: AckItem): ModelAnswer {
    const found = this.#holder(item, "ACK_ERROR");
    if (typeof found === "string") return found;
    const { job, repeated } = found;
    if (repeated) return job.state === "completed" ? answerOf(job, "active") : "LEASE_LOST";
    if (item.output !== undefined) job.history.push("completed");
    job.result = item.result ?? job.result;
    job.checkpoint = item.checkpoint ?? job.checkpoint;
    job.lostLeases = 0;
    const plan = job.options.chain;
    this.#model.finish(job, "completed");
    if (plan !== undefined) job.options = { ...job.options, chain: undefined };
    this.#model.acked(job, plan, item.exit !== undefined);
    return answerOf(job, "active");
  }

  fail(item: FailItem): ModelAnswer {
    const found = this.#holder(item, "FAIL_ERROR");
    if (typeof found === "string") return found;
    const { job, repeated } = found;
    if (repeated) {
      return ["retrying", "dead"].includes(job.state) ? answerOf(job, "active") : "LEASE_LOST";
    }
    if (this.#model.raise(job, item.pause) === "refused") return "VALIDATION_ERROR";
    job.history.push("failed");
    if (item.keepAttempt === true) {
      job.attempt = Math.max(0, job.attempt - 1);
      job.token = 0;
      job.lostLeases = 0;
      this.#model.endLease(job, "pending");
      return answerOf(job, "active");
    }
    const isFatal = job.options.noRetryOn?.some((name) => name === item.errorClass) ?? false;
    this.#retryOrDie(job, item.retryable === false || isFatal, item.delayMs);
    return answerOf(job, "active");
  }

  #retryOrDie(job: ModelJob, isFinal: boolean, asked?: number): void {
    job.lostLeases = 0;
    const delayMs =
      asked ?? retryDelayMs(job.options, job.attempt, chanceOf(this.#model.seed(), job.seq));
    const dueAtMs = this.#model.nowMs() + delayMs;
    const isTooLate = this.#isTooLate(job, dueAtMs);
    if (isFinal || isTooLate || job.attempt >= job.options.maxRetries) {
      this.#model.finish(job, "dead");
      return;
    }
    this.#model.endLease(job, "retrying");
    job.dueAtMs = dueAtMs;
  }

  /** Notes the first failure, too. */
  #isTooLate(job: ModelJob, nextMs: number): boolean {
    job.firstFailedAtMs ||= this.#model.nowMs();
    const { retryForMs } = job.options;
    return retryForMs > 0 && nextMs > job.firstFailedAtMs + retryForMs;
  }

  snooze(item: SnoozeItem): ModelAnswer {
    const found = this.#holder(item, "SNOOZE_ERROR");
    if (typeof found === "string") return found;
    const { job, repeated } = found;
    if (repeated) return "LEASE_LOST";
    if (job.snoozes >= job.options.snoozesMax) return "SNOOZE_ERROR";
    job.snoozes++;
    job.attempt = Math.max(0, job.attempt - 1);
    job.lostLeases = 0;
    job.token = 0;
    job.checkpoint = item.checkpoint ?? job.checkpoint;
    this.#model.endLease(job, "retrying");
    job.dueAtMs = this.#model.nowMs() + item.delayMs;
    return answerOf(job, "active");
  }

  release(item: ReleaseItem): ModelAnswer {
    const found = this.#holder(item, "RELEASE_ERROR");
    if (typeof found === "string") return found;
    const { job, repeated } = found;
    if (repeated) return "LEASE_LOST";
    if (this.#model.raise(job, item.pause) === "refused") return "VALIDATION_ERROR";
    job.attempt = Math.max(0, job.attempt - 1);
    job.token = 0;
    if ((item.delayMs ?? 0) > 0) {
      this.#model.endLease(job, "retrying");
      job.dueAtMs = this.#model.nowMs() + (item.delayMs ?? 0);
    } else {
      this.#model.endLease(job, "pending");
    }
    return answerOf(job, "active");
  }

  heartbeat(item: HeartbeatItem): ModelAnswer {
    const found = this.#holder(item, "LEASE_LOST");
    if (typeof found === "string") return found;
    const { job, repeated } = found;
    if (repeated) return "LEASE_LOST";
    job.leaseMs = item.leaseMs ?? job.leaseMs;
    job.leaseEndsAtMs = this.leaseEnd(job);
    job.progress = item.progress ?? job.progress;
    job.checkpoint = item.checkpoint ?? job.checkpoint;
    return answerOf(job, "active");
  }

  loseLease(job: ModelJob): void {
    const { timeoutMs, maxRetries, deadlineAtMs, lostLeasesMax } = job.options;
    job.token = 0;
    if (deadlineAtMs > 0 && this.#model.nowMs() >= deadlineAtMs) {
      job.history.push("timed_out");
      job.lostLeases = 0;
      this.#model.finish(job, "dead");
      return;
    }
    if (timeoutMs > 0 && this.#model.nowMs() >= job.startedAtMs + timeoutMs) {
      job.history.push("timed_out");
      this.#retryOrDie(job, false);
      return;
    }
    job.history.push("lease_lost");
    job.lostLeases++;
    const isTooLate = this.#isTooLate(job, this.#model.nowMs());
    if (lostLeasesMax > 0 && job.lostLeases >= lostLeasesMax) this.#model.endLease(job, "held");
    else if (job.attempt >= maxRetries || isTooLate) this.#model.finish(job, "dead");
    else this.#model.endLease(job, "pending");
  }
}
