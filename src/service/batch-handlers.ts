/** Handlers of batches. */
import type { ResultOf } from "../api/operation.ts";
import type { Handlers, Operations } from "../api/operations.ts";
import { CorvoError } from "../base/errors.ts";
import { parseGroupId } from "../base/ids.ts";
import { formatTime } from "../base/time.ts";
import type { JobBatch } from "../engine/batches.ts";
import { refView } from "./flow-handlers.ts";
import { toOpenBatch } from "./new-batch.ts";
import { goneHint, type Node, shorten } from "./node.ts";
import { type Listing, pageOf } from "./page.ts";
import { enqueue } from "./worker-handlers.ts";

type BatchView = ResultOf<Operations["getBatch"]>;

interface Found {
  readonly seq: number;
  readonly batch: JobBatch;
}

/** Newest first: ids begin with the time of creation. */
export const batchListing: Listing<{ readonly id: string }> = {
  list: "batches",
  placeOf: ({ id }) => id,
  isReverse: true,
};

export function createBatchHandlers(
  node: Node,
): Pick<Handlers, "createBatch" | "listBatches" | "getBatch" | "sealBatch" | "cancelBatch"> {
  const view = (id: string) => batchView(node, findBatch(node, id));
  return {
    async createBatch({ body }) {
      const batch = toOpenBatch(body, node.options.shard);
      const begun = (await enqueue(node, { jobs: [], batch }, body.idempotency_key)).batch;
      if (begun === undefined) throw new Error("a call that begins a batch tells it");
      return { batch_id: node.batchIdOf(begun) };
    },
    getBatch: async ({ params }) => view(params.batch_id),
    async sealBatch({ params }) {
      const { seq } = findBatch(node, params.batch_id);
      await node.propose({ kind: "sealBatch", batch: seq }, 64);
      return view(params.batch_id);
    },
    async cancelBatch({ params, body }) {
      const { seq } = findBatch(node, params.batch_id);
      const reason = body.reason == null ? {} : { reason: body.reason };
      await node.propose({ kind: "cancelBatch", batch: seq, ...reason }, 256);
      return view(params.batch_id);
    },
    async listBatches({ query }) {
      const all: Found[] = [];
      for (const [key, batch] of node.replica.engine.state.records("batch").entries()) {
        if (query.state !== undefined && batch.state !== query.state) continue;
        all.push({ seq: Number(key), batch });
      }
      const placeOf = ({ seq, batch }: Found) => node.batchIdOf([seq, batch.createdAtMs]);
      const { rows, end } = pageOf({ ...batchListing, placeOf }, query, all);
      return { batches: rows.map((found) => batchView(node, found)), total: all.length, ...end };
    },
  };
}

function findBatch(node: Node, id: string): Found {
  const parsed = parseGroupId("batch", id);
  const batch =
    parsed?.shard === node.options.shard
      ? node.replica.engine.state.records("batch").get(String(parsed.seq))
      : undefined;
  // The whole id must match: a guessed number is not an id.
  if (parsed === undefined || batch?.createdAtMs !== parsed.createdAtMs) {
    throw new CorvoError("NOT_FOUND", `no batch "${shorten(id)}"`, { hint: goneHint });
  }
  return { seq: parsed.seq, batch };
}

function batchView(node: Node, { seq, batch }: Found): BatchView {
  const { state, total, pending, completed, dead, cancelled } = batch;
  const view: BatchView = {
    id: node.batchIdOf([seq, batch.createdAtMs]),
    state,
    created_at: formatTime(batch.createdAtMs),
    total,
    pending,
    completed,
    dead,
    cancelled,
  };
  if (batch.name !== undefined) view.name = batch.name;
  if (batch.reason !== undefined) view.reason = batch.reason;
  if (batch.sealAtMs > 0) view.seal_at = formatTime(batch.sealAtMs);
  if (batch.finishedAtMs > 0) view.finished_at = formatTime(batch.finishedAtMs);
  const [success, failure, complete] = [batch.successJob, batch.failureJob, batch.completeJob].map(
    (ref) => refView(node, ref),
  );
  if (success !== undefined) view.success_job = success;
  if (failure !== undefined) view.failure_job = failure;
  if (complete !== undefined) view.complete_job = complete;
  return view;
}
