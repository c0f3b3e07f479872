/**
 * Subscriptions of several shards. Each shard has all of them and tells of its own queues, so one is made, renewed and ended in
 * all of them. The first shard gives it its id.
 */
import type { CallContext, Handlers } from "../../api/operations.ts";
import { inAllShards } from "./in-all-shards.ts";
import type { InputFor, ResultFor, ShardCalls } from "./shard-calls.ts";

type ById = "renewSubscription" | "deleteSubscription";

export function createSubscriptionParts(
  calls: ShardCalls,
): Pick<Handlers, ById | "setSubscription"> {
  return {
    renewSubscription: inAllShards(calls, "renewSubscription"),
    deleteSubscription: inAllShards(calls, "deleteSubscription"),
    async setSubscription(
      input: InputFor<"setSubscription">,
      context: CallContext,
    ): Promise<ResultFor<"setSubscription">> {
      const [first, ...others] = calls.all;
      const made = await calls.body(first ?? 0, "setSubscription", input, context);
      const body = { ...input.body, id: made.id };
      await Promise.all(
        others.map((shard) => calls.call(shard, "setSubscription", { ...input, body }, context)),
      );
      return made;
    },
  };
}
