/** Handlers of bulk actions. Those in the background are records; what is told of them is read from there. */

import { type ResultOf, Streamed } from "../api/operation.ts";
import type { Handlers, Operations } from "../api/operations.ts";
import { CorvoError } from "../base/errors.ts";
import { formatTime } from "../base/time.ts";
import type { Bulk } from "../engine/bulk.ts";
import { BulkOperations } from "./bulk.ts";
import { bulkEvents } from "./bulk-events.ts";
import { printStored } from "./filter/body.ts";
import { type Node, shorten } from "./node.ts";
import { type Listing, pageOf } from "./page.ts";

export type BulkView = ResultOf<Operations["getBulk"]>;

/** Newest first. */
export const bulkListing: Listing<BulkView> = {
  list: "bulk",
  placeOf: ({ created_at, id }) => `${created_at} ${id}`,
  isReverse: true,
};

export function createBulkHandlers(
  node: Node,
): Pick<Handlers, "bulkJobs" | "listBulks" | "getBulk" | "cancelBulk" | "bulkProgress"> {
  const bulk = new BulkOperations(node);
  const records = () => node.replica.engine.state.records("bulk");
  const view = (id: string): BulkView => {
    const found = records().get(id);
    if (found === undefined) throw noBulk(id);
    return bulkView(id, found, node.options.shard);
  };
  return {
    bulkJobs: ({ body }) => bulk.run(body),
    getBulk: async ({ params }) => view(params.id),
    async cancelBulk({ params }) {
      await node.propose({ kind: "endBulk", id: params.id }, 128);
      return view(params.id);
    },
    async listBulks({ query }) {
      const { status } = query;
      const found = [...records().entries()]
        .filter(([, { state }]) => status === undefined || state === status)
        .map(([id, one]) => bulkView(id, one, node.options.shard));
      const { rows, end } = pageOf(bulkListing, query, found);
      return { bulk_operations: rows, total: found.length, ...end };
    },
    async bulkProgress({ params }, { signal }) {
      const { id } = params;
      view(id);
      return new Streamed(
        bulkEvents({
          view: async () => view(id),
          watch: (changed) => node.watchBulk(id, changed),
          timers: node.deps.timers,
          signal,
        }),
      );
    },
  };
}

export function noBulk(id: string): CorvoError {
  return new CorvoError("NOT_FOUND", `no bulk action "${shorten(id)}"`);
}

function bulkView(id: string, bulk: Bulk, shard: number): BulkView {
  const { processed, affected, error, startedAtMs, updatedAtMs, finishedAtMs } = bulk;
  return {
    id,
    status: bulk.state,
    action: bulk.action === "changePriority" ? "change_priority" : bulk.action,
    ...(bulk.filter === undefined ? {} : { filter: printStored(bulk.filter, shard) }),
    total: bulk.total,
    total_exact: bulk.totalExact,
    ...{ processed, affected, skipped: processed - affected, errors: 0 },
    ...(error === undefined ? {} : { error }),
    created_at: formatTime(startedAtMs),
    updated_at: formatTime(updatedAtMs),
    ...(finishedAtMs === 0 ? {} : { finished_at: formatTime(finishedAtMs) }),
  };
}
