/**
 * What the producer of a job chose, fixed at enqueue. Jobs that chose nothing share one object.
 * A new option is a field here with its default; the log and the database store only what differs from the defaults,
 * so older entries read back unchanged.
 */
import type { ChainPlan, JobRef } from "./chains.ts";
import type { Lane } from "./limits/lane.ts";
import type { Callback } from "./outbox/delivery.ts";
import type { ScheduleOrigin } from "./schedule.ts";

export type Backoff = "none" | "fixed" | "linear" | "exponential";

/** Where chance moves a delay: beyond it by a share, anywhere up to it, or within its second half. */
export type JitterMode = "additive" | "full" | "equal";

/** How long a unique key is held: until the job starts, until it is done, or for its period even after that. */
export type UniqueScope = "waiting" | "done" | "period";

/** What becomes of an enqueue whose unique key is held. */
export type OnConflict = "existing" | "reject" | "replace" | "keep_last" | "cancel";

/** How payloads of jobs that become one are joined. */
export type Merge = "none" | "shallow" | "append";
/** What becomes of a job when one that it depends on ends without success. */
export type DependencyFailure = "fail" | "wait" | "ignore";

export interface JobOptions {
  /** Runs in all before the job is dead; 0 and 1 both mean one run. */
  readonly maxRetries: number;
  readonly backoff: Backoff;
  readonly baseDelayMs: number;
  /** Cap of the delay; 0 means none. */
  readonly maxDelayMs: number;
  /** Share of the delay added at random, 0 to 1; only with the mode "additive". */
  readonly jitter: number;
  readonly jitterMode: JitterMode;
  /** No attempt begins later than this after the first failure; 0 means no limit. */
  readonly retryForMs: number;
  /** Error classes that send the job to dead at once. */
  readonly noRetryOn: readonly string[] | undefined;
  /** So many leases lost in a row hold the job back; 0 means never. */
  readonly lostLeasesMax: number;
  readonly snoozesMax: number;
  /** When the job must be done, all attempts included; 0 means never. Set at enqueue from what was asked. */
  readonly deadlineAtMs: number;
  /** Longest run of one attempt; 0 means no limit. */
  readonly timeoutMs: number;
  readonly uniqueKey: string | undefined;
  /** How long the unique key is held at most; with the scope "period", exactly. */
  readonly uniqueMs: number;
  readonly uniqueScope: UniqueScope;
  readonly onConflict: OnConflict;
  /** Each enqueue with the key moves the start of the waiting job to this long after it; 0 means it does not. */
  readonly debounceMs: number;
  /** The start is not moved further from the first enqueue than this; 0 means no bound. */
  readonly debounceMaxMs: number;
  readonly merge: Merge;
  /** JSON object of strings. */
  readonly tags: string | undefined;
  readonly parentId: string | undefined;
  /** Cancelled with its parent. */
  readonly cascadeCancel: boolean;
  /** The batch that the job is counted in. */
  readonly batchId: string | undefined;
  /** With whom it shares limits and turns. */
  readonly lane: Lane | undefined;
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
  /** Where a copy of the job goes when it is dead. */
  readonly deadQueue: string | undefined;
  /** The dead job of which this one is a copy. */
  readonly deadOf: JobRef | undefined;
  /** Who is told the result. */
  readonly callback: Callback | undefined;
}

export const defaultOptions: JobOptions = Object.freeze({
  maxRetries: 3,
  backoff: "exponential",
  baseDelayMs: 5000,
  maxDelayMs: 600_000,
  jitter: 0,
  jitterMode: "additive",
  retryForMs: 0,
  noRetryOn: undefined,
  lostLeasesMax: 0,
  snoozesMax: 1000,
  deadlineAtMs: 0,
  timeoutMs: 0,
  uniqueKey: undefined,
  uniqueMs: 3_600_000,
  uniqueScope: "done",
  onConflict: "existing",
  debounceMs: 0,
  debounceMaxMs: 0,
  merge: "none",
  tags: undefined,
  parentId: undefined,
  cascadeCancel: false,
  batchId: undefined,
  lane: undefined,
  dependsOn: undefined,
  onDependencyFailure: "fail",
  chainId: undefined,
  chainStep: undefined,
  chain: undefined,
  schedule: undefined,
  deadQueue: undefined,
  deadOf: undefined,
  callback: undefined,
});

const defaults = Object.entries(defaultOptions) as [keyof JobOptions, unknown][];

/** The options that differ from the defaults, as they are stored; undefined when none do. */
export function packOptions(options: JobOptions): Partial<JobOptions> | undefined {
  if (options === defaultOptions) return undefined;
  const packed: Record<string, unknown> = {};
  for (const [name, byDefault] of defaults) {
    const value = options[name];
    if (value !== byDefault) packed[name] = value;
  }
  return packed;
}

/** The reverse of `packOptions`. */
export function unpackOptions(packed: Partial<JobOptions> | undefined): JobOptions {
  return packed === undefined ? defaultOptions : { ...defaultOptions, ...packed };
}
