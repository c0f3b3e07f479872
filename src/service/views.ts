/** Records as clients see them. */
import type { ResultOf } from "../api/operation.ts";
import type { Operations } from "../api/operations.ts";
import { formatJobId, parseJobId } from "../base/ids.ts";
import { RawJson } from "../base/json.ts";
import { isPacked } from "../base/stored-value.ts";
import { formatTime } from "../base/time.ts";
import type { NewJob } from "../engine/change.ts";
import type { Attempt, Job } from "../engine/job.ts";
import type { LimitValues } from "../engine/limits/setting.ts";
import { defaultOptions, type JobOptions } from "../engine/options.ts";
import type { EnqueueResult, ItemResult } from "../engine/outcome.ts";
import type { QueueSettings } from "../engine/queue-settings.ts";
import type { QueueRecord } from "../engine/state.ts";
import { labelsView } from "./labels.ts";
import { payloadFacts, resultFacts, shownJson } from "./packed-values.ts";

export type JobView = ResultOf<Operations["getJob"]>;
type Summary = ResultOf<Operations["searchJobs"]>["jobs"][number];
type QueueView = ResultOf<Operations["getQueue"]>;
export type ClaimedView = ResultOf<Operations["fetchJob"]>;
type EnqueueView = ResultOf<Operations["enqueueJob"]>;
type AttemptView = NonNullable<JobView["attempts"]>[number];
interface ItemView {
  job_id: string;
  status: string;
  code?: string;
  error?: string;
}

/** Adds a member only when there is a value, since absent and `null` are different things to clients. */
function set<T extends object, K extends keyof T>(view: T, key: K, value: T[K] | undefined): void {
  if (value !== undefined) view[key] = value;
}

const time = (timeMs: number) => (timeMs === 0 ? undefined : formatTime(timeMs));
const raw = (text: string | undefined) => (text === undefined ? undefined : new RawJson(text));
const tagsOf = (job: Job) =>
  job.options.tags === undefined
    ? undefined
    : (JSON.parse(job.options.tags) as Record<string, string>);

/** `id` is the id of the job, which takes the shard to write. */
export function summaryView(id: string, job: Job): Summary {
  const view: Summary = {
    id,
    queue: job.queue,
    state: job.state,
    payload: shownJson(job.payload),
    priority: job.priority,
    attempt: job.attempt,
    max_retries: job.options.maxRetries,
    created_at: formatTime(job.createdAtMs),
  };
  if (isPacked(job.payload)) Object.assign(view, payloadFacts(job.payload, false));
  set(view, "unique_key", job.options.uniqueKey);
  set(view, "worker_id", job.workerId);
  set(view, "tags", tagsOf(job));
  set(view, "parent_id", job.options.parentId);
  set(view, "batch_id", job.options.batchId);
  set(view, "chain_id", job.options.chainId);
  set(view, "chain_step", job.options.chainStep);
  if (job.state === "pending" && job.order === 0) view.blocked = true;
  set(view, "scheduled_at", time(job.dueAtMs === 0 ? job.scheduledAtMs : job.dueAtMs));
  set(view, "started_at", time(job.startedAtMs));
  set(view, "completed_at", job.state === "completed" ? time(job.finishedAtMs) : undefined);
  set(view, "failed_at", time(job.failedAtMs));
  set(view, "cancelled_at", job.state === "cancelled" ? time(job.finishedAtMs) : undefined);
  return view;
}

