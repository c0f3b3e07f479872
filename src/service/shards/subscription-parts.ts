/**
 * Subscriptions of several shards. Each shard has all of them and tells of its own queues, so one is made, renewed and ended in
 * all of them. The first shard gives it its id.
 */
import type { CallContext, Handlers } from "../../api/operations.ts";
import { CorvoError } from "../../base/errors.ts";
import type { InputFor, ResultFor, ShardCalls } from "./shard-calls.ts";

type ById = "renewSubscription" | "deleteSubscription";

export function createSubscriptionParts(
  calls: ShardCalls,
): Pick<Handlers, ById | "setSubscription"> {
  const toAll =
    <Name extends ById>(name: Name) =>
    async (input: InputFor<Name>, context: CallContext): Promise<ResultFor<Name>> => {
      const [first, ...others] = calls.all;
      await Promise.all(
        others.map(async (shard) => {
          try {
            await calls.call(shard, name, input, context);
          } catch (error) {
            // It ended there a moment earlier; the first shard says whether it still is.
            if (!(error instanceof CorvoError && error.code === "NOT_FOUND")) throw error;
          }
        }),
      );
      return calls.body(first ?? 0, name, input, context);
    };
  return {
    renewSubscription: toAll("renewSubscription"),
    deleteSubscription: toAll("deleteSubscription"),
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
