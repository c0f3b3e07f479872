/**
 * The rules of docs/spec/jobs.md and docs/spec/leases.md, written down a second time with nothing but arrays and scans: no
 * counters, no lines, no heaps, no indexes. Whatever the engine answers, this must answer too.
 */
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
import { answerOf, NaiveAttempts } from "./naive-attempts.ts";
import { endOfWait, NaiveKeys, startOf, takeOffWhatIsOver } from "./naive-keys.ts";
import { NaiveRetention } from "./naive-retention.ts";
import { refusals, sources } from "./naive-rules.ts";

export interface ModelJob {
  readonly seq: number;
  readonly createdAtMs: number;
  options: JobOptions;
  payload: string;
  queue: string;
  state: JobState;
  priority: number;
  order: number;
  dueAtMs: number;
  /** The time its producer asked for. */
  askedAtMs: number;
  expireAtMs: number;
  attempt: number;
  lostLeases: number;
  snoozes: number;
  firstFailedAtMs: number;
  token: number;
  leaseMs: number;
  leaseEndsAtMs: number;
  startedAtMs: number;
  result: string | undefined;
  checkpoint: string | undefined;
  progress: string | undefined;
  history: string[];
}

export type ModelAnswer = unknown;

const waiting: readonly JobState[] = ["pending", "scheduled", "retrying", "held"];
export class NaiveModel {
  jobs: ModelJob[] = [];
  queues: { name: string; paused: boolean }[] = [];
  readonly #unique: NaiveKeys;
  readonly #attempts: NaiveAttempts;
  #keys: { key: string; fingerprint: string; expiresAtMs: number; answer: ModelAnswer[] }[] = [];
  readonly #kept: NaiveRetention;
  #number = 1;
  #token = 1;
  #nowMs = 0;
  #seed = 0;