export function jobView(id: string, job: Job, attempts: readonly Attempt[]): JobView {
  const view: JobView = {
    ...summaryView(id, job),
    ...payloadFacts(job.payload, true),
    retry_backoff: job.options.backoff,
    retry_base_delay_ms: job.options.baseDelayMs,
    retry_max_delay_ms: job.options.maxDelayMs,
  };
  if (job.options.jitter > 0) view.retry_jitter = job.options.jitter;
  if (job.options.timeoutMs > 0) view.timeout_ms = job.options.timeoutMs;
  setRetries(view, job);
  setUnique(view, job.options);
  set(view, "hostname", job.hostname);
  set(view, "progress", raw(job.progress));
  set(view, "checkpoint", raw(job.checkpoint));
  if (job.result !== undefined) {
    view.result = shownJson(job.result);
    Object.assign(view, resultFacts(job.result));
  }
  set(view, "lease_expires_at", time(job.leaseExpiresAtMs));
  set(view, "expire_at", time(job.expireAtMs));
  set(view, "hold_reason", job.state === "held" ? job.reason : undefined);
  set(view, "dead_reason", job.state === "dead" ? job.reason : undefined);
  set(view, "cancel_reason", job.state === "cancelled" ? job.reason : undefined);
  const next = job.options.chain?.steps.map((step) => step.queue) ?? [];
  if (next.length > 0) view.chain_next = next;
  if (job.options.cascadeCancel) view.cascade_cancel = true;
  if (job.options.dependsOn !== undefined) {
    view.depends_on = [...job.options.dependsOn];
    view.on_dependency_failure = job.options.onDependencyFailure;
  }
  set(view, "schedule", originOf(job));
  set(view, "dead_queue", job.options.deadQueue);
  set(view, "callback_url", job.options.callback?.url);
  set(view, "dead_of", deadOf(id, job));
  const { lane } = job.options;
  if (lane !== undefined) {
    set(view, "limit_key", lane.key);
    set(view, "limit_cost", lane.cost);
    set(view, "resources", lane.resources && Object.fromEntries(lane.resources));
    set(view, "fifo_key", lane.fifo);
    set(view, "group", lane.group);
    set(view, "requires", lane.requires && labelsView(lane.requires));
  }
  if (attempts.length > 0) {
    view.attempts = attempts.map((attempt) => attemptView(id, attempt));
    view.errors = view.attempts.filter((attempt) => attempt.outcome !== "completed");
  }
  return view;
}

/** What was asked about retries beyond the backoff, and what came of it. */
function setRetries(view: JobView, { options, snoozes }: Job): void {
  if (options.jitterMode !== defaultOptions.jitterMode) view.retry_jitter_mode = options.jitterMode;
  if (options.retryForMs > 0) view.retry_for_ms = options.retryForMs;
  if (options.noRetryOn !== undefined) view.no_retry_on = [...options.noRetryOn];
  if (options.lostLeasesMax > 0) view.max_lost_leases = options.lostLeasesMax;
  if (options.snoozesMax !== defaultOptions.snoozesMax) view.max_snoozes = options.snoozesMax;
  if (snoozes > 0) view.snoozes = snoozes;
  set(view, "deadline_at", time(options.deadlineAtMs));
}

/** What was asked about the unique key, where it differs from what a key means by itself. */
function setUnique(view: JobView, options: JobOptions): void {
  if (options.uniqueKey === undefined) return;
  view.unique_period_ms = options.uniqueMs;
  if (options.uniqueScope !== defaultOptions.uniqueScope) view.unique_scope = options.uniqueScope;
  if (options.onConflict !== defaultOptions.onConflict) view.on_conflict = options.onConflict;
  if (options.debounceMs > 0) view.debounce_ms = options.debounceMs;
  if (options.debounceMaxMs > 0) view.debounce_max_ms = options.debounceMaxMs;
  if (options.merge !== defaultOptions.merge) view.merge = options.merge;
}

function attemptView(id: string, attempt: Attempt): AttemptView {
  const view: AttemptView = {
    id: `${id}:${attempt.ordinal}`,
    job_id: id,
    attempt: attempt.attempt,
    outcome: attempt.outcome,
    error: attempt.error ?? "",
    created_at: formatTime(attempt.endedAtMs),
  };
  set(view, "error_class", attempt.errorClass);
  set(view, "backtrace", attempt.backtrace);
  set(view, "output", attempt.output);
  set(view, "worker_id", attempt.workerId);
  set(view, "started_at", time(attempt.startedAtMs));
  return view;
}

