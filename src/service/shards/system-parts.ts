/** What the shards are together: their queues, their counts, and whether the node can serve. */

import { type CallContext, type Handlers, Reply } from "../../api/operations.ts";
import { must } from "../../base/assert.ts";
import { batchListing } from "../batch-handlers.ts";
import type { EventFeed } from "../event-feed.ts";
import { limitListing } from "../limit-handlers.ts";
import { pageOf } from "../page.ts";
import { feedView } from "../system-handlers.ts";
import { fillIn } from "./group-parts.ts";
import type { AnswerFor, InputFor, ResultFor, ShardCalls } from "./shard-calls.ts";

type StatusView = ResultFor<"status">;

/** Counts that add up over the shards. */
const sums = [
  "queues",
  "queues_paused",
  "applied_index",
  "checkpoint_index",
  "state_bytes",
  "pending_proposals",
  "waiting_workers",
] as const satisfies readonly (keyof StatusView)[];

export function createSystemParts(
  calls: ShardCalls,
  events: EventFeed,
): Pick<
  Handlers,
  | "listQueues"
  | "listLimits"
  | "listBatches"
  | "listWorkers"
  | "quietWorker"
  | "stopWorker"
  | "resumeWorker"
  | "status"
  | "health"
  | "ready"
> {
  return {
    async listQueues(
      input: InputFor<"listQueues">,
      context: CallContext,
    ): Promise<ResultFor<"listQueues">> {
      const parts = await Promise.all(
        calls.all.map((shard) => calls.body(shard, "listQueues", input, context)),
      );
      return parts.flat().sort((one, other) => (one.name < other.name ? -1 : 1));
    },

    async listLimits(
      input: InputFor<"listLimits">,
      context: CallContext,
    ): Promise<ResultFor<"listLimits">> {
      const parts = await Promise.all(
        calls.all.map((shard) => calls.body(shard, "listLimits", input, context)),
      );
      const found = parts.flatMap(({ limits }) => limits);
      const hasMore = parts.some(({ has_more }) => has_more);
      const { rows, end } = pageOf(limitListing, input.query, found, hasMore);
      return { limits: rows, ...end };
    },

    async listBatches(
      input: InputFor<"listBatches">,
      context: CallContext,
    ): Promise<ResultFor<"listBatches">> {
      const parts = await Promise.all(
        calls.all.map((shard) => calls.body(shard, "listBatches", input, context)),
      );
      const found = parts.flatMap(({ batches }) => batches);
      const hasMore = parts.some(({ has_more }) => has_more);
      const { rows, end } = pageOf(batchListing, input.query, found, hasMore);
      const followers = rows.flatMap((row) => [row.success_job, row.failure_job, row.complete_job]);
      await fillIn(calls, followers, context, input.query);
      return {
        batches: rows,
        total: parts.reduce((sum, { total }) => sum + total, 0),
        ...end,
      };
    },

    listWorkers: async (
      input: InputFor<"listWorkers">,
      context: CallContext,
    ): Promise<ResultFor<"listWorkers">> => {
      const parts = await Promise.all(
        calls.all.map((shard) => calls.body(shard, "listWorkers", input, context)),
      );
      return mergeWorkers(parts.flat());
    },

    quietWorker: (input, context) => orderIn(calls, "quietWorker", input, context),
    stopWorker: (input, context) => orderIn(calls, "stopWorker", input, context),
    resumeWorker: (input, context) => orderIn(calls, "resumeWorker", input, context),

    /** About the node that was asked, with the jobs of all shards. */
    async status(input: InputFor<"status">, context: CallContext): Promise<StatusView> {
      const own = await calls.here(
        0,
        "status",
        { ...input, query: { consistency: "stale" } },
        context,
      );
      const parts = await Promise.all(
        calls.all.map((shard) => calls.body(shard, "status", input, context)),
      );
      const view: StatusView = { ...(own as StatusView), jobs: {} };
      for (const name of sums) view[name] = parts.reduce((sum, part) => sum + part[name], 0);
      for (const { jobs } of parts) {
        for (const [state, count] of Object.entries(jobs)) {
          view.jobs[state] = (view.jobs[state] ?? 0) + count;
        }
      }
      view.deliveries = sumOfDeliveries(parts);
      view.read_only = parts.some((part) => part.read_only);
      view.shards = calls.count;
      view.messages_waiting = parts.reduce((sum, part) => sum + (part.messages_waiting ?? 0), 0);
      view.events = feedView(events);
      return { ...view, ...textIndexOf(parts) };
    },

    /** Well, or ready, when every shard of this node is. */
    health: (input, context) => worstOf(calls, "health", input, context),
    ready: (input, context) => worstOf(calls, "ready", input, context),
  };
}

