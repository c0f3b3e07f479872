/**
 * Operations that explain: why a job does not run, why a queue gives nothing. A cause is one sentence for people, and a code
 * with members for programs; codes are never renamed.
 */
import { Type } from "@sinclair/typebox";
import { Limit } from "./limiting.ts";
import { readOperation } from "./operation.ts";
import { JobId, Labels, QueueName } from "./schemas.ts";

const Count = Type.Optional(Type.Integer());
const Text = Type.Optional(Type.String());

export const Cause = Type.Object({
  code: Type.String({
    description:
      "Of a job: finished, active, held, due, dependency, expired, unique_key, fifo_key, requires, in_line. Of a queue: empty, jobs_waiting, queue_draining. Of both: queue_paused, limit_full, limit_rate, limit_paused, no_worker, draining, read_only, no_leader.",
  }),
  message: Type.String(),
  /** Another job that is meant: the dependency, the holder of a key. */
  job_id: Text,
  /** Of that job, or of the jobs that are meant. */
  state: Text,
  /** Where that job is, when it is in another shard. */
  shard: Count,
  reason: Text,
  worker_id: Text,
  /** When it ends, if that is known. */
  until: Text,
  /** The limit that stops it, with what is in force and in use. */
  limit: Type.Optional(Limit),
  /** Units of the limit that the job needs. */
  needs: Count,
  /** Active jobs that hold the limit's units, the oldest first; at most five. */
  held_by: Type.Optional(Type.Array(Type.String())),
  fifo_key: Text,
  unique_key: Text,
  group: Text,
  /** Labels that a worker must have. */
  requires: Type.Optional(Labels),
  /** Jobs that go first. */
  ahead: Count,
  /** How many jobs of the queue this is true of. */
  jobs: Count,
});

export const StartEstimate = Type.Object({
  basis: Type.String({
    description:
      "now: it is being handed out, or runs. worker: as soon as a worker asks. time: not before `at`, which is exact. rate: about `at`, from its place in line and how fast the queue was claimed in the last minute, or the rate that it waits for. never: it is finished, or its time ends before. unknown.",
  }),
  at: Text,
  /** Claims per second that `rate` was reckoned with, where no limit tells the rate. */
  claims_per_second: Type.Optional(Type.Number()),
});

const common = {
  /** The first cause, or that there is none. */
  summary: Type.String(),
  /** What stops it, the most lasting first; empty when nothing does. */
  causes: Type.Array(Cause),
  /** True when the asked node answered with what it has, which may be behind. */
  stale: Type.Boolean(),
};

export const explainOperations = {
  explainJob: readOperation({
    method: "GET",
    path: "/api/v1/jobs/{job_id}/explain",
    tag: "jobs",
    placement: "job",
    summary: "Why a job does not run, and when it may",
    params: Type.Object({ job_id: JobId }),
    result: Type.Object({
      job_id: Type.String(),
      queue: Type.String(),
      state: Type.String(),
      ...common,
      starts: StartEstimate,
    }),
    errors: ["NOT_FOUND"],
    answersAlone: true,
  }),
  explainQueue: readOperation({
    method: "GET",
    path: "/api/v1/queues/{name}/explain",
    tag: "queues",
    placement: "queue",
    summary: "Why a queue gives no jobs, or that it does",
    params: Type.Object({ name: QueueName }),
    result: Type.Object({
      queue: Type.String(),
      ...common,
      /** The job that the next claim gets. */
      next_job_id: Text,
      /** Jobs that are ready, and how many of them nothing stops. */
      ready: Type.Integer(),
      open: Type.Integer(),
      active: Type.Integer(),
      waiting_workers: Type.Optional(Type.Integer()),
      claims_per_second: Type.Optional(Type.Number()),
    }),
    errors: ["NOT_FOUND"],
    answersAlone: true,
  }),
};
