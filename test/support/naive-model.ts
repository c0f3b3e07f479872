/**
 * The rules of docs/spec/jobs.md and docs/spec/leases.md, written down a second time with nothing but arrays and scans: no
 * counters, no lines, no heaps, no indexes. Whatever the engine answers, this must answer too.
 */

import { formatGroupId } from "../../src/base/ids.ts";
import type {
  Batch,
  Change,
  ClaimJobs,
  ManageJobs,
  NewJob,
  Retention,
} from "../../src/engine/change.ts";
import { isFinished, type JobState } from "../../src/engine/job.ts";
import { engineLimits } from "../../src/engine/limits.ts";
import { defaultOptions, type JobOptions } from "../../src/engine/options.ts";
import { NaiveAttempts } from "./naive-attempts.ts";
import { NaiveBelonging } from "./naive-belonging.ts";
import { NaiveCalls } from "./naive-calls.ts";
import { NaiveChains } from "./naive-chains.ts";
import { NaiveDependencies } from "./naive-dependencies.ts";
import { NaiveGroups } from "./naive-groups.ts";
import { answerOf, type ModelJob, newModelJob, takeOffWhatIsOver } from "./naive-job.ts";
import { NaiveKeys } from "./naive-keys.ts";
import { NaiveLimits, requiresOf } from "./naive-limits.ts";
import { NaiveMembers } from "./naive-members.ts";
import { NaiveRedrives } from "./naive-redrives.ts";
import { NaiveRetention } from "./naive-retention.ts";
import { refusals, sources } from "./naive-rules.ts";
import { NaiveSettings } from "./naive-settings.ts";

export type ModelAnswer = unknown;

const waiting: readonly JobState[] = ["pending", "scheduled", "retrying", "held"];
export class NaiveModel {
  jobs: ModelJob[] = [];
  queues: { name: string; paused: boolean }[] = [];
  readonly #unique: NaiveKeys;
  readonly #attempts: NaiveAttempts;
  readonly #members = new NaiveMembers();
  readonly #settings = new NaiveSettings();
  readonly limits = new NaiveLimits();
  readonly #kept: NaiveRetention;
  #number = 1;
  #token = 1;
  #nowMs = 0;
  #seed = 0;

