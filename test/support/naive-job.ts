/** A job as the naive model keeps it. */
import { formatJobId } from "../../src/base/ids.ts";
import type { NewJob } from "../../src/engine/change.ts";
import type { JobState } from "../../src/engine/job.ts";
import type { JobOptions } from "../../src/engine/options.ts";

export interface ModelJob {
  readonly seq: number;
  readonly createdAtMs: number;
  options: JobOptions;
  queue: string;
  state: JobState;
  priority: number;
  order: number;
  dueAtMs: number;
  expireAtMs: number;
  attempt: number;
  lostLeases: number;
  token: number;
  leaseMs: number;
  leaseEndsAtMs: number;
  startedAtMs: number;
  result: string | undefined;
  checkpoint: string | undefined;
  progress: string | undefined;
  history: string[];
}

/** A job that is added now; `place` is that in its line, 0 for none. */
export function newModelJob(
  spec: NewJob,
  of: { seq: number; options: JobOptions; nowMs: number; place: number },
): ModelJob {
  const { seq, options, nowMs, place } = of;
  const dueAtMs = nowMs + (spec.delayMs ?? 0);
  const isLater = dueAtMs > nowMs;
  return {
    seq,
    createdAtMs: nowMs,
    options,
    queue: spec.queue,
    state: isLater ? "scheduled" : "pending",
    priority: spec.priority ?? 2,
    order: isLater ? 0 : place,
    dueAtMs: isLater ? dueAtMs : 0,
    expireAtMs: spec.expireMs === undefined ? 0 : nowMs + spec.expireMs,
    attempt: 0,
    lostLeases: 0,
    token: 0,
    leaseMs: 0,
    leaseEndsAtMs: 0,
    startedAtMs: 0,
    result: undefined,
    checkpoint: spec.checkpoint,
    progress: undefined,
    history: [],
  };
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
