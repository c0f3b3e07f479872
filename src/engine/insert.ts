/** Making the record of a new job. What may refuse one is asked before (`enqueue.ts`). */
import { formatGroupId } from "../base/ids.ts";
import type { NewJob } from "./change.ts";
import type { Core } from "./core.ts";
import { waitForDependencies } from "./depend.ts";
import type { Job } from "./job.ts";
import { defaultOptions, type JobOptions } from "./options.ts";

const defaultPriority = 2;

/** Adds a job that nobody asked for by itself: it has no unique key. Undefined when there are too many queues. */
export function insertNew(core: Core, spec: NewJob): Job | undefined {
  const queue = core.openQueue(spec.queue);
  if (queue === undefined) return undefined;
  const job = createJob(core, spec, { ...defaultOptions, ...spec.options });
  core.insert(job, queue);
  return job;
}

export function createJob(core: Core, spec: NewJob, options: JobOptions): Job {
  const seq = core.takeNumber();
  const nowMs = core.nowMs;
  const askedAtMs = spec.scheduledAtMs ?? (spec.delayMs === undefined ? 0 : nowMs + spec.delayMs);
  const waits = spec.scheduledAtMs !== undefined || askedAtMs > nowMs;
  const isBlocked = options.dependsOn !== undefined && waitForDependencies(core, seq, options);
  return {
    seq,
    createdAtMs: nowMs,
    queue: spec.queue,
    payload: spec.payload,
    options: ofChain(options, seq, nowMs),
    state: waits ? "scheduled" : "pending",
    priority: spec.priority ?? defaultPriority,
    order: waits || isBlocked ? 0 : seq,
    dueAtMs: waits ? askedAtMs : 0,
    scheduledAtMs: waits ? askedAtMs : 0,
    expireAtMs: spec.expireMs === undefined ? 0 : nowMs + spec.expireMs,
    attempt: 0,
    history: 0,
    lostLeases: 0,
    token: 0,
    leaseMs: 0,
    leaseExpiresAtMs: 0,
    workerId: undefined,
    hostname: undefined,
    startedAtMs: 0,
    finishedAtMs: 0,
    failedAtMs: 0,
    finish: 0,
    checkpoint: spec.checkpoint,
    progress: undefined,
    result: undefined,
    reason: undefined,
  };
}

/** The first job of a chain gives it its id. */
function ofChain(options: JobOptions, seq: number, createdAtMs: number): JobOptions {
  if (options.chain === undefined || options.chainId !== undefined) return options;
  const { shard } = options.chain;
  return { ...options, chainId: formatGroupId("chn", { seq, createdAtMs, shard }), chainStep: 0 };
}
