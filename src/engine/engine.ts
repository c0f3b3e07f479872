/**
 * The job queue as a deterministic state machine: batches of changes in, outcomes and effects out. It sees no clock, no
 * randomness and no I/O; two engines that applied the same batches hold equal state.
 */
import { assert, must } from "../base/assert.ts";
import { ackJobs } from "./ack.ts";
import { advanceTime, nextDeadlineMs } from "./advance-time.ts";
import type { Work } from "./aftermath.ts";
import { cancelBatch, sealBatch, stepBatchEnded } from "./batches.ts";
import { stepCancelChildren, stepCancelMembers } from "./belonging.ts";
import type { Batch, Change } from "./change.ts";
import { claimJobs } from "./claim.ts";
import { Core } from "./core.ts";
import { changeMail } from "./deliver.ts";
import { stepEnded, stepRemoved } from "./depend.ts";
import { enqueueJobs } from "./enqueue.ts";
import { failJobs } from "./fail.ts";
import { heartbeatJobs } from "./heartbeat.ts";
import type { Job } from "./job.ts";
import { applyToLimit } from "./limits/limit-changes.ts";
import { LimitView } from "./limits/limit-view.ts";
import { engineLimits } from "./limits.ts";
import type { Owner } from "./links.ts";
import { manageJobs } from "./manage.ts";
import { admitMember, forgetMember, raiseFeatureLevel, setStandby } from "./members.ts";
import { applyToOutbox } from "./outbox/apply.ts";
import type { OutboxSummary } from "./outbox/outbox.ts";
import { createEffects, type Effects, type Outcome } from "./outcome.ts";
import { onlyPlace, type Place } from "./place.ts";
import type { Post } from "./post.ts";
import { applyToQueue } from "./queue-changes.ts";
import { applyToSettings } from "./queue-settings.ts";
import { releaseJobs } from "./release.ts";
import { restoreJobs } from "./restore.ts";
import { configure } from "./retention.ts";
import { applyToSchedule } from "./schedules.ts";
import { snoozeJobs } from "./snooze.ts";
import type { State } from "./state.ts";
import { applySweep } from "./sweeps.ts";
import { trimQueue } from "./trim.ts";
import { Why } from "./why.ts";
import { orderWorker } from "./worker-orders.ts";

export class Engine {
  readonly state: State;
  readonly place: Place;
  /** Messages to and from other shards, to be read only. */
  readonly post: Post;
  readonly limits: LimitView;
  readonly why: Why;
  readonly #core: Core;

