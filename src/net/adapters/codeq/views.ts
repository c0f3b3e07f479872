/** Our jobs as codeQ's tasks and results. */
import type { InputOf, ResultOf } from "../../../api/operation.ts";
import type { Operations } from "../../../api/operations.ts";
import { RawJson } from "../../../base/json.ts";
import type { codeqRows } from "./calls.ts";

export type JobView = ResultOf<Operations["getJob"]>;
type ClaimedView = ResultOf<Operations["fetchJobs"]>["jobs"][number];
export type TaskView = ResultOf<typeof codeqRows.create>;
type ResultView = ResultOf<typeof codeqRows.result>;
type ResultBody = InputOf<typeof codeqRows.result>["body"];
type Artifacts = NonNullable<ResultView["artifacts"]>;

const statusOf: Readonly<Record<string, string>> = {
  active: "IN_PROGRESS",
  completed: "COMPLETED",
  dead: "FAILED",
  cancelled: "FAILED",
};

export function taskOf(job: JobView): TaskView {
  const error = job.errors?.at(-1)?.error;
  return {
    id: job.id,
    command: job.queue,
    payload: payloadText(job.payload),
    priority: 9 - job.priority,
    ...(job.callback_url === undefined ? {} : { webhook: job.callback_url }),
    status: statusOf[job.state] ?? "PENDING",
    ...(job.state === "active" && job.worker_id !== undefined ? { workerId: job.worker_id } : {}),
    ...(job.lease_expires_at === undefined ? {} : { leaseUntil: job.lease_expires_at }),
    attempts: job.attempt,
    maxAttempts: job.max_retries,
    ...(error === undefined ? {} : { error }),
    createdAt: job.created_at,
    updatedAt: lastOf(job.created_at, job.started_at, job.failed_at, job.completed_at),
  };
}

export function claimedTask(job: ClaimedView, workerId: string, nowText: string): TaskView {
  return {
    id: job.job_id,
    command: job.queue,
    payload: payloadText(job.payload),
    priority: 9 - job.priority,
    status: "IN_PROGRESS",
    workerId,
    leaseUntil: job.lease_expires_at,
    attempts: job.attempt,
    maxAttempts: job.max_retries,
    createdAt: job.created_at,
    updatedAt: nowText,
  };
}

/** A payload of bytes is null in JSON, which is no value any more when it comes from another node. */
function payloadText(payload: RawJson | null): string {
  return payload?.text ?? "null";
}

/** Undefined while the job has not ended. */
export function resultOf(job: JobView): ResultView | undefined {
  const task = taskOf(job);
  if (task.status !== "COMPLETED" && task.status !== "FAILED") return undefined;
  const isDone = task.status === "COMPLETED";
  const artifacts = isDone ? artifactsIn(job.result) : undefined;
  const error = task.error ?? job.dead_reason ?? job.cancel_reason;
  return {
    taskId: job.id,
    status: task.status,
    ...(isDone && job.result !== undefined ? { result: job.result } : {}),
    ...(isDone || error === undefined ? {} : { error }),
    ...(artifacts === undefined ? {} : { artifacts }),
    completedAt: lastOf(task.updatedAt, job.cancelled_at),
  };
}

const artifactsMember = "_artifacts";

/** Artifacts are a member of the result, which stays the text that was sent otherwise. */
export function resultWith({ result, artifacts }: ResultBody): RawJson | undefined {
  if (artifacts == null || artifacts.length === 0) return result ?? undefined;
  const kept = JSON.stringify(artifacts, (_, value) => value ?? undefined);
  const member = `${JSON.stringify(artifactsMember)}:${kept}`;
  const text = result?.text.trim() ?? "{}";
  if (!text.startsWith("{")) return new RawJson(`{"result":${text},${member}}`);
  const inner = text.slice(1, -1).trim();
  return new RawJson(inner === "" ? `{${member}}` : `{${inner},${member}}`);
}

function artifactsIn(result: RawJson | undefined): Artifacts | undefined {
  if (result?.text.includes(artifactsMember) !== true) return undefined;
  const parsed = result.parse() as Record<string, unknown> | null;
  const found = parsed?.[artifactsMember];
  return Array.isArray(found) ? (found as Artifacts) : undefined;
}

/** Times of the same form, so the greatest text is the last. */
function lastOf(first: string, ...others: (string | undefined)[]): string {
  return others.reduce<string>(
    (last, next) => (next !== undefined && next > last ? next : last),
    first,
  );
}
