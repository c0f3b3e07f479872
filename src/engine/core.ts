/**
 * The engine's working set: the records (`State`), and what is derived from them and rebuilt at start — the lines of
 * ready jobs (`ready-lines.ts`), the heaps of times, the live leases.
 *
 * `move` is the only place where a job changes state. It keeps three things in step: the record, the counters of the
 * queue, and the derived order. Everything else in this folder decides; this file carries out.
 */
import { assert, must } from "../base/assert.ts";
import { Aftermath } from "./aftermath.ts";
import type { Bulk } from "./bulk.ts";
import { Deadlines } from "./deadlines.ts";
import { letGo } from "./depend.ts";
import { Dependencies } from "./dependencies.ts";
import { sayDeleted, sayEnqueued, sayMoved, sayRehomed, sayReplaced } from "./events.ts";
import { FinishedGroups } from "./finished-groups.ts";
import {
  draftOf,
  isFinished,
  type Job,
  type JobDraft,
  type JobState,
  lifecycle,
  type Transition,
} from "./job.ts";
import { KeyHolds } from "./key-holds.ts";
import { isSameLane } from "./limits/lane.ts";
import { engineLimits } from "./limits.ts";
import { NamedTimes } from "./named-times.ts";
import { Outbox } from "./outbox/outbox.ts";
import { createEffects, type Effects } from "./outcome.ts";
import { onlyPlace, type Place } from "./place.ts";
import { Post } from "./post.ts";
import type { QueueSettings } from "./queue-settings.ts";
import { react } from "./reactions.ts";
import { ReadyLines } from "./ready-lines.ts";
import type { RecordTable } from "./records.ts";
import type { Redrive } from "./redrive.ts";
import { nextStepMs } from "./schedule.ts";
import {
  createQueue,
  type LiveJob,
  type QueueRecord,
  type RetentionClass,
  retentionClassOf,
  type State,
} from "./state.ts";
import { type Followers, Ties } from "./ties.ts";
import { TimeHeap } from "./time-heap.ts";
import { sameValues, Values } from "./values.ts";

export class Core {
  readonly state: State;
  /** Ready jobs in the order in which they are claimed, and what stops them. */
  readonly lines: ReadyLines;
  /** Scheduled and retrying jobs by due time. */
  readonly due = new Deadlines();
  /** Waiting jobs by the end of their life. */
  readonly lives = new Deadlines();
  /** Live leases by their end, keyed by token; an entry may be too early when the lease was extended since. */
  readonly leaseEnds = new TimeHeap();
  /** Token of each live lease → job. */
  readonly leases = new Map<number, number>();
  /** Unique keys that are held for a period. */
  readonly keyHolds: KeyHolds;
  readonly queueSettings: RecordTable<QueueSettings>;
  readonly redrives: RecordTable<Redrive>;
  readonly bulks: RecordTable<Bulk>;
  /** What the changes cause for other jobs, and is not done yet. */
  readonly aftermath: Aftermath;
  readonly dependencies: Dependencies;
  /** Where this state stands among the shards, and what it and the others tell each other. */
  readonly place: Place;
  readonly post: Post;
  readonly followers: RecordTable<Followers>;
  readonly joining: RecordTable<string>;
  readonly finishedGroups: FinishedGroups;
  /** Who belongs to a batch, or is cancelled with its parent. */
  readonly ties: Ties;
  /** Open batches by the end of their time. */
  readonly sealTimes = new Deadlines();
  /** Error of the attempt that was recorded last: the reason of the transition that follows it. */
  lastError: string | undefined;
  lastErrorClass: string | undefined;
  /** Bytes of queues, and uses of blobs. */
  readonly values: Values;
  /** When schedules have something to do next. */
  readonly schedules = new NamedTimes();
  /** When subscriptions end. */
  readonly subscriptionEnds = new NamedTimes();
  /** What is to be sent to others. */
  readonly outbox: Outbox;
  effects: Effects = createEffects();
  /** Time and seed of the batch that is being applied. */
  nowMs = 0;
  seed = 0;

