/**
 * What an operator sets for a whole queue besides limits: that it takes no more new jobs (it is drained), options that
 * its jobs have unless they say otherwise, and how many bytes it may hold. They are looked at when a job is added; the bytes
 * of finished jobs also when the leader trims (`trim.ts`).
 *
 * A drained queue refuses what comes from outside: enqueues, runs of schedules, moves. What follows from jobs that were
 * taken before is let in, since draining must not break it: later steps of chains, and copies of dead jobs.
 */
import type { NewJob, SetQueueDefaults } from "./change.ts";
import type { Core } from "./core.ts";
import { sayOfQueue } from "./events.ts";
import { engineLimits } from "./limits.ts";
import type { JobOptions } from "./options.ts";
import { type Outcome, type Rejection, reject } from "./outcome.ts";
import { queueElsewhere } from "./place.ts";

/** Lets no new jobs into a queue, or does so again. */
export interface DrainQueue {
  readonly kind: "drainQueue";
  readonly queue: string;
  readonly draining: boolean;
}

export interface QueueSettings {
  readonly draining: boolean;
  /** Options of jobs that do not give them. */
  readonly defaults: Partial<JobOptions> | undefined;
  /** The defaults in the words in which they were set. */
  readonly written: string | undefined;
  /** Bytes of payloads and results beyond which the queue takes no more; absent where it was never set. */
  readonly maxBytes?: number | undefined;
  /** Bytes of finished jobs that are kept; the oldest go first. */
  readonly keepBytes?: number | undefined;
}

/** Bounds on the bytes of payloads and results of a queue; what is absent is without one. */
export interface SetQueueBytes {
  readonly kind: "setQueueBytes";
  readonly queue: string;
  /** New jobs are refused beyond this. */
  readonly maxBytes?: number;
  /** Finished jobs are removed beyond this. */
  readonly keepBytes?: number;
}

const nothingSet: QueueSettings = { draining: false, defaults: undefined, written: undefined };

/** Replaces both bounds; what is not given is without one. */
function setQueueBytes(core: Core, change: SetQueueBytes): Outcome {
  const { queue, maxBytes, keepBytes } = change;
  core.effects.trimsWanted = true;
  return setFor(core, queue, { maxBytes, keepBytes });
}

function drainQueue(core: Core, change: DrainQueue): Outcome {
  const outcome = setFor(core, change.queue, { draining: change.draining });
  const type = change.draining ? "queue_draining" : "queue_undrained";
  if (outcome.kind === "ok") sayOfQueue(core, type, change.queue);
  return outcome;
}

/** Replaces the defaults; without any, removes them. */
function setQueueDefaults(core: Core, change: SetQueueDefaults): Outcome {
  const { queue, defaults, written } = change;
  const deadQueue = defaults?.deadQueue;
  if (deadQueue !== undefined && queueElsewhere(core.place, deadQueue) === undefined) {
    if (core.openQueue(deadQueue) === undefined) return tooManyQueues(deadQueue);
  }
  return setFor(core, queue, { defaults, written });
}

function setFor(core: Core, queue: string, patch: Partial<QueueSettings>): Outcome {
  if (core.openQueue(queue) === undefined) return tooManyQueues(queue);
  const settings: QueueSettings = { ...(core.queueSettings.get(queue) ?? nothingSet), ...patch };
  const { draining, defaults, maxBytes, keepBytes } = settings;
  const isSet = draining || [defaults, maxBytes, keepBytes].some((value) => value !== undefined);
  if (isSet) core.queueSettings.put(queue, settings);
  else core.queueSettings.delete(queue);
  return { kind: "ok" };
}

export function tooManyQueues(queue: string): Rejection {
  return reject(
    "LIMIT_EXCEEDED",
    `queue "${queue}" would be one more than ${engineLimits.queuesMax} (queuesMax)`,
  );
}

/** Why the queue takes no job from outside; undefined when it does. */
export function refuseDraining(core: Core, queue: string): Rejection | undefined {
  if (core.queueSettings.size === 0) return undefined;
  if (core.queueSettings.get(queue)?.draining !== true) return undefined;
  return reject("QUEUE_DRAINING", `queue "${queue}" is being drained: it takes no new jobs`);
}

/** What the job was given, and for the rest what its queue has. Undefined when neither says anything. */
export function givenOptions(core: Core, spec: NewJob): Partial<JobOptions> | undefined {
  const { options } = spec;
  if (core.queueSettings.size === 0) return options;
  const defaults = core.queueSettings.get(spec.queue)?.defaults;
  if (defaults === undefined) return options;
  if (options === undefined) return defaults;
  // A share of jitter belongs to one mode: who gives the one means the other.
  const means = options.jitter !== undefined && options.jitterMode === undefined;
  return { ...defaults, ...(means ? { jitterMode: "additive" as const } : {}), ...options };
}

export function applyToSettings(
  core: Core,
  change: DrainQueue | SetQueueDefaults | SetQueueBytes,
): Outcome {
  switch (change.kind) {
    case "drainQueue":
      return drainQueue(core, change);
    case "setQueueDefaults":
      return setQueueDefaults(core, change);
    case "setQueueBytes":
      return setQueueBytes(core, change);
  }
}
