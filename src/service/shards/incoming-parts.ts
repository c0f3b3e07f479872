/** What is expected of calls from outside stands in the shard of its queue; a list is of all shards. */
import type { CallContext, Handlers } from "../../api/operations.ts";
import { incomingListing } from "../incoming-handlers.ts";
import { pageOf } from "../page.ts";
import type { InputFor, ResultFor, ShardCalls } from "./shard-calls.ts";

export function createIncomingParts(calls: ShardCalls): Pick<Handlers, "listIncoming"> {
  return {
    async listIncoming(
      input: InputFor<"listIncoming">,
      context: CallContext,
    ): Promise<ResultFor<"listIncoming">> {
      const parts = await Promise.all(
        calls.all.map((shard) => calls.body(shard, "listIncoming", input, context)),
      );
      const found = parts.flatMap(({ queues }) => queues);
      const hasMore = parts.some(({ has_more }) => has_more);
      const { rows, end } = pageOf(incomingListing, input.query, found, hasMore);
      return { queues: rows, ...end };
    },
  };
}
