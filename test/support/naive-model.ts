/**
 * The rules of docs/spec/jobs.md and docs/spec/leases.md, written down a second time with nothing but arrays and scans: no
 * counters, no lines, no heaps, no indexes. Whatever the engine answers, this must answer too.
 */

import { formatGroupId } from "../../src/base/ids.ts";
import type {
  AckItem,
  Batch,
  Change,
  ClaimJobs,
  FailItem,
  HeartbeatItem,
  ManageJobs,
  NewJob,
  ReleaseItem,
  Retention,
} from "../../src/engine/change.ts";
import { isFinished, type JobState } from "../../src/engine/job.ts";
import { engineLimits } from "../../src/engine/limits.ts";
import { defaultOptions, type JobOptions } from "../../src/engine/options.ts";
import { chanceOf, retryDelayMs } from "../../src/engine/retry.ts";
import { NaiveBelonging } from "./naive-belonging.ts";
import { NaiveCalls } from "./naive-calls.ts";
import { NaiveChains } from "./naive-chains.ts";
import { NaiveDependencies } from "./naive-dependencies.ts";
import { NaiveGroups } from "./naive-groups.ts";
import { answerOf, type ModelJob, newModelJob } from "./naive-job.ts";
import { NaiveRetention } from "./naive-retention.ts";
import { refusals, sources } from "./naive-rules.ts";

type Item = { readonly seq: number; readonly token?: number };
export type ModelAnswer = unknown;

const infinity = Number.POSITIVE_INFINITY;
const waiting: readonly JobState[] = ["pending", "scheduled", "retrying", "held"];
export class NaiveModel {
  jobs: ModelJob[] = [];
  queues: { name: string; paused: boolean }[] = [];
  #locks: { queue: string; key: string; seq: number; untilMs: number }[] = [];
  readonly #kept: NaiveRetention;
  #number = 1;
  #token = 1;
  #nowMs = 0;
  #seed = 0;

