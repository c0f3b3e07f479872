/**
 * Calls of producers and workers with items of several shards. Results are in the order in which the items were sent. A
 * part whose shard refused it as a whole is answered item by item where the answer has items.
 */
import type { CallContext, Handlers } from "../../api/operations.ts";
import { CorvoError } from "../../base/errors.ts";
import { enqueueParts } from "./enqueue-parts.ts";
import {
  type InputFor,
  type Part,
  type ResultFor,
  type ShardCalls,
  settleParts,
  splitBy,
  throwIfAllRefused,
} from "./shard-calls.ts";

type ItemView = ResultFor<"ackJobs">["results"][number];

export function createWorkerParts(
  calls: ShardCalls,
): Pick<Handlers, "enqueueJobs" | "ackJobs" | "failJobs" | "snoozeJobs" | "heartbeat"> {
  return {
    enqueueJobs: (input: InputFor<"enqueueJobs">, context: CallContext) =>
      enqueueParts(calls, input, context),

    async ackJobs(input: InputFor<"ackJobs">, context: CallContext): Promise<ResultFor<"ackJobs">> {
      const results = await itemResults(calls, input.body.acks, (shard, acks) =>
        calls.body(shard, "ackJobs", { ...input, body: { acks } }, context),
      );
      return { acked: countDone(results), results };
    },

    async failJobs(
      input: InputFor<"failJobs">,
      context: CallContext,
    ): Promise<ResultFor<"failJobs">> {
      const results = await itemResults(calls, input.body.fails, (shard, fails) =>
        calls.body(shard, "failJobs", { ...input, body: { fails } }, context),
      );
      return { failed: countDone(results), results };
    },

    async snoozeJobs(
      input: InputFor<"snoozeJobs">,
      context: CallContext,
    ): Promise<ResultFor<"snoozeJobs">> {
      const results = await itemResults(calls, input.body.snoozes, (shard, snoozes) =>
        calls.body(shard, "snoozeJobs", { ...input, body: { snoozes } }, context),
      );
      return { snoozed: countDone(results), results };
    },

    /** A refused part refuses the call: to extend the other leases once more does no harm. */
    async heartbeat(
      input: InputFor<"heartbeat">,
      context: CallContext,
    ): Promise<ResultFor<"heartbeat">> {
      const split = splitBy(Object.entries(input.body.jobs), ([id]) => calls.ofJob(id));
      if (split.size === 0) return calls.body(0, "heartbeat", input, context);
      const answers = await Promise.all(
        [...split].map(([shard, part]) => {
          const jobs = Object.fromEntries(part.map(({ item }) => item));
          return calls.body(shard, "heartbeat", { ...input, body: { jobs } }, context);
        }),
      );
      return {
        jobs: Object.assign({}, ...answers.map(({ jobs }) => jobs)),
        acked: answers.flatMap(({ acked }) => acked),
        unknown: answers.flatMap(({ unknown }) => unknown),
        canceled: answers.flatMap(({ canceled }) => canceled),
      };
    },
  };
}

async function itemResults<Item extends { readonly job_id: string }>(
  calls: ShardCalls,
  items: readonly Item[],
  call: (shard: number, items: Item[]) => Promise<{ readonly results: readonly ItemView[] }>,
): Promise<ItemView[]> {
  const split = splitBy(items, ({ job_id }) => calls.ofJob(job_id));
  const parts = await settleParts(split.keys(), (shard) =>
    call(
      shard,
      (split.get(shard) ?? []).map(({ item }) => item),
    ),
  );
  throwIfAllRefused(parts);
  const results: ItemView[] = new Array(items.length);
  for (const part of parts) {
    split.get(part.shard)?.forEach(({ item, at }, i) => {
      const view = part.kind === "answered" ? part.result.results[i] : undefined;
      results[at] = view ?? refusedItem(item.job_id, part);
    });
  }
  return results;
}

function refusedItem(jobId: string, part: Part<unknown>): ItemView {
  const error =
    part.kind === "refused"
      ? part.error
      : new CorvoError("INTERNAL_ERROR", `shard ${part.shard} left the item out of its answer`);
  return { job_id: jobId, status: "error", code: error.code, error: error.message };
}

function countDone(results: readonly ItemView[]): number {
  return results.filter(({ status }) => status !== "error").length;
}