export function claimedView(id: string, job: Job): ClaimedView {
  const view: ClaimedView = {
    job_id: id,
    queue: job.queue,
    payload: shownJson(job.payload),
    ...(isPacked(job.payload) ? payloadFacts(job.payload, true) : undefined),
    attempt: job.attempt,
    max_retries: job.options.maxRetries,
    lease_duration: job.leaseMs / 1000,
    lease_token: formatToken(job.token),
    lease_expires_at: formatTime(job.leaseExpiresAtMs),
    priority: job.priority,
    created_at: formatTime(job.createdAtMs),
  };
  if (job.options.timeoutMs > 0) view.timeout_ms = job.options.timeoutMs;
  set(view, "deadline_at", time(job.options.deadlineAtMs));
  set(view, "dead_of", deadOf(id, job));
  set(view, "checkpoint", raw(job.checkpoint));
  set(view, "tags", tagsOf(job));
  set(view, "schedule", originOf(job));
  return view;
}

/** The id of the dead job of which this one, whose id is given, is a copy. */
export function deadOf(id: string, { options }: Job): string | undefined {
  if (options.deadOf === undefined) return undefined;
  const [seq, createdAtMs, shard = parseJobId(id)?.shard ?? 0] = options.deadOf;
  return formatJobId(seq, createdAtMs, shard);
}

/** The schedule that made the job. */
export function originOf(job: Job): { name: string; due_at: string } | undefined {
  const { schedule } = job.options;
  return schedule === undefined
    ? undefined
    : { name: schedule.name, due_at: formatTime(schedule.dueMs) };
}

export function queueView(
  queue: QueueRecord,
  of: {
    readonly oldestPendingMs: number | undefined;
    readonly limit: LimitValues | undefined;
    readonly settings: QueueSettings | undefined;
  },
): QueueView {
  const { counts } = queue;
  const { oldestPendingMs, limit, settings } = of;
  const view: QueueView = {
    name: queue.name,
    paused: queue.paused,
    created_at: formatTime(queue.createdAtMs),
    ...counts,
    enqueued: Object.values(counts).reduce((sum, count) => sum + count, 0),
    failed: counts.dead,
    bytes: queue.bytes ?? 0,
  };
  set(view, "max_bytes", settings?.maxBytes);
  set(view, "keep_bytes", settings?.keepBytes);
  set(view, "max_concurrency", limit?.concurrency);
  set(view, "rate_limit", limit?.rate?.count);
  set(view, "rate_window_ms", limit?.rate?.windowMs);
  if (settings?.draining === true) view.draining = true;
  set(view, "oldest_pending_at", oldestPendingMs === undefined ? undefined : time(oldestPendingMs));
  return view;
}

/** The id of the chain that this job begins. */
export function chainIdOf(jobId: string): string {
  return `chn${jobId.slice("job".length)}`;
}

export function enqueueView(
  id: string,
  result: Exclude<EnqueueResult, { kind: "rejected" }>,
  job: NewJob | undefined,
): EnqueueView {
  const begins = result.kind === "added" && job?.options?.chain !== undefined;
  return {
    ...(begins ? { chain_id: chainIdOf(id) } : {}),
    job_id: id,
    status: enqueueStatus(result),
    unique_existing: result.kind !== "added",
  };
}

export function enqueueStatus(
  result: Exclude<EnqueueResult, { kind: "rejected" }>,
): EnqueueView["status"] {
  if (result.kind !== "added") return result.kind;
  return result.state === "scheduled" || result.state === "held" ? result.state : "pending";
}

/** One item of a batch answer. `okStatus` is the word for success, or the job's new state when not given. */
export function itemView(jobId: string, result: ItemResult, okStatus?: string): ItemView {
  if (result.kind === "rejected") {
    return { job_id: jobId, status: "error", code: result.code, error: result.message };
  }
  return { job_id: jobId, status: okStatus ?? result.state };
}

/** Lease tokens are opaque to clients; base 36 keeps them short. */
export function formatToken(token: number): string {
  return token.toString(36);
}

/** The number behind a token. Text that was never a token gives -1, which is nobody's: it is refused as any wrong one. */
export function parseToken(text: string): number {
  if (!/^[0-9a-z]{1,11}$/.test(text)) return -1;
  const token = Number.parseInt(text, 36);
  return Number.isSafeInteger(token) && token > 0 ? token : -1;
}