  readonly #waits: NaiveDependencies;
  readonly chains = new NaiveChains({
    nowMs: () => this.#nowMs,
    add: (spec, of) => this.#insert(spec, { ...defaultOptions, ...spec.options, ...of }).seq,
  });
  readonly belonging = new NaiveBelonging({
    nowMs: () => this.#nowMs,
    takeNumber: () => this.#number++,
    jobs: () => this.jobs,
    cancel: (job) => this.#act(job, "cancel"),
    add: (spec) => this.#insert(spec, { ...defaultOptions, ...spec.options }).seq,
    later: (step) => this.#waits.later(step),
  });
  readonly #groups = new NaiveGroups([this.chains, this.belonging]);
  readonly #calls = new NaiveCalls({
    nowMs: () => this.#nowMs,
    find: (seq) => this.jobs.find((job) => job.seq === seq),
    add: (spec) => this.#add(spec),
    refusal: ({ options }) =>
      this.belonging.refusal(options) ?? (this.#waits.isRefused(options) ? "NOT_FOUND" : undefined),
    begin: (batch) => {
      const seq = this.belonging.begin(batch);
      return { seq, id: this.belonging.idOf(seq) };
    },
    begun: (batch) => this.belonging.begun(batch),
  });

  constructor(retention: Retention, stepsMax: number = engineLimits.aftermathStepsMax) {
    this.#kept = new NaiveRetention(retention);
    this.#waits = new NaiveDependencies({
      stepsMax,
      find: (seq) => this.jobs.find((job) => job.seq === seq),
      nextNumber: () => this.#number,
      takeNumber: () => this.#number++,
      standInLine: (job) => this.#stand(job),
      abandon: (job) => {
        job.history.push("dependency_failed");
        job.token = 0;
        this.#finish(job, "dead");
      },
    });
  }

  apply(batch: Batch): ModelAnswer[] {
    this.#nowMs = batch.nowMs;
    this.#seed = batch.seed;
    this.#waits.beginBatch();
    const answers = batch.changes.map((change) => {
      const answer = this.#change(change);
      this.#waits.carryOn();
      return answer;
    });
    this.#waits.endBatch();
    return answers;
  }

  /** Ready jobs of a queue, first in line first. */
  line(queue: string): ModelJob[] {
    return this.jobs
      .filter((job) => job.queue === queue && job.state === "pending" && job.order > 0)
      .sort((one, other) => one.priority - other.priority || one.order - other.order);
  }

  /** When time alone changes something next. */
  nextDeadlineMs(): number {
    if (this.#waits.hasNews) return this.#nowMs;
    return Math.min(
      this.#kept.nextMs(),
      this.#groups.nextMs(this.#kept.retention.doneMs),
      ...this.#events().map(({ atMs }) => atMs),
    );
  }

  #change(change: Change): ModelAnswer {
    switch (change.kind) {
      case "enqueue":
        return this.#calls.enqueue(change);
      case "claim":
        return this.#claim(change);
      case "ack":
        return change.items.map((item) => this.#ack(item));
      case "fail":
        return change.items.map((item) => this.#fail(item));
      case "release":
        return change.items.map((item) => this.#release(item));
      case "heartbeat":
        return change.items.map((item) => this.#heartbeat(item));
      case "manage":
        if (change.queue !== undefined) this.#open(change.queue);
        return change.seqs.map((seq) => this.#manage(seq, change));
      case "pauseQueue":
        this.#open(change.queue).paused = change.paused;
        return "ok";
      case "clearQueue":
        return this.#clear(change.queue, change.limit);
      case "deleteQueue":
        return this.#deleteQueue(change.queue);
      case "advanceTime":
        return this.#advance(change.limit);
      case "configure":
        this.#kept.retention = change.retention;
        return "ok";
      case "sealBatch":
        return this.belonging.seal(change.batch);
      case "cancelBatch":
        return this.belonging.cancel(change.batch);
      case "raiseFeatureLevel":
        return "ok";
      default:
        throw new Error(`${change.kind}: its histories have a model of their own`);
    }
  }

  #open(name: string): { name: string; paused: boolean } {
    let queue = this.queues.find((one) => one.name === name);
    if (queue === undefined) {
      queue = { name, paused: false };
      this.queues.push(queue);
    }
    return queue;
  }

  #add(spec: NewJob): string {
    this.#open(spec.queue);
    const options = { ...defaultOptions, ...spec.options };
    const lock = this.#lock(spec.queue, options.uniqueKey);
    if (lock !== undefined && lock.untilMs > this.#nowMs) return `duplicate of ${lock.seq}`;
    const job = this.#insert(spec, options);
    this.chains.began(job);
    this.#takeLock(job);
    return `${job.state} ${job.seq}`;
  }

  #insert(spec: NewJob, asked: JobOptions): ModelJob {
    this.#open(spec.queue);
    const seq = this.#number++;
    const chainId = formatGroupId("chn", { seq, createdAtMs: this.#nowMs, shard: 0 });
    const isFirst = asked.chain !== undefined && asked.chainId === undefined;
    const options = isFirst ? { ...asked, chainId, chainStep: 0 } : asked;
    this.#waits.added(seq, options);
    const place = this.#waits.isBlocked(seq) ? 0 : seq;
    const job = newModelJob(spec, { seq, options, nowMs: this.#nowMs, place });
    this.jobs.push(job);
    this.belonging.changed(job);
    return job;
  }

  #lock(queue: string, key: string | undefined) {
    return this.#locks.find((lock) => lock.queue === queue && lock.key === key);
  }

  #takeLock(job: ModelJob): void {
    const key = job.options.uniqueKey;
    if (key === undefined) return;
    this.#locks = this.#locks.filter((lock) => lock.queue !== job.queue || lock.key !== key);
    const untilMs = this.#nowMs + job.options.uniqueMs;
    this.#locks.push({ queue: job.queue, key, seq: job.seq, untilMs });
  }

  #freeLock(job: ModelJob): void {
    this.#locks = this.#locks.filter(({ seq }) => seq !== job.seq);
  }

  #claim(change: ClaimJobs): ModelAnswer {
    const claimed: string[] = [];
    const open = this.queues.filter(({ name, paused }) => !paused && change.queues.includes(name));
    while (claimed.length < change.count) {
      const lines = open.flatMap(({ name }) => this.line(name));
      const [job] = lines.sort(
        (one, other) => one.priority - other.priority || one.order - other.order,
      );
      if (job === undefined) break;
      if (job.expireAtMs > 0 && job.expireAtMs <= this.#nowMs) {
        this.#expire(job);
        continue;
      }
      job.state = "active";
      job.attempt++;
      job.token = this.#token++;
      job.leaseMs = change.leaseMs;
      job.startedAtMs = this.#nowMs;
      job.leaseEndsAtMs = this.#leaseEnd(job);
      job.progress = undefined;
      claimed.push(
        `${job.seq} attempt ${job.attempt} token ${job.token} until ${job.leaseEndsAtMs}`,
      );
    }
    return claimed;
  }

  #leaseEnd(job: ModelJob): number {
    const { timeoutMs } = job.options;
    return Math.min(
      this.#nowMs + job.leaseMs,
      timeoutMs > 0 ? job.startedAtMs + timeoutMs : infinity,
    );
  }

  /** The job when the item speaks for its lease; else the code of the refusal, or `repeated`. */
  #holder(item: Item, stateCode: string): { job: ModelJob; repeated: boolean } | string {
    const job = this.jobs.find(({ seq }) => seq === item.seq);
    if (job === undefined) return "NOT_FOUND";
    if (item.token === undefined)
      return job.state === "active" ? { job, repeated: false } : stateCode;
    if (item.token !== job.token) return "LEASE_LOST";
    return { job, repeated: job.state !== "active" };
  }

  #ack(item: AckItem): ModelAnswer {
    const found = this.#holder(item, "ACK_ERROR");
    if (typeof found === "string") return found;
    const { job, repeated } = found;
    if (repeated) return job.state === "completed" ? answerOf(job, "active") : "LEASE_LOST";
    if (item.output !== undefined) job.history.push("completed");
    job.result = item.result ?? job.result;
    job.checkpoint = item.checkpoint ?? job.checkpoint;
    job.lostLeases = 0;
    const plan = job.options.chain;
    this.#finish(job, "completed");
    if (plan !== undefined) job.options = { ...job.options, chain: undefined };
    this.chains.acked(job, plan, item.exit !== undefined);
    return answerOf(job, "active");
  }

  #fail(item: FailItem): ModelAnswer {
    const found = this.#holder(item, "FAIL_ERROR");
    if (typeof found === "string") return found;
    const { job, repeated } = found;
    if (repeated) {
      return ["retrying", "dead"].includes(job.state) ? answerOf(job, "active") : "LEASE_LOST";
    }
    job.history.push("failed");
    this.#retryOrDie(job, item.retryable === false);
    return answerOf(job, "active");
  }

  #retryOrDie(job: ModelJob, isFinal: boolean): void {
    job.lostLeases = 0;
    if (isFinal || job.attempt >= job.options.maxRetries) {
      this.#finish(job, "dead");
      return;
    }
    this.#endLease(job, "retrying");
    job.dueAtMs =
      this.#nowMs + retryDelayMs(job.options, job.attempt, chanceOf(this.#seed, job.seq));
  }

  #release(item: ReleaseItem): ModelAnswer {
    const found = this.#holder(item, "RELEASE_ERROR");
    if (typeof found === "string") return found;
    const { job, repeated } = found;
    if (repeated) return "LEASE_LOST";
    job.attempt = Math.max(0, job.attempt - 1);
    job.token = 0;
    if ((item.delayMs ?? 0) > 0) {
      this.#endLease(job, "retrying");
      job.dueAtMs = this.#nowMs + (item.delayMs ?? 0);
    } else {
      this.#endLease(job, "pending");
    }
    return answerOf(job, "active");
  }

  #heartbeat(item: HeartbeatItem): ModelAnswer {
    const found = this.#holder(item, "LEASE_LOST");
    if (typeof found === "string") return found;
    const { job, repeated } = found;
    if (repeated) return "LEASE_LOST";
    job.leaseMs = item.leaseMs ?? job.leaseMs;
    job.leaseEndsAtMs = this.#leaseEnd(job);
    job.progress = item.progress ?? job.progress;
    job.checkpoint = item.checkpoint ?? job.checkpoint;
    return answerOf(job, "active");
  }

  #endLease(job: ModelJob, state: JobState): void {
    job.state = state;
    job.leaseMs = 0;
    job.leaseEndsAtMs = 0;
    job.dueAtMs = 0;
    if (state === "pending") this.#stand(job);
  }

  /** At the end of the line, unless it waits for other jobs. */
  #stand(job: ModelJob): void {
    job.order = this.#waits.isBlocked(job.seq) ? 0 : this.#number++;
  }

  #finish(job: ModelJob, state: "completed" | "dead" | "cancelled"): void {
    this.#kept.leave(job);
    this.#endLease(job, state);
    this.#kept.join(job, this.#nowMs);
    this.#freeLock(job);
    this.#waits.ended(job.seq, state);
    this.belonging.changed(job);
    if (state === "cancelled") this.belonging.parentGone(job);
    this.chains.stepEnded(job, state);
  }

  #manage(seq: number, change: ManageJobs): ModelAnswer {
    const job = this.jobs.find((one) => one.seq === seq);
    if (job === undefined) return "NOT_FOUND";
    const from = job.state;
    if (change.action === "delete") {
      this.#delete(job);
      return answerOf(job, from);
    }
    if (change.action === "move") return this.#move(job, change.queue ?? "");
    if (change.action === "changePriority") {
      if (!["pending", "scheduled", "retrying"].includes(from)) return "BULK_ERROR";
      job.priority = change.priority ?? 0;
      if (from === "pending") this.#stand(job);
      return answerOf(job, from);
    }
    if (sources[change.action]?.includes(from) !== true) return refusals[change.action];
    this.#act(job, change.action);
    return answerOf(job, from);
  }

  #act(job: ModelJob, action: ManageJobs["action"]): void {
    switch (action) {
      case "cancel":
        job.token = 0;
        this.#finish(job, "cancelled");
        return;
      case "reject":
        job.history.push("failed");
        this.#finish(job, "dead");
        return;
      case "hold":
        job.token = 0;
        this.#endLease(job, "held");
        return;
      case "approve":
        this.#endLease(job, "pending");
        return;
      default:
        if (action === "retry") job.attempt = 0;
        if (action === "retry") job.startedAtMs = 0;
        job.lostLeases = 0;
        job.token = 0;
        if (job.expireAtMs <= this.#nowMs) job.expireAtMs = 0;
        this.#waits.runsAgain(job);
        this.chains.runsAgain(job);
        this.#kept.leave(job);
        this.#endLease(job, "pending");
        this.belonging.changed(job);
        this.#retakeLock(job);
    }
  }

  #retakeLock(job: ModelJob): void {
    const lock = this.#lock(job.queue, job.options.uniqueKey);
    if (lock === undefined || lock.untilMs <= this.#nowMs) this.#takeLock(job);
  }

  #move(job: ModelJob, queue: string): ModelAnswer {
    if (job.state === "active") return "MOVE_ERROR";
    if (job.queue === queue) return answerOf(job, job.state);
    const held = this.#locks.find(({ seq }) => seq === job.seq);
    if (held !== undefined) {
      const taken = this.#lock(queue, held.key);
      if (taken !== undefined && taken.untilMs > this.#nowMs) return "CONFLICT";
      this.#locks = this.#locks.filter((lock) => lock !== taken);
      held.queue = queue;
    }
    job.queue = queue;
    if (job.state === "pending") this.#stand(job);
    if (isFinished(job.state)) {
      this.#kept.leave(job);
      this.#kept.join(job, this.#nowMs);
    }
    return answerOf(job, job.state);
  }

  #delete(job: ModelJob): void {
    this.#kept.leave(job);
    this.#freeLock(job);
    this.jobs = this.jobs.filter((one) => one !== job);
    this.#waits.ended(job.seq, "deleted");
    if (isFinished(job.state)) return;
    this.belonging.deleted(job);
    this.belonging.parentGone(job);
    this.chains.stepEnded(job, "deleted");
  }

  #clear(queue: string, limit: number): ModelAnswer {
    if (!this.queues.some(({ name }) => name === queue)) return "NOT_FOUND";
    const doomed = this.line(queue).slice(0, limit);
    for (const job of doomed) this.#delete(job);
    return `${doomed.length} cleared, more ${this.line(queue).length > 0}`;
  }

  #deleteQueue(queue: string): ModelAnswer {
    if (!this.queues.some(({ name }) => name === queue)) return "NOT_FOUND";
    if (this.jobs.some((job) => job.queue === queue)) return "QUEUE_ERROR";
    this.queues = this.queues.filter(({ name }) => name !== queue);
    return "ok";
  }

  /** All that time alone will do to single jobs, in the order in which it happens. */
  #events(): { atMs: number; rank: number; key: number; happen: () => void }[] {
    const events: { atMs: number; rank: number; key: number; happen: () => void }[] = [];
    for (const job of this.jobs) {
      const add = (atMs: number, rank: number, key: number, happen: () => void) =>
        events.push({ atMs, rank, key, happen });
      if (job.expireAtMs > 0 && waiting.includes(job.state)) {
        add(job.expireAtMs, 0, job.seq, () => this.#expire(job));
      }
      if (job.state === "active") add(job.leaseEndsAtMs, 1, job.token, () => this.#loseLease(job));
      if (job.state === "scheduled" || job.state === "retrying") {
        add(job.dueAtMs, 2, job.seq, () => this.#endLease(job, "pending"));
      }
    }
    for (const { atMs, seq } of this.belonging.sealTimes()) {
      events.push({ atMs, rank: 3, key: seq, happen: () => this.belonging.seal(seq) });
    }
    return events.sort((a, b) => a.atMs - b.atMs || a.rank - b.rank || a.key - b.key);
  }

  #advance(limit: number): ModelAnswer {
    let steps = 0;
    for (; steps < limit; steps++) {
      const [event] = this.#events();
      if (event !== undefined && event.atMs <= this.#nowMs) event.happen();
      else {
        const removed = this.#kept.removeOldest(this.#nowMs);
        if (removed === undefined) {
          if (this.#groups.forgetOldest(this.#kept.retention.doneMs, this.#nowMs)) continue;
          break;
        }
        this.jobs = this.jobs.filter((job) => !removed.includes(job));
        this.#waits.removed(removed);
      }
    }
    return `${steps} steps, more ${this.nextDeadlineMs() <= this.#nowMs}`;
  }

  #expire(job: ModelJob): void {
    job.history.push("expired");
    job.token = 0;
    this.#finish(job, "dead");
  }

  #loseLease(job: ModelJob): void {
    const { timeoutMs, maxRetries } = job.options;
    job.token = 0;
    if (timeoutMs > 0 && this.#nowMs >= job.startedAtMs + timeoutMs) {
      job.history.push("timed_out");
      this.#retryOrDie(job, false);
      return;
    }
    job.history.push("lease_lost");
    job.lostLeases++;
    if (job.attempt >= maxRetries) this.#finish(job, "dead");
    else this.#endLease(job, "pending");
  }
}
