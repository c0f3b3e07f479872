/**
 * The job queue as a deterministic state machine: batches of changes in, outcomes and effects out. It sees no clock, no
 * randomness and no I/O; two engines that applied the same batches hold equal state.
 */
import { assert } from "../base/assert.ts";
import { ackJobs } from "./ack.ts";
import { advanceTime, nextDeadlineMs } from "./advance-time.ts";
import type { Work } from "./aftermath.ts";
import { cancelBatch, sealBatch, stepBatchEnded } from "./batches.ts";
import { stepCancelChildren, stepCancelMembers } from "./belonging.ts";
import type { Batch, Change } from "./change.ts";
import { claimJobs } from "./claim.ts";
import { Core } from "./core.ts";
import { stepEnded, stepRemoved } from "./depend.ts";
import { enqueueJobs } from "./enqueue.ts";
import { failJobs } from "./fail.ts";
import { heartbeatJobs } from "./heartbeat.ts";
import { engineLimits } from "./limits.ts";
import { manageJobs } from "./manage.ts";
import { admitMember, forgetMember, raiseFeatureLevel, setStandby } from "./members.ts";
import { createEffects, type Effects, type Outcome } from "./outcome.ts";
import { clearQueue, deleteQueue, pauseQueue } from "./queue-changes.ts";
import { releaseJobs } from "./release.ts";
import { configure } from "./retention.ts";
import {
  deleteSchedule,
  pauseSchedule,
  planSchedule,
  runSchedule,
  setSchedule,
} from "./schedules.ts";
import type { State } from "./state.ts";

export class Engine {
  readonly state: State;
  readonly #core: Core;

  /** Rebuilds the order of live jobs from the records. Replicas of one state must have the same bound. */
  constructor(state: State, aftermathStepsMax: number = engineLimits.aftermathStepsMax) {
    this.state = state;
    this.#core = new Core(state, aftermathStepsMax);
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
    return outcomes;
  }

  /** The level of changes that the log may hold. */
  get featureLevel(): number {
    return this.state.meta.featureLevel;
  }

  /** What the batches since the last call caused. */
  takeEffects(): Effects {
    const { effects } = this.#core;
    this.#core.effects = createEffects();
    return effects;
  }

  /** When `advanceTime` has something to do next; Infinity when never. */
  nextDeadlineMs(): number {
    return nextDeadlineMs(this.#core);
  }

  /** The jobs that a job waits for; empty when it waits for none. */
  openDependencies(seq: number): readonly number[] {
    return this.#core.dependencies.blockedOf(seq)?.open ?? [];
  }

  /** How many jobs a claim of this queue could get. */
  claimable(queue: string): number {
    return this.state.getQueue(queue)?.paused === false ? this.#core.readyCount(queue) : 0;
  }

  /** Sequence number of the job that is next in line, or undefined. */
  nextReady(queue: string): number | undefined {
    return this.#core.firstReady(queue)?.peek();
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
    case "heartbeat":
      return heartbeatJobs(core, change);
    case "manage":
      return manageJobs(core, change);
    case "pauseQueue":
      return pauseQueue(core, change);
    case "clearQueue":
      return clearQueue(core, change);
    case "deleteQueue":
      return deleteQueue(core, change);
    case "advanceTime":
      return advanceTime(core, change);
    case "configure":
      return configure(core, change);
    case "admitMember":
      return admitMember(core, change);
    case "forgetMember":
      return forgetMember(core, change);
    case "setStandby":
      return setStandby(core, change);
    case "setSchedule":
      return setSchedule(core, change);
    case "deleteSchedule":
      return deleteSchedule(core, change);
    case "pauseSchedule":
      return pauseSchedule(core, change);
    case "runSchedule":
      return runSchedule(core, change);
    case "planSchedule":
      return planSchedule(core, change);
    case "sealBatch":
      return sealBatch(core, change);
    case "cancelBatch":
      return cancelBatch(core, change);
    case "raiseFeatureLevel":
      return raiseFeatureLevel(core, change);
  }
}
