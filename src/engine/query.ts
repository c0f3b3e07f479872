/** Read models: what can be asked about jobs besides reading one by id. Answered from the stored state, not from apply. */
import type { ErrorGroup } from "./error-group.ts";
import type { EventFilter } from "./event-chunk.ts";
import type { EventBounds, EventPage } from "./event-tail.ts";
import type { Job, JobState } from "./job.ts";
import type { LimitSetting } from "./limits/setting.ts";
import type { QueueSettings } from "./queue-settings.ts";
import type { ScheduleRecord } from "./schedule.ts";

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
  /** Id of the group of the job's last error (`error-group.ts`). */
  readonly errorGroup?: string;
  /** Conditions on members of the payload. */
  readonly payloadWhere?: readonly PayloadCondition[];
  /** Texts that occur, in any case, in the queue's name, the payload, the tags or an error. */
  readonly words?: readonly string[];
  /** Of each group one filter must hold. */
  readonly any?: readonly (readonly JobFilter[])[];
  /** None of these may hold. */
  readonly not?: readonly JobFilter[];
}

export type PayloadComparison = "=" | "!=" | "<" | "<=" | ">" | ">=";

/** What the member at `path` of a JSON payload must satisfy; `engine/payload-condition.ts` says what that means. */
export interface PayloadCondition {
  readonly path: readonly string[];
  readonly operator: PayloadComparison | "startsWith" | "contains";
  readonly of?: "length";
  readonly value: string | number | boolean | null;
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
  readonly reach: SearchReach;
}

/** How an answer was found. */
export interface SearchReach {
  /** False when a condition or the order was tested on rows one by one, so that one call may not reach all of them. */
  readonly indexed: boolean;
  /** Index entries and rows that were looked at. */
  readonly scanned: number;
  /** The newest job in the index of texts, when the search was one for text and there is an index. */
  readonly textThrough: { readonly seq: number; readonly createdAtMs: number } | undefined;
}

/** Jobs whose last error is of one kind. */
export interface ErrorGroupCount {
  readonly group: ErrorGroup;
  readonly count: number;
  /** When the first and the last of them ended. */
  readonly firstMs: number;
  readonly lastMs: number;
  /** The job that ended last. */
  readonly sample: { readonly seq: number; readonly createdAtMs: number };
}

export interface ErrorGroups {
  /** The largest first. */
  readonly groups: readonly ErrorGroupCount[];
  readonly groupCount: number;
  /** Jobs that were looked at, newest first. */
  readonly jobs: number;
  /** False when there were more jobs or groups than one answer looks at. */
  readonly exact: boolean;
}

export interface StoredEventsRequest extends EventBounds {
  readonly from: number;
  readonly filter: EventFilter;
  /** What happened before is of no interest. */
  readonly sinceMs?: number;
}

export interface StoredEvents extends EventPage {
  /** The oldest that is stored; undefined when none is. When `from` is older, nothing was read. */
  readonly first: number | undefined;
}

/** Rejects with a CorvoError SEARCH_ERROR when the request makes no sense. */
export interface JobSearch {
  page(request: JobPageRequest): Promise<JobPage>;
  /** Sequence numbers of matching jobs in growing order, above `afterSeq` and below `beforeSeq`. */
  seqs(
    filter: JobFilter,
    range: { readonly afterSeq: number; readonly beforeSeq: number; readonly limit: number },
  ): Promise<number[]>;
  /** Groups of the errors of matching jobs. */
  errorGroups(filter: JobFilter, limit: number): Promise<ErrorGroups>;
  /** Stored life-cycle events from a number on. */
  events(request: StoredEventsRequest): Promise<StoredEvents>;
  close(): Promise<void>;
}

/** A queue with what was set for it, as a copy of the state has it; what its jobs are is asked for apart. */
export interface QueueContents {
  readonly name: string;
  readonly createdAtMs: number;
  readonly paused: boolean;
  readonly settings: QueueSettings | undefined;
  readonly limits: readonly LimitSetting[];
  readonly schedules: readonly ScheduleRecord[];
}
