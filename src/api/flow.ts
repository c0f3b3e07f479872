/** Operations on what holds jobs together: chains, parents. */
import { Type } from "@sinclair/typebox";
import { consistencyWith, readOperation } from "./operation.ts";
import { pageQuery } from "./page.ts";
import { JobId } from "./schemas.ts";
import { JobPage } from "./search.ts";

/** A job of a group as far as it is known: one that retention removed has no state any more. */
export const GroupJob = {
  job_id: Type.String(),
  queue: Type.Optional(Type.String()),
  /** State of the job, or `removed`. */
  state: Type.String(),
};

const Chain = Type.Object({
  id: Type.String(),
  /** running, completed, exited (ended early by a worker), failed, cancelled */
  state: Type.String(),
  reason: Type.Optional(Type.String()),
  created_at: Type.String(),
  finished_at: Type.Optional(Type.String()),
  steps_total: Type.Integer(),
  /** The step that runs, or the last that did. */
  current_step: Type.Integer(),
  steps: Type.Array(
    Type.Object({
      step: Type.Integer(),
      ...GroupJob,
      /** Absent while the step has not begun; its state is then `waiting`. */
      job_id: Type.Optional(Type.String()),
    }),
  ),
  exit_job: Type.Optional(Type.Object(GroupJob)),
  failure_job: Type.Optional(Type.Object(GroupJob)),
});

export const flowOperations = {
  getChain: readOperation({
    method: "GET",
    path: "/api/v1/chains/{chain_id}",
    tag: "flow",
    placement: "job",
    summary: "A chain: its steps with their jobs and states",
    params: Type.Object({ chain_id: Type.String({ description: "Chain id.", maxLength: 64 }) }),
    result: Chain,
    errors: ["NOT_FOUND"],
  }),
  listChildren: readOperation({
    method: "GET",
    path: "/api/v1/jobs/{job_id}/children",
    tag: "flow",
    placement: "job",
    summary: "The jobs whose parent is this one, oldest first",
    params: Type.Object({ job_id: JobId }),
    query: Type.Object({
      ...pageQuery,
      consistency: consistencyWith("strong"),
    }),
    result: JobPage,
    errors: ["NOT_FOUND", "SEARCH_ERROR"],
  }),
};
