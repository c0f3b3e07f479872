/** From what a producer asks for to the fields of a job's record. */
import type { NewJob } from "./change.ts";
import type { Core } from "./core.ts";
import type { Job } from "./job.ts";
import { defaultOptions, type JobOptions } from "./options.ts";
import { givenOptions } from "./queue-settings.ts";

const defaultPriority = 2;

/** The options of a job that is added now. Jobs that chose nothing share one object. */
export function optionsOf(core: Core, spec: NewJob): JobOptions {
  const given = givenOptions(core, spec);
  if (given === undefined && spec.deadlineMs === undefined) return defaultOptions;
  const options = { ...defaultOptions, ...given };
  if (spec.deadlineMs !== undefined) options.deadlineAtMs = core.nowMs + spec.deadlineMs;
  return options;
}

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
