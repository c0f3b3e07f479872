/** Read models: what can be asked about jobs besides reading one by id. Answered from the stored state, not from apply. */
import type { Job, JobState } from "./job.ts";

export type JobSort = "created_at" | "priority" | "started_at" | "completed_at" | "attempt";

/** All members that are given must hold. Times are exclusive bounds in milliseconds. */
export interface JobFilter {
  readonly queue?: string;
  readonly states?: readonly JobState[];
  readonly priority?: number;
  readonly tags?: Readonly<Record<string, string>>;
  readonly payloadContains?: string;
  readonly errorContains?: string;
  readonly createdAfterMs?: number;
  readonly createdBeforeMs?: number;
  readonly scheduledAfterMs?: number;
  readonly scheduledBeforeMs?: number;
  readonly startedAfterMs?: number;
  readonly startedBeforeMs?: number;
  readonly completedAfterMs?: number;
  readonly completedBeforeMs?: number;
  readonly expireAfterMs?: number;
  readonly expireBeforeMs?: number;
  readonly attemptMin?: number;
  readonly attemptMax?: number;
  readonly uniqueKey?: string;
  readonly workerId?: string;
  readonly parentId?: string;
  readonly batchId?: string;
  readonly chainId?: string;
  readonly hasErrors?: boolean;
  readonly jobIdPrefix?: string;
}

export interface JobPageRequest {
  readonly filter: JobFilter;
  readonly sort: JobSort;
  readonly descending: boolean;
  readonly limit: number;
  /** Opaque; from the page before. */
  readonly cursor?: string;
}

export interface JobPage {
  readonly jobs: readonly Job[];
  /** Jobs that match; when not exact, at least this many. */
  readonly total: number;
  readonly totalExact: boolean;
  /** Present when there are more. */
  readonly cursor: string | undefined;
}

/** Rejects with a CorvoError SEARCH_ERROR when the request makes no sense. */
export interface JobSearch {
  page(request: JobPageRequest): Promise<JobPage>;
  /** Sequence numbers of matching jobs in growing order, above `afterSeq` and below `beforeSeq`. */
  seqs(
    filter: JobFilter,
    range: { readonly afterSeq: number; readonly beforeSeq: number; readonly limit: number },
  ): Promise<number[]>;
  /** Jobs whose queue, payload or tags contain the text, newest first. */
  text(query: string, limit: number): Promise<Job[]>;
  close(): Promise<void>;
}
