/** A job as the naive model keeps it. */
import { formatJobId } from "../../src/base/ids.ts";
import type { NewJob } from "../../src/engine/change.ts";
import type { JobState } from "../../src/engine/job.ts";
import type { JobOptions } from "../../src/engine/options.ts";

export interface ModelJob {
  readonly seq: number;
  readonly createdAtMs: number;
  options: JobOptions;
  payload: string;
  queue: string;
  state: JobState;
  priority: number;
  order: number;
  dueAtMs: number;
  /** The time its producer asked for. */
  askedAtMs: number;
  expireAtMs: number;
  attempt: number;
  lostLeases: number;
  snoozes: number;
  firstFailedAtMs: number;
  token: number;
  leaseMs: number;
  leaseEndsAtMs: number;
  startedAtMs: number;
  finishedAtMs: number;
  result: string | undefined;
  checkpoint: string | undefined;
  progress: string | undefined;
  history: string[];
}

/** A job that is added now; `place` is that in its line, 0 for none. One that waits for its key is held. */
export function newModelJob(
  spec: NewJob,
  of: { seq: number; options: JobOptions; nowMs: number; place: number; waitsForKey: boolean },
): ModelJob {
  const { seq, options, nowMs, place, waitsForKey } = of;
  const askedAtMs = startOf(spec, options, { nowMs, firstMs: nowMs });
  const later: JobState = askedAtMs > nowMs ? "scheduled" : "pending";
  const state = waitsForKey ? "held" : later;
  return {
    seq,
    createdAtMs: nowMs,
    options,
    payload: spec.payload,
    queue: spec.queue,
    state,
    priority: spec.priority ?? 2,
    order: state === "pending" ? place : 0,
    dueAtMs: state === "scheduled" ? askedAtMs : 0,
    askedAtMs,
    expireAtMs: endOfWait(spec, options, nowMs),
    attempt: 0,
    lostLeases: 0,
    snoozes: 0,
    firstFailedAtMs: 0,
    token: 0,
    leaseMs: 0,
    finishedAtMs: 0,
    leaseEndsAtMs: 0,
    startedAtMs: 0,
    result: undefined,
    checkpoint: spec.checkpoint,
    progress: undefined,
    history: [],
  };
}

/** When a job is to start. */
export function startOf(
  spec: NewJob,
  options: JobOptions,
  at: { readonly nowMs: number; readonly firstMs: number },
): number {
  if (options.debounceMs === 0) return at.nowMs + (spec.delayMs ?? 0);
  const latestMs =
    options.debounceMaxMs === 0 ? Number.POSITIVE_INFINITY : at.firstMs + options.debounceMaxMs;
  return Math.min(at.nowMs + options.debounceMs, latestMs);
}

/** Until when a job may wait; 0 for ever. */
export function endOfWait(spec: NewJob, options: JobOptions, nowMs: number): number {
  const ends = [spec.expireMs === undefined ? 0 : nowMs + spec.expireMs, options.deadlineAtMs];
  const given = ends.filter((atMs) => atMs > 0);
  return given.length === 0 ? 0 : Math.min(...given);
}

/** For a job that is to run by an operator's word. */
export function takeOffWhatIsOver(job: ModelJob, nowMs: number): void {
  const { deadlineAtMs } = job.options;
  const isOver = deadlineAtMs > 0 && deadlineAtMs <= nowMs;
  if (isOver) job.options = { ...job.options, deadlineAtMs: 0 };
  if (isOver || job.expireAtMs <= nowMs) job.expireAtMs = isOver ? 0 : deadlineAtMs;
}

/** What a change of a job is answered with. */
export function answerOf(job: ModelJob, from: JobState): string {
  return `${from} to ${job.state}, attempt ${job.attempt}, due ${job.dueAtMs}, lease ${job.leaseEndsAtMs}`;
}

/** The id behind `$n`, from the answer that job got; any other id is its own. */
export function idBehind(
  reference: string,
  answers: readonly string[],
  jobs: readonly ModelJob[],
): string {
  if (!reference.startsWith("$")) return reference;
  const seq = Number(answers[Number(reference.slice(1))]?.split(" ").at(-1));
  return formatJobId(seq, jobs.find((job) => job.seq === seq)?.createdAtMs ?? 0, 0);
}
