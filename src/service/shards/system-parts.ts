/** What the shards are together: their queues, their counts, and whether the node can serve. */

import { type CallContext, type Handlers, Reply } from "../../api/operations.ts";
import { must } from "../../base/assert.ts";
import { defaultBatchesPage } from "../batch-handlers.ts";
import type { EventFeed } from "../event-feed.ts";
import { defaultLimitsPage, sortNameOf } from "../limit-handlers.ts";
import { feedView } from "../system-handlers.ts";
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
): Pick<Handlers, "listQueues" | "listLimits" | "listBatches" | "status" | "health" | "ready"> {
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
      found.sort((one, other) => (sortNameOf(one) < sortNameOf(other) ? -1 : 1));
      const page = found.slice(0, input.query.limit ?? defaultLimitsPage);
      const last = page.at(-1);
      const hasMore = found.length > page.length || parts.some((part) => part.cursor !== undefined);
      return { limits: page, ...(hasMore && last ? { cursor: sortNameOf(last) } : {}) };
    },

    async listBatches(
      input: InputFor<"listBatches">,
      context: CallContext,
    ): Promise<ResultFor<"listBatches">> {
      const parts = await Promise.all(
        calls.all.map((shard) => calls.body(shard, "listBatches", input, context)),
      );
      const found = parts.flatMap(({ batches }) => batches);
      // Ids begin with the time of creation.
      found.sort((one, other) => (one.id > other.id ? -1 : 1));
      const page = found.slice(0, input.query.limit ?? defaultBatchesPage);
      return {
        batches: page,
        total: parts.reduce((sum, { total }) => sum + total, 0),
        has_more: found.length > page.length || parts.some(({ has_more }) => has_more),
      };
    },

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
      view.read_only = parts.some((part) => part.read_only);
      view.shards = calls.count;
      view.events = feedView(events);
      return view;
    },

    /** Well, or ready, when every shard of this node is. */
    health: (input, context) => worstOf(calls, "health", input, context),
    ready: (input, context) => worstOf(calls, "ready", input, context),
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
