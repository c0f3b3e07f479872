/** Operations on single jobs. */
import { Type } from "@sinclair/typebox";
import { requestLimits as limits } from "./limits.ts";
import { operation, readOperation } from "./operation.ts";
import { Job, JobId, Maybe, QueueName, Status } from "./schemas.ts";

const JobParams = Type.Object({ job_id: JobId });

const action = (name: string, summary: string) => ({
  method: "POST" as const,
  path: `/api/v1/jobs/{job_id}/${name}`,
  tag: "jobs" as const,
  placement: "job" as const,
  summary,
  params: JobParams,
  result: Status,
});

const Reason = Type.Object({
  reason: Maybe(Type.String({ description: "Shown with the job.", maxLength: 1024 })),
});

export const jobOperations = {
  getJob: readOperation({
    ignoresUnknown: true,
    method: "GET",
    path: "/api/v1/jobs/{job_id}",
    tag: "jobs",
    placement: "job",
    summary: "One job with its attempts",
    params: JobParams,
    result: Job,
    errors: ["NOT_FOUND"],
  }),
  waitJob: operation({
    method: "GET",
    path: "/api/v1/jobs/{job_id}/wait",
    tag: "jobs",
    placement: "job",
    summary:
      "The job as soon as it is completed, dead or cancelled, or as it is when the time is over",
    params: JobParams,
    query: Type.Object({
      timeout: Type.Optional(
        Type.Number({
          description: "Seconds to wait, default 30, at most 60.",
          minimum: 0,
          maximum: 60,
        }),
      ),
    }),
    result: Job,
    errors: ["NOT_FOUND"],
    waits: true,
  }),
  deleteJob: operation({
    method: "DELETE",
    path: "/api/v1/jobs/{job_id}",
    tag: "jobs",
    placement: "job",
    summary: "Remove a job in any state",
    params: JobParams,
    result: Status,
    errors: ["NOT_FOUND"],
  }),
  retryJob: operation({
    ...action("retry", "Run a finished or waiting job now, with its attempts counted from zero"),
    errors: ["RETRY_ERROR", "NOT_FOUND"],
  }),
  cancelJob: operation({
    ...action("cancel", "Cancel a job; the worker of an active one is told"),
    errors: ["CANCEL_ERROR", "NOT_FOUND"],
  }),
  moveJob: operation({
    ...action("move", "Move a job to another queue"),
    body: Type.Object({ queue: QueueName }),
    errors: ["MOVE_ERROR", "NOT_FOUND"],
  }),
  holdJob: operation({
    ...action("hold", "Keep a job from running until it is approved"),
    body: Reason,
    bodyOptional: true,
    errors: ["HOLD_ERROR", "NOT_FOUND"],
  }),
  approveJob: operation({
    ...action("approve", "Let a held job run"),
    errors: ["APPROVE_ERROR", "NOT_FOUND"],
  }),
  rejectJob: operation({
    ...action("reject", "Send a held job to dead"),
    body: Reason,
    bodyOptional: true,
    errors: ["REJECT_ERROR", "NOT_FOUND"],
  }),
  bulkGetJobs: readOperation({
    method: "POST",
    path: "/api/v1/jobs/bulk-get",
    tag: "jobs",
    placement: "parts",
    summary: "Many jobs by id; unknown ids are left out",
    body: Type.Object({ job_ids: Type.Array(JobId, { maxItems: limits.bulkGetMax }) }),
    result: Type.Object({ jobs: Type.Array(Job) }),
  }),
};
