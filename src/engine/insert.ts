/** Making the record of a new job. What may refuse one is asked before (`enqueue.ts`, `admit.ts`). */
import { must } from "../base/assert.ts";
import { formatGroupId } from "../base/ids.ts";
import type { NewJob } from "./change.ts";
import type { Core } from "./core.ts";
import { waitForDependencies } from "./depend.ts";
import type { Job } from "./job.ts";
import { chosenFields, optionsOf } from "./new-job.ts";
import type { JobOptions } from "./options.ts";
import type { EnqueueResult } from "./outcome.ts";

/** Adds a job that nobody asked for by itself: it has no unique key. Undefined when there are too many queues. */
export function insertNew(core: Core, spec: NewJob): Job | undefined {
  if (core.openQueue(spec.queue) === undefined) return undefined;
  return insertJob(core, spec, optionsOf(core, spec));
}

/** Adds a job to a queue that exists. `held` keeps it from becoming ready, with the reason. */
export function insertJob(core: Core, spec: NewJob, asked: JobOptions, held?: string): Job {
  const queue = must(core.state.getQueue(spec.queue), "the queue was opened before");
  const seq = core.takeNumber();
  const options = ofChain(asked, seq, core.nowMs);
  const chosen = chosenFields(core, spec, options, core.nowMs);
  const state = held === undefined ? chosen.state : "held";
  const mayWait = options.dependsOn !== undefined || options.batchId !== undefined;
  const isBlocked = mayWait && waitForDependencies(core, seq, options);
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

/** The first job of a chain gives it its id. */
function ofChain(options: JobOptions, seq: number, createdAtMs: number): JobOptions {
  if (options.chain === undefined || options.chainId !== undefined) return options;
  const { shard } = options.chain;
  return { ...options, chainId: formatGroupId("chn", { seq, createdAtMs, shard }), chainStep: 0 };
}
