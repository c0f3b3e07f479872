/** Finding jobs. Lists are pages by creation time; bodies of finished work never slow a claim, since reads have their own thread. */
import { Type } from "@sinclair/typebox";
import { requestLimits as limits } from "./limits.ts";
import { consistencyWith, readOperation } from "./operation.ts";
import { JobSummary, Maybe, State, Tags, Time } from "./schemas.ts";

const Text = (description: string) => Maybe(Type.String({ description, maxLength: 1024 }));

const pageLimit = `Rows of the page, default 50, at most ${limits.pageRowsMax}.`;

const textFilter = `Filter as text, such as state:dead tag.env:prod created<2h "time out"; docs/reference/filters.md has all of it. What the other members say must hold besides.`;

const Sort = Type.Union(
  ["created_at", "priority", "started_at", "completed_at", "attempt"].map((key) =>
    Type.Literal(key),
  ),
);
const Order = Type.Union([Type.Literal("asc"), Type.Literal("desc")]);
const Cursor = Type.String({
  description: "Where the previous page ended.",
  maxLength: limits.cursorLengthMax,
});

export const Filter = Type.Object({
  q: Maybe(Type.String({ description: textFilter, maxLength: limits.filterTextMax })),
  queue: Text("Exact queue name."),
  state: Maybe(Type.Array(State, { maxItems: 8 })),
  priority: Maybe(Type.Union([Type.String({ maxLength: 16 }), Type.Integer()])),
  tags: Maybe(Tags),
  payload_contains: Text("Text that occurs in the payload."),
  error_contains: Text("Text that occurs in an error of the job."),
  payload_jq: Maybe(
    Type.String({
      description:
        'Condition on the payload in a small part of jq: .a.b == 5, .a | startswith("x"), .a | contains("x"), .a | length > 2.',
      maxLength: 1024,
    }),
  ),
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
  sort: Maybe(Sort),
  order: Maybe(Order),
  limit: Maybe(Type.Integer({ description: pageLimit })),
  cursor: Maybe(Cursor),
});

/** How an answer was found. */
const reach = {
  /** False when a condition or the order was tested on rows one by one, of which one call looks at a bounded number. */
  indexed: Type.Boolean(),
  /** Index entries and rows that were looked at. */
  scanned: Type.Integer(),
  /** Of a search for text: id of the newest job in the index of texts. Newer ones were looked at one by one. */
  indexed_through: Type.Optional(Type.String()),
};

export const JobPage = Type.Object({
  jobs: Type.Array(JobSummary),
  /** Jobs that match. Exact when `total_exact`; otherwise at least this many. */
  total: Type.Integer(),
  total_exact: Type.Boolean(),
  cursor: Type.Optional(Type.String()),
  has_more: Type.Boolean(),
  ...reach,
  /** The filter as it was understood, as text for `q`. */
  filter: Type.String(),
  duration_ms: Type.Integer(),
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
    errors: ["SEARCH_ERROR"],
  }),
  listJobs: readOperation({
    method: "GET",
    path: "/api/v1/jobs",
    tag: "search",
    placement: "parts",
    summary: "Find jobs by a filter as text",
    query: Type.Object({
      q: Type.Optional(Type.String({ description: textFilter, maxLength: limits.filterTextMax })),
      sort: Type.Optional(Sort),
      order: Type.Optional(Order),
      limit: Type.Optional(
        Type.Integer({ minimum: 1, maximum: limits.pageRowsMax, description: pageLimit }),
      ),
      cursor: Type.Optional(Cursor),
      consistency: consistencyWith("strong"),
    }),
    result: JobPage,
    errors: ["SEARCH_ERROR"],
  }),
  searchText: readOperation({
    ignoresUnknown: true,
    method: "GET",
    path: "/api/v1/search/fulltext",
    tag: "search",
    placement: "parts",
    summary:
      "Jobs that contain all these words in their queue, payload, tags or errors, the newest first",
    query: Type.Object({
      q: Type.String({
        minLength: 1,
        maxLength: 1024,
        description:
          "Words, of which each must occur, in any case; several between quotes are one.",
      }),
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
      total: Type.Integer(),
      total_exact: Type.Boolean(),
      ...reach,
    }),
    errors: ["SEARCH_ERROR"],
  }),
};
