/** Finding jobs. Lists are pages by creation time; bodies of finished work never slow a claim, since reads have their own thread. */
import { Type } from "@sinclair/typebox";
import { requestLimits as limits } from "./limits.ts";
import { consistencyWith, readOperation } from "./operation.ts";
import { JobSummary, Maybe, State, Tags, Time } from "./schemas.ts";

const Text = (description: string) => Maybe(Type.String({ description, maxLength: 1024 }));

const pageLimit = `Rows of the page, default 50, at most ${limits.pageRowsMax}.`;

export const Filter = Type.Object({
  queue: Text("Exact queue name."),
  state: Maybe(Type.Array(State, { maxItems: 8 })),
  priority: Maybe(Type.Union([Type.String({ maxLength: 16 }), Type.Integer()])),
  tags: Maybe(Tags),
  payload_contains: Text("Text that occurs in the payload."),
  error_contains: Text("Text that occurs in an error of the job."),
  created_after: Maybe(Time),
  created_before: Maybe(Time),
  scheduled_after: Maybe(Time),
  scheduled_before: Maybe(Time),
  started_after: Maybe(Time),
  started_before: Maybe(Time),
  completed_after: Maybe(Time),
  completed_before: Maybe(Time),
  expire_after: Maybe(Time),
  expire_before: Maybe(Time),
  attempt_min: Maybe(Type.Integer()),
  attempt_max: Maybe(Type.Integer()),
  unique_key: Text("Exact unique key."),
  worker_id: Text("Exact worker id of the last attempt."),
  parent_id: Text("Exact id of the parent job."),
  batch_id: Text("Exact id of the batch that the job is counted in."),
  chain_id: Text("Exact id of the chain that the job is a step of."),
  has_errors: Maybe(Type.Boolean()),
  error_group: Text("Id of the group of the job's last error; from the groups of dead jobs."),
  job_id_prefix: Text("First characters of the job id."),
  sort: Maybe(
    Type.Union(
      ["created_at", "priority", "started_at", "completed_at", "attempt"].map((key) =>
        Type.Literal(key),
      ),
    ),
  ),
  order: Maybe(Type.Union([Type.Literal("asc"), Type.Literal("desc")])),
  limit: Maybe(Type.Integer({ description: pageLimit })),
  cursor: Maybe(
    Type.String({
      description: "Where the previous page ended.",
      maxLength: limits.cursorLengthMax,
    }),
  ),
});

export const JobPage = Type.Object({
  jobs: Type.Array(JobSummary),
  /** Jobs that match. Exact when `total_exact`; otherwise at least this many. */
  total: Type.Integer(),
  total_exact: Type.Boolean(),
  cursor: Type.Optional(Type.String()),
  has_more: Type.Boolean(),
  duration_ms: Type.Number(),
});

export const searchOperations = {
  searchJobs: readOperation({
    ignoresUnknown: true,
    method: "POST",
    path: "/api/v1/jobs/search",
    tag: "search",
    placement: "parts",
    summary: "Find jobs by state, queue, time, tags, text and more",
    body: Filter,
    bodyOptional: true,
    result: JobPage,
    errors: ["SEARCH_ERROR", "UNSUPPORTED"],
  }),
  searchText: readOperation({
    ignoresUnknown: true,
    method: "GET",
    path: "/api/v1/search/fulltext",
    tag: "search",
    placement: "parts",
    summary: "Jobs whose queue, payload or tags contain the text",
    query: Type.Object({
      q: Type.String({ minLength: 1, maxLength: 1024 }),
      limit: Type.Optional(Type.Number({ minimum: 1, maximum: 500 })),
      consistency: consistencyWith("strong"),
    }),
    result: Type.Object({
      q: Type.String(),
      results: Type.Array(
        Type.Object({
          id: Type.String(),
          queue: Type.String(),
          state: State,
          payload: Type.String(),
          tags: Type.String(),
          created_at: Type.String(),
        }),
      ),
    }),
    errors: ["SEARCH_ERROR"],
  }),
};