  constructor(retention: Retention) {
    this.#kept = new NaiveRetention(retention);
    this.#attempts = new NaiveAttempts({
      jobs: () => this.jobs,
      nowMs: () => this.#nowMs,
      seed: () => this.#seed,
      finish: (job, state) => this.#finish(job, state),
      endLease: (job, state) => this.#endLease(job, state),
    });
    this.#unique = new NaiveKeys({
      jobs: () => this.jobs,
      nowMs: () => this.#nowMs,
      insert: (spec, options, waits) => this.#insert(spec, options, waits),
      place: (job, dueAtMs) => this.#place(job, dueAtMs),
      cancel: (job) => this.#act(job, "cancel"),
    });
  }

  apply(batch: Batch): ModelAnswer[] {
    this.#nowMs = batch.nowMs;
    this.#seed = batch.seed;
    return batch.changes.map((change) => this.#change(change));
  }

  /** Ready jobs of a queue, first in line first. */
  line(queue: string): ModelJob[] {
    return this.jobs
      .filter((job) => job.queue === queue && job.state === "pending")
      .sort((one, other) => one.priority - other.priority || one.order - other.order);
  }

  /** When time alone changes something next. */
  nextDeadlineMs(): number {
    return Math.min(this.#kept.nextMs(), ...this.#events().map(({ atMs }) => atMs));
  }

  #change(change: Change): ModelAnswer {
    switch (change.kind) {
      case "enqueue":
        return this.#enqueue(change.jobs, change.idempotency);
      case "claim":
        return this.#claim(change);
      case "ack":
        return change.items.map((item) => this.#attempts.ack(item));
      case "fail":
        return change.items.map((item) => this.#attempts.fail(item));
      case "release":
        return change.items.map((item) => this.#attempts.release(item));
      case "snooze":
        return change.items.map((item) => this.#attempts.snooze(item));
      case "heartbeat":
        return change.items.map((item) => this.#attempts.heartbeat(item));
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
      case "admitMember":
        return `member ${this.#admit(change.uuid)}`;
      case "forgetMember":
        this.#members = this.#members.filter((member) => member.id !== change.id);
        return "ok";
      case "setStandby":
        return this.#members.some((member) => member.id === change.id) ? "ok" : "NOT_FOUND";
      case "raiseFeatureLevel":
        return "ok";
      default:
        throw new Error(`${change.kind}: its histories have a model of their own`);
    }
  }

  #members: { uuid: string; id: number }[] = [];
  #nextMember = 1;

  #admit(uuid: string): number {
    const known = this.#members.find((member) => member.uuid === uuid);
    if (known !== undefined) return known.id;
    const id = this.#nextMember++;
    this.#members.push({ uuid, id });
    return id;
  }

  #open(name: string): { name: string; paused: boolean } {
    let queue = this.queues.find((one) => one.name === name);
    if (queue === undefined) {
      queue = { name, paused: false };
      this.queues.push(queue);
    }
    return queue;
  }

  #enqueue(
    specs: readonly NewJob[],
    idempotency: { readonly key: string; readonly fingerprint: string } | undefined,
  ): ModelAnswer {
    if (idempotency === undefined) return specs.map((spec) => this.#add(spec));
    this.#keys = this.#keys.filter(({ expiresAtMs }) => expiresAtMs > this.#nowMs);
    const known = this.#keys.find(({ key }) => key === idempotency.key);
    if (known !== undefined) {
      return known.fingerprint === idempotency.fingerprint ? known.answer : "CONFLICT";
    }
    const answer = specs.map((spec) => this.#add(spec));
    const expiresAtMs = this.#nowMs + engineLimits.idempotencyMs;
    this.#keys.push({ ...idempotency, expiresAtMs, answer });
    return answer;
  }

  #add(spec: NewJob): ModelAnswer {
    this.#open(spec.queue);
    const options = { ...defaultOptions, ...spec.options };
    if (spec.deadlineMs !== undefined) options.deadlineAtMs = this.#nowMs + spec.deadlineMs;
    if (options.uniqueKey !== undefined) return this.#unique.add(spec, options);
    const job = this.#insert(spec, options, false);
    return `${job.state} ${job.seq}`;
  }

  #insert(spec: NewJob, options: JobOptions, waitsForKey: boolean): ModelJob {
    const seq = this.#number++;
    const job: ModelJob = {
      seq,
      createdAtMs: this.#nowMs,
      options,
      payload: spec.payload,
      queue: spec.queue,
      state: "held",
      priority: spec.priority ?? 2,
      order: 0,
      dueAtMs: 0,
      askedAtMs: startOf(spec, options, { nowMs: this.#nowMs, firstMs: this.#nowMs }),
      expireAtMs: endOfWait(spec, options, this.#nowMs),
      attempt: 0,
      lostLeases: 0,
      snoozes: 0,
      firstFailedAtMs: 0,
      token: 0,
      leaseMs: 0,
      leaseEndsAtMs: 0,
      startedAtMs: 0,
      result: undefined,
      checkpoint: spec.checkpoint,
      progress: undefined,
      history: [],
    };
    this.jobs.push(job);
    if (!waitsForKey) {
      this.#place(job, job.askedAtMs);
      if (job.state === "pending") job.order = seq;
      if (job.state === "pending") this.#number = seq + 1;
    }
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
    if (state === "pending") job.order = this.#number++;
    this.#unique.moved(job, from);
  }

  #finish(job: ModelJob, state: "completed" | "dead" | "cancelled"): void {
    this.#kept.leave(job);
    this.#endLease(job, state);
    this.#kept.join(job, this.#nowMs);
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
      if (from === "pending") job.order = this.#number++;
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
        takeOffWhatIsOver(job, this.#nowMs);
        this.#kept.leave(job);
        this.#endLease(job, "pending");
        this.#unique.retake(job);
    }
  }

  #move(job: ModelJob, queue: string): ModelAnswer {
    if (job.state === "active") return "MOVE_ERROR";
    if (job.queue === queue) return answerOf(job, job.state);
    const refusal = this.#unique.move(job, queue);
    if (refusal !== undefined) return refusal;
    job.queue = queue;
    if (job.state === "pending") job.order = this.#number++;
    if (isFinished(job.state)) {
      this.#kept.leave(job);
      this.#kept.join(job, this.#nowMs);
    }
    return answerOf(job, job.state);
  }

  #delete(job: ModelJob): void {
    this.#kept.leave(job);
    this.#unique.deleted(job);
    this.jobs = this.jobs.filter((one) => one !== job);
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
    return events.sort((a, b) => a.atMs - b.atMs || a.rank - b.rank || a.key - b.key);
  }

  #advance(limit: number): ModelAnswer {
    let steps = 0;
    for (; steps < limit; steps++) {
      const [event] = this.#events();
      if (event !== undefined && event.atMs <= this.#nowMs) event.happen();
      else {
        const removed = this.#kept.removeOldest(this.#nowMs);
        if (removed === undefined) break;
        this.jobs = this.jobs.filter((job) => !removed.includes(job));
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
