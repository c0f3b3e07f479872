/** From a job as a client describes it to a job as the engine takes it. */
import type { Static } from "@sinclair/typebox";
import { requestLimits as limits } from "../api/limits.ts";
import { type NewJob as NewJobSchema, priorityNames } from "../api/schemas.ts";
import { CorvoError } from "../base/errors.ts";
import { parseDuration, parseTime } from "../base/time.ts";
import type { NewJob } from "../engine/change.ts";
import type { Backoff, DependencyFailure, JobOptions } from "../engine/options.ts";
import { firstJobOf, sizeOfPlan, toChainPlan } from "./chain-plan.ts";
import { type JobPlace, refuseBadRelations } from "./relations.ts";
import { refuseUnsupportedJob } from "./unsupported.ts";

type Spec = Static<typeof NewJobSchema>;
type Writable<T> = { -readonly [Key in keyof T]: T[Key] };

/** `place` is where the job stands in its call, for references to earlier ones, and the shard of its queue. */
export function toNewJob(asked: Spec, place: JobPlace): NewJob {
  refuseUnsupportedJob(asked);
  const spec = asked.chain == null ? asked : firstJobOf(asked);
  refuseBadRelations(spec, place);
  const job: Writable<NewJob> = {
    queue: spec.queue,
    payload: spec.payload == null ? "{}" : spec.payload.text,
  };
  if (spec.priority != null) job.priority = toPriority(spec.priority);
  if (spec.scheduled_at != null) {
    if (spec.delay != null) {
      throw invalid("delay", spec.delay, "delay and scheduled_at exclude each other");
    }
    job.scheduledAtMs = toTime("scheduled_at", spec.scheduled_at);
  }
  if (spec.delay != null) job.delayMs = toDuration("delay", spec.delay);
  if (spec.expire_after != null) {
    job.expireMs = Math.max(1, toDuration("expire_after", spec.expire_after));
  }
  if (spec.checkpoint != null) job.checkpoint = spec.checkpoint.text;
  const options = toOptions(spec);
  const chain = toChainPlan(spec, place, toNewJob);
  if (chain !== undefined) job.options = { ...options, chain };
  else if (options !== undefined) job.options = options;
  return job;
}

/** How each option is read; one that the engine has and this table lacks does not compile. */
const readers: {
  readonly [Name in keyof JobOptions]: (spec: Spec) => JobOptions[Name] | undefined;
} = {
  maxRetries: (spec) => spec.max_retries ?? undefined,
  backoff: (spec) => (spec.retry_backoff ?? undefined) as Backoff | undefined,
  baseDelayMs: (spec) => optionalDuration("retry_base_delay", spec.retry_base_delay),
  maxDelayMs: (spec) => optionalDuration("retry_max_delay", spec.retry_max_delay),
  jitter: (spec) => spec.retry_jitter ?? undefined,
  timeoutMs: (spec) => optionalDuration("timeout", spec.timeout),
  uniqueKey: (spec) => spec.unique_key ?? undefined,
  uniqueMs: (spec) => (spec.unique_period == null ? undefined : spec.unique_period * 1000),
  tags: (spec) => (spec.tags == null ? undefined : toTags(spec.tags)),
  parentId: (spec) => spec.parent_id?.trim() ?? undefined,
  cascadeCancel: (spec) => spec.cascade_cancel ?? undefined,
  batchId: (spec) => spec.batch_id?.trim() ?? undefined,
  dependsOn: (spec) =>
    spec.depends_on == null || spec.depends_on.length === 0
      ? undefined
      : [...new Set(spec.depends_on.map((id) => id.trim()))],
  onDependencyFailure: (spec) =>
    (spec.on_dependency_failure ?? undefined) as DependencyFailure | undefined,
  // Made from the whole of the job.
  chain: () => undefined,
  // Not for producers to say.
  chainId: () => undefined,
  chainStep: () => undefined,
  schedule: () => undefined,
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

function optionalDuration(field: string, text: string | null | undefined): number | undefined {
  return text == null ? undefined : toDuration(field, text);
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
        (options.chain === undefined ? 0 : sizeOfPlan(options.chain));
  return 120 + job.payload.length + (job.checkpoint?.length ?? 0) + ofOptions;
}

export function toPriority(value: number | string): number {
  if (typeof value === "number") return value;
  if (Object.hasOwn(priorityNames, value)) {
    return priorityNames[value as keyof typeof priorityNames];
  }
  const number = Number(value);
  if (value !== "" && Number.isInteger(number) && number >= 0 && number <= 9) return number;
  throw invalid("priority", value, "0 to 9, or critical, high, normal, low");
}

export function toDuration(field: string, text: string): number {
  const durationMs = parseDuration(text);
  if (durationMs === undefined) {
    throw invalid(field, text, 'a duration such as "250ms", "90s" or "1h30m"');
  }
  if (durationMs > limits.delayMsMax) {
    throw new CorvoError(
      "LIMIT_EXCEEDED",
      `${field}: "${text}" is longer than 10 years (delayMsMax)`,
    );
  }
  return durationMs;
}

export function toTime(field: string, text: string): number {
  const timeMs = parseTime(text);
  if (timeMs === undefined || timeMs < 0 || timeMs > 8.64e15) {
    throw invalid(field, text, 'an RFC 3339 time such as "2030-01-31T09:00:00Z"');
  }
  return timeMs;
}

function toTags(tags: Record<string, string>): string {
  const names = Object.keys(tags);
  if (names.length > limits.tagCountMax) {
    throw new CorvoError(
      "LIMIT_EXCEEDED",
      `tags: ${names.length} tags; at most ${limits.tagCountMax} (tagCountMax)`,
    );
  }
  for (const name of names) {
    if (name.length > limits.tagLengthMax) {
      throw new CorvoError(
        "LIMIT_EXCEEDED",
        `tags: a name of ${name.length} characters; at most ${limits.tagLengthMax} (tagLengthMax)`,
      );
    }
  }
  return JSON.stringify(tags);
}

function invalid(field: string, value: unknown, expected: string): CorvoError {
  return new CorvoError(
    "VALIDATION_ERROR",
    `${field}: expected ${expected}, got ${JSON.stringify(value)?.slice(0, 80)}`,
  );
}