  readonly #waits: NaiveDependencies;
  readonly chains = new NaiveChains({
    nowMs: () => this.#nowMs,
    add: (spec, of) => this.#insert(spec, { ...this.#optionsOf(spec), ...of }, false).seq,
  });
  readonly belonging = new NaiveBelonging({
    nowMs: () => this.#nowMs,
    takeNumber: () => this.#number++,
    jobs: () => this.jobs,
    cancel: (job) => this.#act(job, "cancel"),
    add: (spec) => this.#insert(spec, this.#optionsOf(spec), false).seq,
    later: (step) => this.#waits.later(step),
  });
  readonly redrives = new NaiveRedrives({
    nowMs: () => this.#nowMs,
    takeNumber: () => this.#number++,
    find: (seq) => this.jobs.find((job) => job.seq === seq),
    hasQueue: (name) => this.queues.some((queue) => queue.name === name),
    open: (name) => this.#open(name),
    isDraining: (name) => this.#settings.isDraining(name),
    move: (job, queue) => {
      this.#open(queue);
      return typeof this.#seen(this.#move(job, queue)) !== "string" || job.queue === queue;
    },
    retry: (job) => this.#seen(this.#act(job, "retry")),
  });
  readonly #groups = new NaiveGroups([this.chains, this.belonging]);
  readonly #calls = new NaiveCalls({
    nowMs: () => this.#nowMs,
    jobs: () => this.jobs,
    add: (spec) => this.#add(spec),
    refusal: ({ options }) => this.belonging.refusal(options) ?? this.#waits.refusal(options),
    begin: (batch) => this.belonging.begin(batch),
    begun: (batch) => this.belonging.begun(batch),
  });

  constructor(retention: Retention, stepsMax: number = engineLimits.aftermathStepsMax) {
    this.#kept = new NaiveRetention(retention);
    this.#attempts = new NaiveAttempts({
      jobs: () => this.jobs,
      nowMs: () => this.#nowMs,
      seed: () => this.#seed,
      finish: (job, state) => this.#finish(job, state),
      endLease: (job, state) => this.#endLease(job, state),
      raise: (job, pause) => this.limits.raise(job, pause, this.#nowMs),
      acked: (job, plan, exits) => this.chains.acked(job, plan, exits),
    });
    this.#unique = new NaiveKeys({
      jobs: () => this.jobs,
      nowMs: () => this.#nowMs,
      isOverBacklog: (spec, options) => this.#isOverBacklog(spec, options),
      insert: (spec, options, waits) => this.#insert(spec, options, waits),
      place: (job, dueAtMs) => this.#place(job, dueAtMs),
      cancel: (job) => this.#act(job, "cancel"),
      unblock: (job) => this.#waits.drop(job.seq),
    });
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
      this.#seen(this.#waits.carryOn());
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

  /** The job of a queue that a claim by a worker with these labels would get. */
  next(queue: string, labels: readonly string[] = []): ModelJob | undefined {
    const line = this.line(queue);
    const firsts = [...new Set(line.map(requiresOf))].flatMap((requires) => {
      const stand = line.filter((job) => requiresOf(job) === requires);
      const isMet = stand[0]?.options.lane?.requires?.every((label) => labels.includes(label));
      return isMet === false ? [] : (this.limits.next(stand, this.jobs, this.#nowMs) ?? []);
    });
    return firsts.sort((one, other) => one.priority - other.priority || one.order - other.order)[0];
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
        return change.items.map((item) => this.#seen(this.#attempts.ack(item)));
      case "fail":
        return change.items.map((item) => this.#seen(this.#attempts.fail(item)));
      case "release":
        return change.items.map((item) => this.#seen(this.#attempts.release(item)));
      case "snooze":
        return change.items.map((item) => this.#seen(this.#attempts.snooze(item)));
      case "heartbeat":
        return change.items.map((item) => this.#attempts.heartbeat(item));
      case "manage":
        if (change.queue !== undefined) this.#open(change.queue);
        return change.seqs.map((seq) => this.#seen(this.#manage(seq, change)));
      case "pauseQueue":
        this.#open(change.queue).paused = change.paused;
        return "ok";
      case "drainQueue":
      case "setQueueDefaults":
        for (const queue of this.#settings.change(change)) this.#open(queue);
        return "ok";
      case "startRedrive":
      case "stepRedrive":
      case "cancelRedrive":
        return this.redrives.change(change);
      case "clearQueue":
        return this.#seen(this.#clear(change.queue, change.limit));
      case "deleteQueue":
        return this.#deleteQueue(change.queue);
      case "sealBatch":
        return this.belonging.seal(change.batch);
      case "cancelBatch":
        return this.belonging.cancel(change.batch);
      case "setLimit":
      case "removeLimit":
      case "pauseLimit": {
        const { queue } = this.limits.opens(change);
        if (queue !== undefined) this.#open(queue);
        if (change.kind !== "setLimit") return this.limits.change(change, this.#nowMs);
        if (this.limits.set(change, this.#number)) this.#number++;
        return "ok";
      }
      case "advanceTime":
        return this.#advance(change.limit);
      case "configure":
        this.#kept.retention = change.retention;
        return "ok";
      default:
        return this.#members.change(change);
    }
  }

  /** After each job that changed: whose turn it is may have ended. */
  #seen<Answer>(answer: Answer): Answer {
    this.limits.look(this.jobs);
    return answer;
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
    if (this.#settings.isDraining(spec.queue)) return "QUEUE_DRAINING";
    const options = this.#optionsOf(spec);
    if (options.deadQueue !== undefined) this.#open(options.deadQueue);
    if (options.uniqueKey !== undefined) return this.#unique.add(spec, options);
    if (this.#isOverBacklog(spec, options)) return "LIMIT_EXCEEDED";
    const job = this.#insert(spec, options, false);
    return `${job.state} ${job.seq}`;
  }

  #isOverBacklog({ queue }: NewJob, { lane }: JobOptions): boolean {
    return this.limits.isOverBacklog(queue, lane?.group, this.jobs);
  }

  #optionsOf(spec: NewJob): JobOptions {
    const options = { ...defaultOptions, ...this.#settings.given(spec) };
    if (spec.deadlineMs !== undefined) options.deadlineAtMs = this.#nowMs + spec.deadlineMs;
    return options;
  }

  #insert(spec: NewJob, asked: JobOptions, waitsForKey: boolean): ModelJob {
    this.#open(spec.queue);
    const seq = this.#number++;
    const chainId = formatGroupId("chn", { seq, createdAtMs: this.#nowMs, shard: 0 });
    const isFirst = asked.chain !== undefined && asked.chainId === undefined;
    const options = isFirst ? { ...asked, chainId, chainStep: 0 } : asked;
    this.#waits.added(seq, options);
    const place = this.#waits.isBlocked(seq) ? 0 : seq;
    const job = newModelJob(spec, { seq, options, nowMs: this.#nowMs, place, waitsForKey });
    this.jobs.push(job);
    this.belonging.changed(job);
    if (isFirst) this.chains.began(job);
    return job;
  }

  /** Puts a waiting job where its time says. */
  #place(job: ModelJob, dueAtMs: number): void {
    const isLater = dueAtMs > this.#nowMs;
    this.#endLease(job, isLater ? "scheduled" : "pending");
    job.dueAtMs = isLater ? dueAtMs : 0;
  }

  #claim(change: ClaimJobs): ModelAnswer {
    const claimed: string[] = [];
    const open = this.queues.filter(({ name, paused }) => !paused && change.queues.includes(name));
    while (claimed.length < change.count) {
      const next = open.flatMap(({ name }) => this.next(name, change.labels) ?? []);
      const [job] = next.sort(
        (one, other) => one.priority - other.priority || one.order - other.order,
      );
      if (job === undefined) break;
      if (job.expireAtMs > 0 && job.expireAtMs <= this.#nowMs) {
        this.#seen(this.#expire(job));
        continue;
      }
      this.limits.serve(job, this.jobs, this.#nowMs);
      job.state = "active";
      this.limits.look(this.jobs);
      this.#unique.started(job);
      job.attempt++;
      job.token = this.#token++;
      job.leaseMs = change.leaseMs;
      job.startedAtMs = this.#nowMs;
      job.leaseEndsAtMs = this.#attempts.leaseEnd(job);
      job.progress = undefined;
      claimed.push(
        `${job.seq} attempt ${job.attempt} token ${job.token} until ${job.leaseEndsAtMs}`,
      );
    }
    return claimed;
  }

  #endLease(job: ModelJob, state: JobState): void {
    const from = job.state;
    job.state = state;
    job.leaseMs = 0;
    job.leaseEndsAtMs = 0;
    job.dueAtMs = 0;
    if (state === "pending") this.#stand(job);
    this.limits.look(this.jobs);
    this.#unique.moved(job, from);
  }

  /** At the end of the line, unless it waits for other jobs. */
  #stand(job: ModelJob): void {
    job.order = this.#waits.isBlocked(job.seq) ? 0 : this.#number++;
  }

  #finish(job: ModelJob, state: "completed" | "dead" | "cancelled"): void {
    this.#kept.leave(job);
    job.finishedAtMs = this.#nowMs;
    this.#endLease(job, state);
    this.#kept.join(job, this.#nowMs);
    this.#waits.ended(job.seq, state);
    this.belonging.changed(job);
    if (state === "cancelled") this.belonging.parentGone(job);
    this.chains.stepEnded(job, state);
    if (state === "dead") this.#passOn(job);
  }

  #passOn({ seq, createdAtMs, payload, priority, options }: ModelJob): void {
    const { deadQueue, tags, parentId, lane } = options;
    if (deadQueue === undefined) return;
    const group = lane?.group === undefined ? {} : { lane: { group: lane.group } };
    const copy = { queue: deadQueue, payload, priority, options: { tags, parentId, ...group } };
    const deadOf = [seq, createdAtMs] as const;
    this.#insert(copy, { ...this.#optionsOf(copy), deadQueue: undefined, deadOf }, false);
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
        if (job.options.lostLeasesMax > 0) job.lostLeases = 0;
        this.#endLease(job, "pending");
        return;
      default:
        if (action === "retry") startAnew(job);
        job.lostLeases = 0;
        job.token = 0;
        job.finishedAtMs = 0;
        takeOffWhatIsOver(job, this.#nowMs);
        this.#waits.runsAgain(job);
        this.chains.runsAgain(job);
        this.#kept.leave(job);
        this.#endLease(job, "pending");
        this.belonging.changed(job);
        this.#unique.retake(job);
    }
  }

  #move(job: ModelJob, queue: string): ModelAnswer {
    if (job.state === "active") return "MOVE_ERROR";
    if (job.queue === queue) return answerOf(job, job.state);
    if (this.#settings.isDraining(queue)) return "QUEUE_DRAINING";
    const refusal = this.#unique.move(job, queue);
    if (refusal !== undefined) return refusal;
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
    this.jobs = this.jobs.filter((one) => one !== job);
    this.limits.look(this.jobs);
    this.#unique.deleted(job);
    this.#waits.ended(job.seq, "deleted");
    if (isFinished(job.state)) return;
    this.belonging.deleted(job);
    this.belonging.parentGone(job);
    this.chains.stepEnded(job, "deleted");
  }

  #clear(queue: string, limit: number): ModelAnswer {
    if (!this.queues.some(({ name }) => name === queue)) return "NOT_FOUND";
    let cleared = 0;
    for (; cleared < limit; cleared++) {
      const [job] = this.line(queue);
      if (job === undefined) break;
      this.#delete(job);
    }
    return `${cleared} cleared, more ${this.line(queue).length > 0}`;
  }

  #deleteQueue(queue: string): ModelAnswer {
    if (!this.queues.some(({ name }) => name === queue)) return "NOT_FOUND";
    if (this.jobs.some((job) => job.queue === queue)) return "QUEUE_ERROR";
    this.queues = this.queues.filter(({ name }) => name !== queue);
    this.limits.forgetQueue(queue);
    this.#settings.forget(queue);
    this.redrives.forgetQueue(queue);
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
      if (job.state === "active")
        add(job.leaseEndsAtMs, 1, job.token, () => this.#attempts.loseLease(job));
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
      if (event !== undefined && event.atMs <= this.#nowMs) this.#seen(event.happen());
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
}

function startAnew(job: ModelJob): void {
  job.attempt = 0;
  job.startedAtMs = 0;
  job.snoozes = 0;
  job.firstFailedAtMs = 0;
}