function textIndexOf(parts: readonly StatusView[]): Pick<StatusView, "text_index"> {
  const texts = parts.flatMap(({ text_index }) => text_index ?? []);
  if (texts.length === 0) return {};
  const bytes = texts.reduce((sum, one) => sum + one.bytes, 0);
  const behind = texts.reduce((sum, one) => sum + one.behind, 0);
  return { text_index: { bytes, behind } };
}

type WorkerView = ResultFor<"listWorkers">[number];

/** One row per worker: it is seen by every shard whose queues it takes from, and by those where it has jobs. */
function mergeWorkers(views: readonly WorkerView[]): WorkerView[] {
  const merged = new Map<string, WorkerView>();
  for (const view of views) {
    const other = merged.get(view.id);
    if (other === undefined) {
      merged.set(view.id, view);
      continue;
    }
    const [first, second] = heardMs(view) > heardMs(other) ? [view, other] : [other, view];
    const in_hand = first.in_hand + second.in_hand;
    merged.set(view.id, {
      ...second,
      ...first,
      queues: [...new Set([...first.queues, ...second.queues])],
      // A stream to this node is one to each of its shards.
      streams: Math.max(first.streams, second.streams),
      in_hand,
      state: first.state === "idle" && in_hand > 0 ? "working" : first.state,
    });
  }
  return [...merged.values()].sort(
    (one, other) => heardMs(other) - heardMs(one) || (one.id < other.id ? -1 : 1),
  );
}

function heardMs({ last_heartbeat }: WorkerView): number {
  return last_heartbeat === undefined ? 0 : Date.parse(last_heartbeat);
}

/** Every shard has to know it, since a worker may be at any of them tomorrow. */
async function orderIn<Name extends "quietWorker" | "stopWorker" | "resumeWorker">(
  calls: ShardCalls,
  name: Name,
  input: InputFor<Name>,
  context: CallContext,
): Promise<ResultFor<Name>> {
  const parts = await Promise.all(
    calls.all.map((shard) => calls.body(shard, name, input, context)),
  );
  const first = must(parts[0], "there is a shard");
  return { ...first, known: parts.some(({ known }) => known) };
}

type Deliveries = NonNullable<StatusView["deliveries"]>;

function sumOfDeliveries(parts: readonly StatusView[]): Deliveries {
  const all = parts.flatMap(({ deliveries }) => deliveries ?? []);
  const sum = (name: "waiting" | "delivered" | "failed" | "missed") =>
    all.reduce((total, one) => total + one[name], 0);
  const oldest = all.flatMap((one) => one.oldest_waiting_at ?? []).sort()[0];
  return {
    ...{ waiting: sum("waiting"), delivered: sum("delivered") },
    ...{ failed: sum("failed"), missed: sum("missed") },
    ...(oldest === undefined ? {} : { oldest_waiting_at: oldest }),
  };
}

async function worstOf<Name extends "health" | "ready">(
  calls: ShardCalls,
  name: Name,
  input: InputFor<Name>,
  context: CallContext,
): Promise<AnswerFor<Name>> {
  let good: AnswerFor<Name> | undefined;
  for (const shard of calls.all) {
    const answer = await calls.here(shard, name, input, context);
    if (answer instanceof Reply) return answer;
    good ??= answer;
  }
  return must(good, "there is a shard");
}
