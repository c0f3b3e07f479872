/**
 * What the producer of a job chose, fixed at enqueue. Jobs that chose nothing share one object.
 * A new option is a field here with its default; the log and the database store only what differs from the defaults,
 * so older entries read back unchanged.
 */
import type { ChainPlan } from "./chains.ts";
import type { ScheduleOrigin } from "./schedule.ts";

export type Backoff = "none" | "fixed" | "linear" | "exponential";

/** What becomes of a job when one that it depends on ends without success. */
export type DependencyFailure = "fail" | "wait" | "ignore";

export interface JobOptions {
  /** Runs in all before the job is dead; 0 and 1 both mean one run. */
  readonly maxRetries: number;
  readonly backoff: Backoff;
  readonly baseDelayMs: number;
  /** Cap of the delay; 0 means none. */
  readonly maxDelayMs: number;
  /** Share of the delay added at random, 0 to 1. */
  readonly jitter: number;
  /** Longest run of one attempt; 0 means no limit. */
  readonly timeoutMs: number;
  readonly uniqueKey: string | undefined;
  /** How long the unique key is held at most. */
  readonly uniqueMs: number;
  /** JSON object of strings. */
  readonly tags: string | undefined;
  readonly parentId: string | undefined;
  /** Cancelled with its parent. */
  readonly cascadeCancel: boolean;
  /** The batch that the job is counted in. */
  readonly batchId: string | undefined;
  /** Ids of the jobs that must be completed first. In a change, `$n` stands for the n-th job of the call, from 0. */
  readonly dependsOn: readonly string[] | undefined;
  readonly onDependencyFailure: DependencyFailure;
  /** The chain that the job is a step of, and which; -1 is what follows its end, -2 what follows its failure. */
  readonly chainId: string | undefined;
  readonly chainStep: number | undefined;
  /** What is left of the chain after this job. */
  readonly chain: ChainPlan | undefined;
  /** The schedule that made the job. */
  readonly schedule: ScheduleOrigin | undefined;
}

export const defaultOptions: JobOptions = Object.freeze({
  maxRetries: 3,
  backoff: "exponential",
  baseDelayMs: 5000,
  maxDelayMs: 600_000,
  jitter: 0,
  timeoutMs: 0,
  uniqueKey: undefined,
  uniqueMs: 3_600_000,
  tags: undefined,
  parentId: undefined,
  cascadeCancel: false,
  batchId: undefined,
  dependsOn: undefined,
  onDependencyFailure: "fail",
  chainId: undefined,
  chainStep: undefined,
  chain: undefined,
  schedule: undefined,
});

/** The options that differ from the defaults, as they are stored; undefined when none do. */
export function packOptions(options: JobOptions): Partial<JobOptions> | undefined {
  if (options === defaultOptions) return undefined;
  const packed: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(options)) {
    if (value !== defaultOptions[key as keyof JobOptions]) packed[key] = value;
  }
  return packed;
}

/** The reverse of `packOptions`. */
export function unpackOptions(packed: Partial<JobOptions> | undefined): JobOptions {
  return packed === undefined ? defaultOptions : { ...defaultOptions, ...packed };
}
