/** From a job as a client describes it to a job as the engine takes it. */
import type { Static } from "@sinclair/typebox";
import { requestLimits as limits } from "../api/limits.ts";
import { type NewJob as NewJobSchema, QueueDefaults } from "../api/schemas.ts";
import { CorvoError } from "../base/errors.ts";
import type { NewJob } from "../engine/change.ts";
import { type Lane, laneName } from "../engine/limits/lane.ts";
import type { Backoff, DependencyFailure, JobOptions } from "../engine/options.ts";
import { firstJobOf, sizeOfPlan, toChainPlan } from "./chain-plan.ts";
import { knownMembers, refuseOtherOptions } from "./known-members.ts";
import { toLabels } from "./labels.ts";
import { payloadForm } from "./packed-values.ts";
import { type JobPlace, refuseBadRelations } from "./relations.ts";
import { toCallback } from "./targets.ts";
import { refuseContradictions, uniqueReaders } from "./unique-options.ts";
import { refuseUnsupportedJob } from "./unsupported.ts";
import { invalid, optionalDuration, toDuration, toPriority, toSpan, toTime } from "./values.ts";

type Spec = Static<typeof NewJobSchema>;
type Writable<T> = { -readonly [Key in keyof T]: T[Key] };

/** `place` is where the job stands in its call, for references to earlier ones, and the shard of its queue. */
export function toNewJob(asked: Spec, place: JobPlace): NewJob {
  refuseUnsupportedJob(asked);
  const spec = asked.chain == null ? asked : firstJobOf(asked);
  refuseContradictions(spec);
  checkPolicy(spec);
  refuseBadRelations(spec, place);
  const job: Writable<NewJob> = {
    queue: spec.queue,
    payload: payloadForm(spec),
  };
  if (spec.priority != null) job.priority = toPriority(spec.priority);
  if (spec.scheduled_at != null) {
    if (spec.delay != null) {
      throw new CorvoError(
        "VALIDATION_ERROR",
        "delay and scheduled_at are both given; one of them says when the job may run",
      );
    }
    job.scheduledAtMs = toTime("scheduled_at", spec.scheduled_at);
  }
  if (spec.delay != null) job.delayMs = toDuration("delay", spec.delay);
  if (spec.expire_after != null) {
    job.expireMs = Math.max(1, toDuration("expire_after", spec.expire_after));
  }
  if (spec.deadline != null) job.deadlineMs = toDeadline(spec, job.delayMs);
  if (spec.checkpoint != null) job.checkpoint = spec.checkpoint.text;
  const options = toOptions(spec);
  const chain = toChainPlan(spec, place, toNewJob);
  if (chain !== undefined) job.options = { ...options, chain };
  else if (options !== undefined) job.options = options;
  return job;
}

/** Options that the jobs of a queue are to have; undefined when none is given. */
export function toDefaults(
  queue: string,
  policy: Omit<Spec, "queue">,
): Partial<JobOptions> | undefined {
  refuseOtherOptions(QueueDefaults, policy, "not an option that a queue can have a default of");
  const spec = { ...knownMembers(QueueDefaults, policy), queue };
  checkPolicy(spec);
  return toOptions(spec);
}

function checkPolicy(spec: Spec): void {
  checkRetries(spec);
  if (spec.dead_queue !== spec.queue) return;
  throw invalid("dead_queue", spec.dead_queue, "another queue than that of the job");
}

function toDeadline(spec: Spec, delayMs = 0): number {
  const deadlineMs = toDuration("deadline", spec.deadline ?? "");
  const startMs = Math.max(delayMs, optionalDuration("debounce", spec.debounce) ?? 0);
  if (deadlineMs <= startMs) {
    throw invalid("deadline", spec.deadline, "a time after the start of the job");
  }
  return deadlineMs;
}

function checkRetries(spec: Spec): void {
  const mode = spec.retry_jitter_mode ?? "additive";
  if (mode !== "additive" && spec.retry_jitter != null) {
    throw invalid(
      "retry_jitter",
      spec.retry_jitter,
      `nothing with retry_jitter_mode ${mode}, which leaves no share to choose`,
    );
  }
  if (spec.retry_for != null && toDuration("retry_for", spec.retry_for) === 0) {
    throw invalid("retry_for", spec.retry_for, "more than 0; max_retries 1 means no retry");
  }
}

