/** From what a producer asks for to a job record. */
import { must } from "../base/assert.ts";
import type { NewJob } from "./change.ts";
import type { Core } from "./core.ts";
import { waitForDependencies } from "./depend.ts";
import type { Job } from "./job.ts";
import type { JobOptions } from "./options.ts";
import type { EnqueueResult } from "./outcome.ts";

const defaultPriority = 2;

/** What the producer decides of a job; `firstMs` is when it was first enqueued. */
export function chosenFields(
  core: Core,
  spec: NewJob,
  options: JobOptions,
  firstMs: number,
): Pick<
  Job,
  | "payload"
  | "options"
  | "state"
  | "priority"
  | "dueAtMs"
  | "scheduledAtMs"
  | "expireAtMs"
  | "checkpoint"
> {
  const { nowMs } = core;
  const askedAtMs = startOf(spec, options, { nowMs, firstMs });
  const waits = spec.scheduledAtMs !== undefined || askedAtMs > nowMs;
  return {
    payload: spec.payload,
    options,
    state: waits ? "scheduled" : "pending",
    priority: spec.priority ?? defaultPriority,
    dueAtMs: waits ? askedAtMs : 0,
    scheduledAtMs: waits ? askedAtMs : 0,
    expireAtMs: endOfWait(spec.expireMs === undefined ? 0 : nowMs + spec.expireMs, options),
    checkpoint: spec.checkpoint,
  };
}

/** The earlier of the time to start by and the deadline; 0 when there is neither. */
function endOfWait(startByMs: number, { deadlineAtMs }: JobOptions): number {
  return startByMs === 0 || deadlineAtMs === 0
    ? startByMs + deadlineAtMs
    : Math.min(startByMs, deadlineAtMs);
}

/** The time asked for; 0 when none was. */
function startOf(
  spec: NewJob,
  options: JobOptions,
  { nowMs, firstMs }: { readonly nowMs: number; readonly firstMs: number },
): number {
  if (options.debounceMs > 0) {
    const atMs = nowMs + options.debounceMs;
    return options.debounceMaxMs > 0 ? Math.min(atMs, firstMs + options.debounceMaxMs) : atMs;
  }
  return spec.scheduledAtMs ?? (spec.delayMs === undefined ? 0 : nowMs + spec.delayMs);
}

/** What an attempt leaves in a job, at rest. */
export const untried = {
  attempt: 0,
  lostLeases: 0,
  snoozes: 0,
  firstFailedAtMs: 0,
  token: 0,
  workerId: undefined,
  hostname: undefined,
  startedAtMs: 0,
  failedAtMs: 0,
  progress: undefined,
  result: undefined,
  reason: undefined,
} as const satisfies Partial<Job>;

/** Adds a job to a queue that exists. `held` keeps it from becoming ready, with the reason. */
export function insertJob(core: Core, spec: NewJob, options: JobOptions, held?: string): Job {
  const queue = must(core.state.getQueue(spec.queue), "the queue was opened before");
  const seq = core.takeNumber();
  const chosen = chosenFields(core, spec, options, core.nowMs);
  const state = held === undefined ? chosen.state : "held";
  const isBlocked = options.dependsOn !== undefined && waitForDependencies(core, seq, options);
  const job: Job = {
    seq,
    createdAtMs: core.nowMs,
    queue: spec.queue,
    payload: chosen.payload,
    options,
    state,
    priority: chosen.priority,
    order: state === "pending" && !isBlocked ? seq : 0,
    dueAtMs: state === "scheduled" ? chosen.dueAtMs : 0,
    scheduledAtMs: chosen.scheduledAtMs,
    expireAtMs: chosen.expireAtMs,
    attempt: 0,
    history: 0,
    lostLeases: 0,
    snoozes: 0,
    firstFailedAtMs: 0,
    token: 0,
    leaseMs: 0,
    leaseExpiresAtMs: 0,
    workerId: undefined,
    hostname: undefined,
    startedAtMs: 0,
    finishedAtMs: 0,
    failedAtMs: 0,
    finish: 0,
    checkpoint: chosen.checkpoint,
    progress: undefined,
    result: undefined,
    reason: held,
  };
  core.insert(job, queue);
  return job;
}

export function added(job: Job): EnqueueResult {
  return { kind: "added", seq: job.seq, createdAtMs: job.createdAtMs, state: job.state };
}
