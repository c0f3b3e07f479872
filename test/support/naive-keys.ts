/** The rules of docs/spec/jobs.md about unique keys, with one list of locks and one of jobs that wait for them. */
import type { NewJob } from "../../src/engine/change.ts";
import { isFinished, type JobState } from "../../src/engine/job.ts";
import type { JobOptions } from "../../src/engine/options.ts";
import { endOfWait, type ModelJob, startOf } from "./naive-job.ts";

interface Lock {
  queue: string;
  readonly key: string;
  readonly seq: number;
  untilMs: number;
  /** Outlives its job. */
  isHold: boolean;
}

interface Model {
  jobs(): readonly ModelJob[];
  nowMs(): number;
  isOverBacklog(spec: NewJob, options: JobOptions): boolean;
  insert(spec: NewJob, options: JobOptions, waitsForKey: boolean): ModelJob;
  place(job: ModelJob, dueAtMs: number): void;
  cancel(job: ModelJob): void;
  /** It waits for no other job any more. */
  unblock(job: ModelJob): void;
}

const forEver = Number.POSITIVE_INFINITY;

export class NaiveKeys {
  #locks: Lock[] = [];
  #waiting: { queue: string; key: string; seq: number }[] = [];
  readonly #model: Model;

  constructor(model: Model) {
    this.#model = model;
  }

