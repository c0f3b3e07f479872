/** Handlers that find jobs. */
import type { ResultOf } from "../api/operation.ts";
import type { Handlers, Operations } from "../api/operations.ts";
import { formatTime } from "../base/time.ts";
import { type ApiFilter, toPageRequest } from "./filter.ts";
import type { Node } from "./node.ts";
import { jsonTextOf } from "./packed-values.ts";
import { summaryView } from "./views.ts";

const defaultTextLimit = 50;

/** A page of the jobs that match. */
export async function searchJobs(
  node: Node,
  filter: ApiFilter,
): Promise<ResultOf<Operations["searchJobs"]>> {
  const startedMs = node.deps.clock.monotonicMs();
  const page = await node.deps.search.page(toPageRequest(filter, node.options.shard));
  return {
    jobs: page.jobs.map((job) => summaryView(node.idOf(job), job)),
    total: page.total,
    total_exact: page.totalExact,
    ...(page.cursor === undefined ? {} : { cursor: page.cursor }),
    has_more: page.cursor !== undefined,
    duration_ms: Math.round((node.deps.clock.monotonicMs() - startedMs) * 1000) / 1000,
  };
}

export function createSearchHandlers(node: Node): Pick<Handlers, "searchJobs" | "searchText"> {
  return {
    searchJobs: ({ body }) => searchJobs(node, body),
    async searchText({ query }) {
      const jobs = await node.deps.search.text(query.q, query.limit ?? defaultTextLimit);
      return {
        q: query.q,
        results: jobs.map((job) => ({
          id: node.idOf(job),
          queue: job.queue,
          state: job.state,
          payload: jsonTextOf(job.payload),
          tags: job.options.tags ?? "{}",
          created_at: formatTime(job.createdAtMs),
        })),
      };
    },
  };
}
