/** The shapes of jobs in changes: what producers ask for, with everything in it. */
import { problemOfForm } from "../base/stored-value.ts";
import type { ChainPlan } from "./chains.ts";
import type { NewBatch, NewJob } from "./change.ts";
import type { Lane } from "./limits/lane.ts";
import { changeLimits as bounds } from "./limits.ts";
import type { JobOptions } from "./options.ts";
import type { Callback } from "./outbox/delivery.ts";
import {
  absent,
  checked,
  either,
  flag,
  integer,
  list,
  map,
  members,
  only,
  optional,
  pair,
  type Rows,
  type Shape,
  share,
  text,
  word,
} from "./shape.ts";

/** Queues, schedules, resources. The names of limits and of locks are made with line breaks between the parts. */
export const name: Shape<string> = checked(text(1, bounds.nameCharsMax), (value) =>
  value.includes("\n") ? "a name without a line break" : undefined,
);
export const key: Shape<string> = text(1, bounds.nameCharsMax);
export const shortText: Shape<string> = text(0, bounds.shortCharsMax);
export const longText: Shape<string> = text(0, bounds.textCharsMax);
/** JSON as it was written. */
export const json: Shape<string> = text(1, bounds.textCharsMax);
/** JSON as it was written, or another form of a value. */
export const storedValue: Shape<string> = checked(json, problemOfForm);
export const count: Shape<number> = integer(0, Number.MAX_SAFE_INTEGER);
export const seq: Shape<number> = integer(0, Number.MAX_SAFE_INTEGER);
export const duration: Shape<number> = integer(0, bounds.durationMsMax);
export const time: Shape<number> = integer(0, bounds.timeMsMax);
export const priority: Shape<number> = integer(0, bounds.priorityMax);
export const shard: Shape<number> = integer(0, bounds.shardMax);
const units = integer(1, bounds.unitsMax);
/** The engine cuts it at its slashes to tell hosts apart. */
export const targetUrl: Shape<string> = checked(text(8, bounds.shortCharsMax), (value) =>
  /^https?:\/\//.test(value) ? undefined : "an http or https URL",
);

/** Lines of jobs and their turns have names that are made of labels. */
const label: Shape<string> = checked(key, (value) =>
  /\p{Cc}/u.test(value) ? "a label without control characters" : undefined,
);
/** Sorted, so that equal sets are equal. */
export const labels: Shape<readonly string[]> = checked(list(label, 1, bounds.listMax), (all) =>
  isGrowing(all) ? undefined : "labels in growing order",
);

const lane: Shape<Lane> = members<Lane>({
  key: optional(key),
  cost: optional(units),
  resources: optional(
    checked(list(pair(name, units), 1, bounds.listMax), (resources) =>
      isGrowing(resources.map(([resource]) => resource)) ? undefined : "resources in growing order",
    ),
  ),
  fifo: optional(key),
  group: optional(key),
  requires: optional(labels),
});

const callback: Shape<Callback> = members<Callback>({
  url: targetUrl,
  secret: optional(shortText),
  headers: optional(map(shortText, shortText, bounds.listMax)),
});

const engineOnly = "only the engine gives it to the jobs that it adds";

export const optionRows: Rows<Partial<JobOptions>> = {
  maxRetries: optional(count),
  backoff: optional(word({ none: true, fixed: true, linear: true, exponential: true })),
  baseDelayMs: optional(duration),
  maxDelayMs: optional(duration),
  jitter: optional(share),
  jitterMode: optional(word({ additive: true, full: true, equal: true })),
  retryForMs: optional(duration),
  noRetryOn: optional(list(key, 0, bounds.listMax)),
  lostLeasesMax: optional(count),
  snoozesMax: optional(count),
  deadlineAtMs: absent("the engine counts it from deadlineMs"),
  timeoutMs: optional(duration),
  uniqueKey: optional(key),
  uniqueMs: optional(integer(1, bounds.durationMsMax)),
  uniqueScope: optional(word({ waiting: true, done: true, period: true })),
  onConflict: optional(
    word({ existing: true, reject: true, replace: true, keep_last: true, cancel: true }),
  ),
  debounceMs: optional(duration),
  debounceMaxMs: optional(duration),
  merge: optional(word({ none: true, shallow: true, append: true })),
  tags: optional(json),
  parentId: optional(shortText),
  cascadeCancel: optional(flag),
  batchId: optional(shortText),
  lane: optional(lane),
  dependsOn: optional(list(shortText, 0, bounds.listMax)),
  onDependencyFailure: optional(word({ fail: true, wait: true, ignore: true })),
  chainId: absent(engineOnly),
  chainStep: absent(engineOnly),
  chain: optional((value) => chain(value)),
  schedule: absent(engineOnly),
  deadQueue: optional(name),
  deadOf: absent(engineOnly),
  callback: optional(callback),
};

/** What a queue can have as the defaults of its jobs. */
export const queueDefaults: Shape<Partial<JobOptions>> = only(optionRows, [
  "maxRetries",
  "backoff",
  "baseDelayMs",
  "maxDelayMs",
  "jitter",
  "jitterMode",
  "retryForMs",
  "noRetryOn",
  "lostLeasesMax",
  "snoozesMax",
  "timeoutMs",
  "deadQueue",
]);

export const jobRows: Rows<NewJob> = {
  queue: name,
  payload: storedValue,
  priority: optional(priority),
  delayMs: optional(duration),
  scheduledAtMs: optional(time),
  expireMs: optional(duration),
  deadlineMs: optional(duration),
  checkpoint: optional(json),
  options: optional(members<Partial<JobOptions>>(optionRows)),
};

export const newJob: Shape<NewJob> = members<NewJob>(jobRows);

/** A job that follows others begins no chain, so jobs are not nested without bound. */
const followingRows: Pick<Rows<Partial<JobOptions>>, "chain"> = {
  chain: absent("it follows other jobs itself"),
};
const followingJob: Shape<NewJob> = members<NewJob>({
  ...jobRows,
  options: optional(members<Partial<JobOptions>>({ ...optionRows, ...followingRows })),
});

function chainOf(stepsMin: number): Shape<ChainPlan> {
  return members<ChainPlan>({
    steps: list(followingJob, stepsMin, bounds.listMax),
    onFailure: optional(either(word({ continue: true }), followingJob)),
    onExit: optional(followingJob),
    shard,
  });
}

const chain: Shape<ChainPlan> = chainOf(1);
/** Of a chain that has begun. */
export const restOfChain: Shape<ChainPlan> = chainOf(0);

export const newBatch: Shape<NewBatch> = members<NewBatch>({
  openMs: optional(duration),
  name: optional(shortText),
  onSuccess: optional(followingJob),
  onFailure: optional(followingJob),
  onComplete: optional(followingJob),
  shard,
  parts: optional(integer(1, bounds.listMax)),
});

export function isGrowing<T extends string | number>(values: readonly T[]): boolean {
  return values.every((value, i) => {
    const before = values[i - 1];
    return before === undefined || before < value;
  });
}