  add(spec: NewJob, options: JobOptions): string {
    const key = options.uniqueKey ?? "";
    const lock = this.#lock(spec.queue, key);
    const holder = this.#job(lock?.seq);
    const next = this.#next(spec.queue, key);
    const rule = options.onConflict;
    if (rule === "keep_last" && next !== undefined) return this.#rewrite(next, spec, options);
    if (rule === "keep_last" && lock !== undefined && holder?.state === "active") {
      if (this.#model.isOverBacklog(spec, options)) return "LIMIT_EXCEEDED";
      const job = this.#model.insert(spec, options, true);
      this.#waiting.push({ queue: spec.queue, key, seq: job.seq });
      this.#take(holder);
      return `held ${job.seq}`;
    }
    const isUnfinished = holder !== undefined && !isFinished(holder.state);
    if (lock !== undefined && rule === "cancel" && isUnfinished) {
      const makesRoom = [next, holder].some(
        (one) => one !== undefined && leavesGroup(one, options),
      );
      if (!makesRoom && this.#model.isOverBacklog(spec, options)) return "LIMIT_EXCEEDED";
      if (next !== undefined) this.#model.cancel(next);
      this.#model.cancel(holder);
    } else if (lock !== undefined) {
      if (rule === "reject") return "CONFLICT";
      const isWaiting = ["pending", "scheduled", "retrying"].includes(holder?.state ?? "");
      const replaces = rule === "replace" || rule === "keep_last";
      if (holder === undefined || !replaces || !isWaiting) return `duplicate of ${lock.seq}`;
      return this.#rewrite(holder, spec, options);
    } else if (this.#model.isOverBacklog(spec, options)) return "LIMIT_EXCEEDED";
    const job = this.#model.insert(spec, options, false);
    this.#take(job);
    return `${job.state} ${job.seq}`;
  }

  started(job: ModelJob): void {
    if (job.options.uniqueScope === "waiting") this.#free(job);
  }

  /** The job went from one state to the one it has; it was not started. */
  moved(job: ModelJob, from: JobState): void {
    if (from === "held" && job.state !== "held") this.#forget(job);
    if (job.state === from) return;
    if (isFinished(job.state)) {
      const lock = this.#locks.find(({ seq }) => seq === job.seq);
      if (isFinished(from) || (lock?.isHold === true && job.state !== "cancelled")) return;
      this.#free(job);
    } else if (job.options.uniqueScope === "waiting" && from === "active") {
      this.retake(job);
    }
  }

  deleted(job: ModelJob): void {
    this.#forget(job);
    this.#free(job);
  }

  retake(job: ModelJob): void {
    const key = job.options.uniqueKey;
    if (key !== undefined && this.#lock(job.queue, key) === undefined) this.#take(job);
  }

  move(job: ModelJob, queue: string): string | undefined {
    if (this.#waiting.some(({ seq }) => seq === job.seq)) return "MOVE_ERROR";
    const held = this.#locks.find(({ seq }) => seq === job.seq);
    if (held === undefined) return undefined;
    if (held.isHold && held.untilMs <= this.#model.nowMs()) {
      this.#locks = this.#locks.filter((lock) => lock !== held);
      return undefined;
    }
    if (this.#lock(queue, held.key) !== undefined) return "CONFLICT";
    this.#locks = this.#locks.filter((lock) => lock.queue !== queue || lock.key !== held.key);
    held.queue = queue;
    this.#handOver(job.queue, held.key);
    return undefined;
  }

  #rewrite(job: ModelJob, spec: NewJob, options: JobOptions): string {
    if (options.dependsOn !== undefined) return "CONFLICT";
    if (options.chain !== undefined || job.options.chainId !== undefined) return "CONFLICT";
    for (const { batchId, cascadeCancel } of [options, job.options]) {
      if (batchId !== undefined || cascadeCancel) return "CONFLICT";
    }
    const isOver = !leavesGroup(job, options) && this.#model.isOverBacklog(spec, options);
    if (isOver) return "LIMIT_EXCEEDED";
    const payload = joined(options, job.payload, spec.payload);
    if (payload === undefined) return "CONFLICT";
    const nowMs = this.#model.nowMs();
    this.#model.unblock(job);
    const isSame = JSON.stringify(job.options.lane) === JSON.stringify(options.lane);
    const stays = isSame && job.order > 0 && job.state === "pending";
    const wasPendingAs = stays ? job.priority : undefined;
    job.payload = payload;
    job.options = options;
    job.priority = spec.priority ?? 2;
    job.askedAtMs = startOf(spec, options, { nowMs, firstMs: job.createdAtMs });
    job.expireAtMs = endOfWait(spec, options, nowMs);
    job.checkpoint = spec.checkpoint;
    if (job.state === "held") return `replaced ${job.seq}`;
    job.attempt = 0;
    job.lostLeases = 0;
    job.snoozes = 0;
    job.firstFailedAtMs = 0;
    job.token = 0;
    job.startedAtMs = 0;
    job.progress = undefined;
    job.result = undefined;
    const staysInLine = wasPendingAs === job.priority && job.askedAtMs <= nowMs;
    if (!staysInLine) this.#model.place(job, job.askedAtMs);
    this.#take(job);
    return `replaced ${job.seq}`;
  }

  #take(job: ModelJob): void {
    const { uniqueKey: key, uniqueScope, uniqueMs } = job.options;
    if (key === undefined) return;
    const { queue } = job;
    this.#locks = this.#locks.filter((lock) => lock.queue !== queue || lock.key !== key);
    const isAwaited = this.#next(queue, key) !== undefined;
    const isHold = uniqueScope === "period" && !isAwaited;
    const untilMs = isAwaited ? forEver : this.#model.nowMs() + uniqueMs;
    this.#locks.push({ queue, key, seq: job.seq, untilMs, isHold });
  }

  #free(job: ModelJob): void {
    const lock = this.#locks.find(({ seq }) => seq === job.seq);
    if (lock === undefined) return;
    this.#locks = this.#locks.filter((one) => one !== lock);
    this.#handOver(lock.queue, lock.key);
  }

  #handOver(queue: string, key: string): void {
    const next = this.#next(queue, key);
    if (next === undefined) return;
    this.#forget(next);
    this.#model.place(next, next.askedAtMs);
    this.#take(next);
  }

  #forget(job: ModelJob): void {
    this.#waiting = this.#waiting.filter(({ seq }) => seq !== job.seq);
  }

  #lock(queue: string, key: string): Lock | undefined {
    return this.#locks.find(
      (lock) => lock.queue === queue && lock.key === key && lock.untilMs > this.#model.nowMs(),
    );
  }

  #next(queue: string, key: string): ModelJob | undefined {
    return this.#job(this.#waiting.find((one) => one.queue === queue && one.key === key)?.seq);
  }

  #job(seq: number | undefined): ModelJob | undefined {
    return this.#model.jobs().find((job) => job.seq === seq);
  }
}

/** Does the job make room in the group of a job with these options when it is no longer there? */
function leavesGroup(job: ModelJob, options: JobOptions): boolean {
  return job.state !== "active" && job.options.lane?.group === options.lane?.group;
}

/** By the language's own JSON: the payloads of these tests have no number that it would change. */
function joined(options: JobOptions, older: string, newer: string): string | undefined {
  if (options.merge === "none") return newer;
  if (older.startsWith("~") || newer.startsWith("~")) return undefined;
  const [one, other] = [JSON.parse(older), JSON.parse(newer)];
  const isObject = (value: unknown) => typeof value === "object" && !Array.isArray(value);
  if (options.merge === "append") {
    return Array.isArray(one) && Array.isArray(other)
      ? JSON.stringify([...one, ...other])
      : undefined;
  }
  return isObject(one) && isObject(other) ? JSON.stringify({ ...one, ...other }) : undefined;
}