  constructor(state: State, aftermathStepsMax: number, place: Place = onlyPlace) {
    this.state = state;
    this.place = place;
    this.nowMs = state.meta.nowMs;
    this.keyHolds = new KeyHolds(state.records("keyHolds"));
    this.lines = new ReadyLines(this);
    this.queueSettings = state.records("queueSettings");
    this.redrives = state.records("redrive");
    this.bulks = state.records("bulk");
    const takeNumber = () => this.takeNumber();
    this.aftermath = new Aftermath(state.records("aftermath"), takeNumber, aftermathStepsMax);
    const [blocked, awaited] = [state.records("blocked"), state.records("awaited")];
    const watchers = state.records("watchers");
    this.dependencies = new Dependencies({ blocked, awaited, watchers }, (id) => letGo(this, id));
    this.post = new Post(state.records("mail"), state.records("mailMarks"));
    this.followers = state.records("followers");
    this.joining = state.records("joining");
    this.finishedGroups = new FinishedGroups(state);
    this.ties = new Ties(state.records("tie"));
    for (const [key, { sealAtMs }] of state.records("batch").entries()) {
      if (sealAtMs > 0) this.sealTimes.add(sealAtMs, Number(key));
    }
    this.values = new Values(state, () => {
      this.effects.blobsChanged = true;
    });
    for (const [name, record] of state.records("schedule").entries()) {
      this.schedules.note(name, nextStepMs(record));
    }
    for (const [id, { expiresAtMs }] of state.records("subscription").entries()) {
      this.subscriptionEnds.note(id, expiresAtMs);
    }
    this.outbox = new Outbox(state);
    for (const job of state.liveJobs()) this.#index(job);
    this.lines.settle();
  }

  takeNumber(): number {
    return this.state.meta.nextNumber++;
  }

  /** The queue's record, made on first use. Undefined when there are too many queues. */
  openQueue(name: string): QueueRecord | undefined {
    const found = this.state.getQueue(name);
    if (found !== undefined) return found;
    if (this.state.queueCount >= engineLimits.queuesMax) return undefined;
    const queue = createQueue(name, this.nowMs);
    this.state.putQueue(queue);
    return queue;
  }

  /** Adds a job that did not exist. Its `order` is its sequence number, or 0 when it is blocked. */
  insert(job: Job, queue: QueueRecord): void {
    queue.counts[job.state]++;
    countLane(queue, job, 1);
    this.values.enter(job, queue);
    this.state.touchQueue(queue);
    this.state.putJob(job);
    this.#index(job);
    this.lines.settle();
    if (job.order > 0) this.effects.readyQueues.add(job.queue);
    sayEnqueued(this, job);
    react(this, undefined, job);
  }

  /** Adds a job that was elsewhere before, as it was there. Nothing follows from it. */
  restore(job: Job, queue: QueueRecord): Job {
    this.state.noteRestored(job.seq);
    const restored = isFinished(job.state) ? { ...job, finish: this.#takeFinish(job) } : job;
    queue.counts[restored.state]++;
    countLane(queue, restored, 1);
    this.values.enter(restored, queue);
    this.state.touchQueue(queue);
    this.state.putJob(restored);
    this.#index(restored);
    this.lines.settle();
    if (restored.order > 0) this.effects.readyQueues.add(restored.queue);
    if (!isFinished(restored.state)) sayEnqueued(this, restored);
    return restored;
  }

  /** Takes a job through a transition; `patch` are the fields that change with it. */
  move(job: Job, transition: Transition, patch: Partial<Job>): Job {
    return this.advance(job, transition, Object.assign(draftOf(job), patch));
  }

  /** The same for a changed copy. Every job is claimed and acked, and merging a patch into the copy is the larger part of `move`. */
  advance(job: Job, transition: Transition, draft: JobDraft): Job {
    const rule = lifecycle[transition];
    assert(rule.from.includes(job.state), `${transition} from ${job.state}`);
    const next = this.#replace(job, draft, rule.to);
    sayMoved(this, transition, job, next);
    react(this, job, next);
    return next;
  }

  /** Moves a waiting job to another queue or priority, to the end of the line there. */
  rehome(job: Job, patch: { queue?: string; priority?: number }): Job {
    assert(job.state !== "active", "an active job stays in its queue");
    const next = this.#replace(job, Object.assign(draftOf(job), patch), job.state);
    sayRehomed(this, patch, job, next);
    react(this, job, next);
    return next;
  }

  /** Makes a waiting job that of another call where it stands: state, queue and priority stay. */
  amend(job: Job, patch: Partial<Job>): Job {
    assert(job.state === "pending" || job.state === "held", `amended while ${job.state}`);
    const next: Job = Object.assign(draftOf(job), patch);
    if (!isSameLane(job.options.lane, next.options.lane)) this.#changeLane(job, next);
    if (job.expireAtMs > 0) this.lives.remove(job.expireAtMs, job.seq);
    if (next.expireAtMs > 0) this.lives.add(next.expireAtMs, next.seq);
    if (!sameValues(job, next)) this.#changeValues(job, next);
    this.state.putJob(next);
    this.lines.settle();
    sayReplaced(this, next);
    react(this, job, next);
    return next;
  }

  #changeValues(job: Job, next: Job): void {
    const queue = must(this.state.getQueue(job.queue), "a job's queue exists");
    this.values.leave(job, queue);
    this.values.enter(next, queue);
    this.state.touchQueue(queue);
  }

