/** Handlers that find jobs. */
import type { ResultOf } from "../api/operation.ts";
import type { Handlers, Operations } from "../api/operations.ts";
import { CorvoError } from "../base/errors.ts";
import { formatTime } from "../base/time.ts";
import { filterLimits } from "../engine/limits.ts";
import type { JobPage, JobPageRequest } from "../engine/query.ts";
import { type ApiFilter, toPageRequest } from "./filter/body.ts";
import type { Node } from "./node.ts";
import { jsonTextOf } from "./packed-values.ts";
import { summaryView } from "./views.ts";

const defaultTextLimit = 50;

/** How long a search goes on behind a page that its budget left short. Others have their turn after each step. */
const patienceMs = 2000;

/** A page that has so many jobs at least, unless there are no more or it takes too long. */
async function pageOfSome(node: Node, request: JobPageRequest, wanted: number): Promise<JobPage> {
  const { clock, search } = node.deps;
  const endMs = clock.monotonicMs() + patienceMs;
  let page = await search.page(request);
  while (
    page.jobs.length < wanted &&
    page.cursor !== undefined &&
    page.jobs.length < request.limit &&
    clock.monotonicMs() < endMs
  ) {
    const { jobs, reach } = page;
    const limit = request.limit - jobs.length;
    const next = await search.page({ ...request, limit, cursor: page.cursor });
    page = {
      ...next,
      jobs: [...jobs, ...next.jobs],
      reach: { ...next.reach, scanned: reach.scanned + next.reach.scanned },
    };
  }
  return page;
}

/** A page of the jobs that match. */
export async function searchJobs(
  node: Node,
  filter: ApiFilter,
): Promise<ResultOf<Operations["searchJobs"]>> {
  const startedMs = node.deps.clock.monotonicMs();
  const { request, writeCursor, shown } = toPageRequest(filter, node.filterEnv);
  const page = await pageOfSome(node, request, 1);
  return {
    jobs: page.jobs.map((job) => summaryView(node.idOf(job), job)),
    total: page.total,
    total_exact: page.totalExact,
    ...(page.cursor === undefined ? {} : { cursor: writeCursor(page.cursor) }),
    has_more: page.cursor !== undefined,
    ...reachView(node, page),
    filter: shown,
    duration_ms: Math.round(node.deps.clock.monotonicMs() - startedMs),
  };
}

type SearchHandlers = Pick<Handlers, "searchJobs" | "listJobs" | "searchText">;

export function createSearchHandlers(node: Node): SearchHandlers {
  return {
    listJobs: ({ query: { consistency: _, ...filter } }) => searchJobs(node, filter),
    searchJobs: ({ body }) => searchJobs(node, body),
    async searchText({ query }) {
      const words = wordsOf(query.q);
      const limit = query.limit ?? defaultTextLimit;
      const request = { filter: { words }, sort: "created_at", descending: true, limit } as const;
      const page = await pageOfSome(node, request, limit);
      return {
        q: query.q,
        results: page.jobs.map((job) => ({
          id: node.idOf(job),
          queue: job.queue,
          state: job.state,
          payload: jsonTextOf(job.payload),
          tags: job.options.tags ?? "{}",
          created_at: formatTime(job.createdAtMs),
        })),
        total: page.total,
        total_exact: page.totalExact,
        ...reachView(node, page),
      };
    },
  };
}

/** How far an answer reaches. */
function reachView(node: Node, { reach }: JobPage) {
  const { indexed, scanned, textThrough } = reach;
  return {
    indexed,
    scanned,
    ...(textThrough === undefined ? {} : { indexed_through: node.idOf(textThrough) }),
  };
}

/** What stands between quotes is one word; so is everything between blanks. */
function wordsOf(text: string): string[] {
  const words = [...text.matchAll(/"([^"]+)"|(\S+)/g)].map(
    ([, quoted, plain]) => quoted ?? plain ?? "",
  );
  const found = words.filter((word) => word.trim() !== "");
  if (found.length > 0) return found.slice(0, filterLimits.partsMax);
  throw new CorvoError("SEARCH_ERROR", "q: there is no word to search for");
}
