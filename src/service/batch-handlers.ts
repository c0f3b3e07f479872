/** Handlers of batches. */
import type { ResultOf } from "../api/operation.ts";
import type { Handlers, Operations } from "../api/operations.ts";
import { CorvoError } from "../base/errors.ts";
import { type ParsedJobId, parseGroupId } from "../base/ids.ts";
import { formatTime } from "../base/time.ts";
import type { JobBatch } from "../engine/batches.ts";
import { refView } from "./flow-handlers.ts";
import { toOpenBatch } from "./new-batch.ts";
import { type Node, shorten } from "./node.ts";
import { enqueue } from "./worker-handlers.ts";

type BatchView = ResultOf<Operations["getBatch"]>;

interface Found {
  readonly seq: number;
  readonly batch: JobBatch;
}

export const defaultBatchesPage = 100;

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
      const before = query.before === undefined ? undefined : parseBound(query.before);
      const all: Found[] = [];
      for (const [key, batch] of node.replica.engine.state.records("batch").entries()) {
        if (query.state !== undefined && batch.state !== query.state) continue;
        all.push({ seq: Number(key), batch });
      }
      const page = all.filter((found) => before === undefined || isBefore(node, found, before));
      page.sort((one, other) => other.seq - one.seq);
      const limit = query.limit ?? defaultBatchesPage;
      return {
        batches: page.slice(0, limit).map((found) => batchView(node, found)),
        total: all.length,
        has_more: page.length > limit,
      };
    },
  };
}

function parseBound(id: string): ParsedJobId {
  const parsed = parseGroupId("batch", id);
  if (parsed === undefined) {
    throw new CorvoError("VALIDATION_ERROR", `before: "${shorten(id)}" is not the id of a batch`);
  }
  return parsed;
}

/** As the texts of the ids compare, whichever shard they name. */
function isBefore(node: Node, { seq, batch }: Found, bound: ParsedJobId): boolean {
  const { shard } = node.options;
  if (batch.createdAtMs !== bound.createdAtMs) return batch.createdAtMs < bound.createdAtMs;
  return shard === bound.shard ? seq < bound.seq : shard < bound.shard;
}

function findBatch(node: Node, id: string): Found {
  const parsed = parseGroupId("batch", id);
  const batch =
    parsed?.shard === node.options.shard
      ? node.replica.engine.state.records("batch").get(String(parsed.seq))
      : undefined;
  // The whole id must match: a guessed number is not an id.
  if (parsed === undefined || batch?.createdAtMs !== parsed.createdAtMs) {
    throw new CorvoError("NOT_FOUND", `no batch "${shorten(id)}"`);
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