  #changeLane(job: Job, next: Job): void {
    assert(job.order === 0, "a job that stands in the line of its lane is moved");
    const queue = must(this.state.getQueue(job.queue), "a job's queue exists");
    this.lines.leave(job);
    countLane(queue, job, -1);
    this.lines.join(next);
    countLane(queue, next, 1);
    this.state.touchQueue(queue);
  }

  /** Moves the end of a lease. A later end is corrected when the old entry comes up; an earlier one needs its own. */
  extendLease(job: Job, beforeMs: number): void {
    assert(this.leases.get(job.token) === job.seq, "only a live lease is extended");
    this.state.putJob(job);
    if (job.leaseExpiresAtMs < beforeMs) this.#pushLease(job.leaseExpiresAtMs, job.token);
  }

  delete(job: Job): void {
    const queue = must(this.state.getQueue(job.queue), "a job's queue exists");
    this.#leave(job, queue);
    this.values.leave(job, queue);
    this.state.touchQueue(queue);
    this.state.deleteJob(job.seq);
    this.lines.settle();
    this.effects.finished.push(job.seq);
    sayDeleted(this, job);
    react(this, job, undefined);
  }

  /** Forgets the lines of a queue that no longer exists. */
  forgetQueue(name: string): void {
    this.lines.forgetQueue(name);
    this.state.deleteQueue(name);
  }

  revoke(job: Job, reason: "cancel" | "lost"): void {
    this.effects.revoked.push({
      seq: job.seq,
      createdAtMs: job.createdAtMs,
      token: job.token,
      reason,
    });
  }

  #replace(job: Job, next: JobDraft, state: JobState): Job {
    const from = must(this.state.getQueue(job.queue), "a job's queue exists");
    this.#leave(job, from);
    next.state = state;
    const finishes = isFinished(next.state);
    const stands = next.state === "pending" && !this.dependencies.isBlocked(job.seq);
    next.order = stands ? this.takeNumber() : 0;
    next.finish = finishes ? this.#takeFinish(next) : 0;
    if (next.state !== "active") {
      next.leaseMs = 0;
      next.leaseExpiresAtMs = 0;
    }
    const to = next.queue === job.queue ? from : this.openQueue(next.queue);
    assert(to !== undefined, "the queue to move to was made before");
    to.counts[next.state]++;
    countLane(to, next, 1);
    const isCountedAlike = from === to && job.finish === next.finish && sameValues(job, next);
    if (!isCountedAlike) {
      this.values.leave(job, from);
      this.values.enter(next, to);
    }
    this.state.touchQueue(from);
    this.state.touchQueue(to);
    this.state.putJob(next);
    this.#index(next);
    this.lines.settle();
    if (stands) this.effects.readyQueues.add(next.queue);
    if (finishes && !isFinished(job.state)) this.effects.finished.push(job.seq);
    return next;
  }

  /** Undoes what `#index` and the counters hold for a job. A lease's heap entry stays; it is recognised as stale later. */
  #leave(job: Job, queue: QueueRecord): void {
    queue.counts[job.state]--;
    countLane(queue, job, -1);
    if (!isFinished(job.state)) this.lines.leave(job);
    switch (job.state) {
      case "scheduled":
      case "retrying":
        this.due.remove(job.dueAtMs, job.seq);
        break;
      case "active":
        this.leases.delete(job.token);
        return;
      case "pending":
      case "held":
        break;
      case "completed":
      case "dead":
      case "cancelled":
        this.#leaveBucket(job, queue);
        return;
    }
    if (job.expireAtMs > 0) this.lives.remove(job.expireAtMs, job.seq);
  }

  #index(job: LiveJob): void {
    if (!isFinished(job.state)) this.lines.join(job);
    switch (job.state) {
      case "scheduled":
      case "retrying":
        this.due.add(job.dueAtMs, job.seq);
        break;
      case "active":
        this.leases.set(job.token, job.seq);
        this.#pushLease(job.leaseExpiresAtMs, job.token);
        return;
      case "pending":
      case "held":
        break;
      case "completed":
      case "dead":
      case "cancelled":
        return;
    }
    if (job.expireAtMs > 0) this.lives.add(job.expireAtMs, job.seq);
  }

  /** Finished jobs leave their entry behind; when those outnumber the live ones, the heap is cleaned. */
  #pushLease(endsAtMs: number, token: number): void {
    this.leaseEnds.push(endsAtMs, token);
    if (this.leaseEnds.size > 4096 && this.leaseEnds.size > this.leases.size * 2) {
      this.leaseEnds.prune((key) => this.leases.has(key));
    }
  }

  #takeFinish(job: Job): number {
    const { state } = job;
    const kind = retentionClassOf(state);
    const meta = this.state.meta;
    const number = meta.nextFinish[kind]++;
    const buckets = meta.buckets[kind];
    let bucket = buckets[buckets.length - 1];
    if (bucket === undefined || this.#isFull(bucket, kind, number)) {
      bucket = { first: number, startMs: this.nowMs, endMs: this.nowMs, count: 0 };
      buckets.push(bucket);
    }
    bucket.count++;
    meta.kept[kind]++;
    bucket.endMs = this.nowMs;
    const queue = must(this.state.getQueue(job.queue), "a finishing job's queue exists");
    const finished = queue.finished[kind];
    let counts = finished.get(bucket.first);
    if (counts === undefined) {
      counts = { completed: 0, cancelled: 0, dead: 0 };
      finished.set(bucket.first, counts);
    }
    counts[state as "completed" | "cancelled" | "dead"]++;
    const bytes = this.values.bytesOf(job);
    if (bytes !== 0) {
      counts.bytes = (counts.bytes ?? 0) + bytes;
      const settings = this.queueSettings;
      if (settings.size > 0 && settings.get(job.queue)?.keepBytes !== undefined) {
        this.effects.trimsWanted = true;
      }
    }
    return number;
  }

  #isFull(
    bucket: { first: number; startMs: number },
    kind: RetentionClass,
    number: number,
  ): boolean {
    const { retention } = this.state.meta;
    const keepMs = kind === "done" ? retention.doneMs : retention.deadMs;
    const keepMax = kind === "done" ? retention.doneMax : retention.deadMax;
    const spanMs = clamp(keepMs / 100, engineLimits.bucketMsMin, engineLimits.bucketMsMax);
    const size = clamp(keepMax / 100, 1, engineLimits.bucketJobsMax);
    return this.nowMs - bucket.startMs >= spanMs || number - bucket.first >= size;
  }

  #leaveBucket(job: Job, queue: QueueRecord): void {
    const kind = retentionClassOf(job.state);
    const buckets = this.state.meta.buckets[kind];
    let low = 0;
    let high = buckets.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if ((buckets[middle]?.first ?? 0) <= job.finish) low = middle;
      else high = middle - 1;
    }
    const bucket = must(buckets[low], "a finished job's bucket exists");
    bucket.count--;
    this.state.meta.kept[kind]--;
    const counts = must(queue.finished[kind].get(bucket.first), "its queue counts it there");
    counts[job.state as "completed" | "cancelled" | "dead"]--;
    counts.bytes = (counts.bytes ?? 0) - this.values.bytesOf(job) || undefined;
    if (counts.completed + counts.cancelled + counts.dead === 0) {
      queue.finished[kind].delete(bucket.first);
    }
  }
}

/** Keeps count of the unfinished jobs of a queue that have a lane. */
function countLane(queue: QueueRecord, job: Job, by: number): void {
  if (job.options.lane === undefined || isFinished(job.state)) return;
  queue.lanedJobs = (queue.lanedJobs ?? 0) + by || undefined;
}

function clamp(value: number, low: number, high: number): number {
  return Math.min(high, Math.max(low, value));
}
