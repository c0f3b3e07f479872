/** What is expected of calls from outside stands in the shard of its queue; a list is of all shards. */
import type { CallContext, Handlers } from "../../api/operations.ts";
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
      return parts.flat().sort((one, other) => (one.queue < other.queue ? -1 : 1));
    },
  };
}