/** How each option is read; one that the engine has and this table lacks does not compile. */
const readers: {
  readonly [Name in keyof JobOptions]: (spec: Spec) => JobOptions[Name] | undefined;
} = {
  // With a limit in time, a limit in number is only what was asked for.
  maxRetries: (spec) =>
    spec.max_retries ?? (spec.retry_for == null ? undefined : limits.retriesMax),
  backoff: (spec) => (spec.retry_backoff ?? undefined) as Backoff | undefined,
  // The Go client of 0.3 sends an empty text for what was not given.
  baseDelayMs: (spec) => optionalDuration("retry_base_delay", spec.retry_base_delay || undefined),
  maxDelayMs: (spec) => optionalDuration("retry_max_delay", spec.retry_max_delay || undefined),
  jitter: (spec) => spec.retry_jitter ?? undefined,
  jitterMode: (spec) => spec.retry_jitter_mode ?? undefined,
  retryForMs: (spec) => optionalDuration("retry_for", spec.retry_for),
  noRetryOn: (spec) => spec.no_retry_on ?? undefined,
  lostLeasesMax: (spec) => spec.max_lost_leases ?? undefined,
  snoozesMax: (spec) => spec.max_snoozes ?? undefined,
  // By the engine, which knows the time of the enqueue.
  deadlineAtMs: () => undefined,
  timeoutMs: (spec) => (spec.timeout == null ? undefined : toSpan("timeout", spec.timeout)),
  ...uniqueReaders,
  tags: (spec) => (spec.tags == null ? undefined : toTags(spec.tags)),
  parentId: (spec) => spec.parent_id?.trim() ?? undefined,
  cascadeCancel: (spec) => spec.cascade_cancel ?? undefined,
  batchId: (spec) => spec.batch_id?.trim() ?? undefined,
  lane: toLane,
  dependsOn: (spec) =>
    spec.depends_on == null || spec.depends_on.length === 0
      ? undefined
      : [...new Set(spec.depends_on.map((id) => id.trim()))],
  onDependencyFailure: (spec) =>
    (spec.on_dependency_failure ?? undefined) as DependencyFailure | undefined,
  // Made from the whole of the job.
  chain: () => undefined,
  deadQueue: (spec) => spec.dead_queue ?? undefined,
  callback: toCallback,
  // Not for producers to say.
  chainId: () => undefined,
  chainStep: () => undefined,
  schedule: () => undefined,
  deadOf: () => undefined,
};
const readerList = Object.entries(readers);

/** The options that were given; undefined when none was, which is the case of most jobs and must cost nothing. */
function toOptions(spec: Spec): Partial<JobOptions> | undefined {
  if (spec.payload !== undefined && Object.keys(spec).length === 2) return undefined;
  const options: Record<string, unknown> = {};
  let isEmpty = true;
  for (const [name, read] of readerList) {
    const value = read(spec);
    if (value === undefined) continue;
    options[name] = value;
    isEmpty = false;
  }
  return isEmpty ? undefined : options;
}

/** What was said about sharing limits and turns. */
function toLane(spec: Spec): Lane | undefined {
  const lane: Writable<Lane> = {};
  if (spec.limit_key != null) lane.key = spec.limit_key;
  // A cost of one is what a job without a lane has.
  if (spec.limit_cost != null && spec.limit_cost !== 1) lane.cost = spec.limit_cost;
  if (spec.resources != null) {
    const resources = Object.entries(spec.resources);
    resources.sort(([one], [other]) => (one < other ? -1 : 1));
    if (resources.length > 0) lane.resources = resources;
  }
  if (spec.fifo_key != null) lane.fifo = spec.fifo_key;
  if (spec.group != null) lane.group = spec.group;
  if (spec.requires != null) {
    const requires = toLabels("requires", spec.requires);
    if (requires.length > 0) lane.requires = requires;
  }
  return Object.keys(lane).length === 0 ? undefined : lane;
}

/** May a worker that waits get it at once? */
export function isReadyAtOnce(job: NewJob): boolean {
  return (
    job.delayMs === undefined &&
    job.scheduledAtMs === undefined &&
    job.options?.debounceMs === undefined &&
    job.options?.dependsOn === undefined &&
    // Not every worker that waits there may have it.
    job.options?.lane?.requires === undefined
  );
}

/** An id with its quotes and comma. */
const idBytes = 33;

/** Approximate size of a job in the log. */
export function sizeOf(job: NewJob): number {
  const { options } = job;
  const ofOptions =
    options === undefined
      ? 0
      : (options.tags?.length ?? 0) +
        (options.dependsOn?.length ?? 0) * idBytes +
        (options.chain === undefined ? 0 : sizeOfPlan(options.chain)) +
        (options.lane === undefined ? 0 : laneName(options.lane).length) +
        (options.callback === undefined ? 0 : JSON.stringify(options.callback).length);
  return 120 + job.payload.length + (job.checkpoint?.length ?? 0) + ofOptions;
}

function toTags(tags: Record<string, string>): string {
  const names = Object.keys(tags);
  if (names.length > limits.tagCountMax) {
    throw new CorvoError(
      "LIMIT_EXCEEDED",
      `tags: ${names.length} tags; at most ${limits.tagCountMax} (tagCountMax)`,
      { details: { path: "tags" } },
    );
  }
  for (const name of names) {
    if (name.length > limits.tagLengthMax) {
      throw new CorvoError(
        "LIMIT_EXCEEDED",
        `tags: a name of ${name.length} characters; at most ${limits.tagLengthMax} (tagLengthMax)`,
        { details: { path: "tags" } },
      );
    }
  }
  return JSON.stringify(tags);
}