  /** Rebuilds the order of live jobs from the records. Replicas of one state must have the same bound. */
  constructor(
    state: State,
    aftermathStepsMax: number = engineLimits.aftermathStepsMax,
    place: Place = onlyPlace,
  ) {
    this.state = state;
    this.place = place;
    this.#core = new Core(state, aftermathStepsMax, place);
    this.post = this.#core.post;
    this.limits = new LimitView(this.#core);
    this.why = new Why(this.#core, this.limits);
  }

  /** Applies one log entry. One outcome per change, in order. */
  apply(batch: Batch): Outcome[] {
    const core = this.#core;
    assert(batch.nowMs >= core.nowMs, "time stamped by the proposer never goes back");
    core.nowMs = batch.nowMs;
    core.seed = batch.seed;
    this.state.meta.nowMs = batch.nowMs;
    const { aftermath } = core;
    aftermath.beginBatch();
    const outcomes = batch.changes.map((change) => {
      const outcome = applyChange(core, change);
      if (aftermath.size > 0) aftermath.carryOn((work) => stepOf(core, work));
      return outcome;
    });
    aftermath.endBatch();
    if (this.place.shards > 1) core.post.endBatch();
    return outcomes;
  }

  /** The level of changes that the log may hold. */
  get featureLevel(): number {
    return this.state.meta.featureLevel;
  }

  /** Bytes of payloads and results of all jobs, where each blob counts once. */
  get keptBytes(): number {
    return this.#core.values.keptBytes;
  }

  /** What the batches since the last call caused. */
  takeEffects(): Effects {
    const { effects, post } = this.#core;
    this.#core.effects = createEffects();
    effects.mailMoved = post.hasMoved;
    post.hasMoved = false;
    return effects;
  }

  /** Queues that were found ready by looking, outside of any batch; undefined when there are none. */
  takeReadyQueues(): Set<string> | undefined {
    const { effects } = this.#core;
    if (effects.readyQueues.size === 0) return undefined;
    const ready = effects.readyQueues;
    this.#core.effects = { ...effects, readyQueues: new Set() };
    return ready;
  }

  /** When `advanceTime` has something to do next; Infinity when never. */
  nextDeadlineMs(): number {
    return nextDeadlineMs(this.#core);
  }

  /**
   * When `advanceTime` may let go a job that a limit stopped when somebody looked; Infinity when never. Differs between
   * engines of equal state, since it says nothing of jobs that nobody asked for.
   */
  nextWakeMs(): number {
    return this.#core.lines.nextWakeMs();
  }

  /** The jobs that a job waits for; empty when it waits for none. */
  openDependencies(seq: number): readonly Owner[] {
    return this.#core.dependencies.blockedOf(seq)?.open ?? [];
  }

  /**
   * How many jobs a claim of this queue could get, counted up to `most` at least; with limits an estimate that is 0 exactly when it could get none. May
   * bring the next wake-up forward.
   */
  claimable(
    queue: string,
    most = Number.POSITIVE_INFINITY,
    labels: readonly string[] | undefined = undefined,
  ): number {
    if (this.state.getQueue(queue)?.paused !== false) return 0;
    return this.#core.lines.claimable(queue, most, labels);
  }

  /** Has a job of the queue requirements that not every worker meets? */
  hasRequirements(queue: string): boolean {
    return this.#core.lines.stands.count(queue) > 0;
  }

  /** The job that a claim of this queue by a worker without labels would get, or undefined. */
  nextClaimable(queue: string): number | undefined {
    if (this.state.getQueue(queue)?.paused !== false) return undefined;
    return this.#core.lines.head(queue)?.seq;
  }

  /** How many jobs of the queue are ready, whether or not something stops them. */
  readyCount(queue: string): number {
    return this.#core.lines.size(queue);
  }

  /** Deliveries that wait to be sent to a webhook, or with the id of callbacks to those who wait for results. */
  waitingDeliveries(webhook: string): number {
    return this.#core.outbox.waitingOf(webhook);
  }

  /** What is to be sent to others, and what was. */
  deliveries(): OutboxSummary {
    return this.#core.outbox.summary();
  }

  /** May this lease be alive? Also true for one that an entry gave which is not applied here yet. */
  mayHoldLease(token: number): boolean {
    return this.#core.leases.has(token) || token >= this.state.meta.nextToken;
  }

  /** The jobs that workers have in hand. */
  *activeJobs(): Iterable<Job> {
    for (const seq of this.#core.leases.values()) {
      yield must(this.state.getJob(seq), "a leased job exists");
    }
  }

  /** The job that is first in line, whether or not something stops it, or undefined. */
  nextReady(queue: string): number | undefined {
    return this.#core.lines.first(queue);
  }
}

/** One step of what is left to do; the work as it is after it, or undefined when that was all. */
function stepOf(core: Core, work: Work): Work | undefined {
  switch (work.kind) {
    case "dependencyEnded":
      return stepEnded(core, work);
    case "dependenciesRemoved":
      return stepRemoved(core, work);
    case "batchEnded":
      return stepBatchEnded(core, work);
    case "cancelChildren":
      return stepCancelChildren(core, work);
    case "cancelMembers":
      return stepCancelMembers(core, work);
  }
}

function applyChange(core: Core, change: Change): Outcome {
  switch (change.kind) {
    case "enqueue":
      return enqueueJobs(core, change);
    case "claim":
      return claimJobs(core, change);
    case "ack":
      return ackJobs(core, change);
    case "fail":
      return failJobs(core, change);
    case "release":
      return releaseJobs(core, change);
    case "snooze":
      return snoozeJobs(core, change);
    case "heartbeat":
      return heartbeatJobs(core, change);
    case "manage":
      return manageJobs(core, change);
    case "pauseQueue":
    case "clearQueue":
    case "deleteQueue":
      return applyToQueue(core, change);
    case "drainQueue":
    case "setQueueDefaults":
    case "setQueueBytes":
      return applyToSettings(core, change);
    case "trimQueue":
      return trimQueue(core, change);
    case "restoreJobs":
      return restoreJobs(core, change);
    case "startRedrive":
    case "stepRedrive":
    case "cancelRedrive":
    case "startBulk":
    case "stepBulk":
    case "endBulk":
      return applySweep(core, change);
    case "setLimit":
    case "removeLimit":
    case "pauseLimit":
      return applyToLimit(core, change);
    case "advanceTime":
      return advanceTime(core, change);
    case "configure":
      return configure(core, change);
    case "admitMember":
      return admitMember(core, change);
    case "forgetMember":
      return forgetMember(core, change);
    case "orderWorker":
      return orderWorker(core, change);
    case "setStandby":
      return setStandby(core, change);
    case "setSchedule":
    case "deleteSchedule":
    case "pauseSchedule":
    case "runSchedule":
    case "planSchedule":
      return applyToSchedule(core, change);
    case "sealBatch":
      return sealBatch(core, change);
    case "cancelBatch":
      return cancelBatch(core, change);
    case "deliver":
    case "forgetMail":
    case "reunite":
      return changeMail(core, change);
    case "raiseFeatureLevel":
      return raiseFeatureLevel(core, change);
    default:
      return applyToOutbox(core, change);
  }
}
