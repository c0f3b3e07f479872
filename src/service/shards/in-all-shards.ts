/** Changes of what every shard has a copy of, such as webhooks. */
import type { CallContext } from "../../api/operations.ts";
import { CorvoError } from "../../base/errors.ts";
import type { InputFor, ResultFor, ShardCalls } from "./shard-calls.ts";

type InAll =
  | "renewSubscription"
  | "deleteSubscription"
  | "deleteWebhook"
  | "pauseWebhook"
  | "enableWebhook";

/**
 * The call in all shards, the first of them last: what it answers is the answer. Others may lack what is meant, since an earlier
 * call did not come through to all or it ended there a moment before.
 */
export function inAllShards<Name extends InAll>(calls: ShardCalls, name: Name) {
  return async (input: InputFor<Name>, context: CallContext): Promise<ResultFor<Name>> => {
    const [first, ...others] = calls.all;
    await Promise.all(
      others.map(async (shard) => {
        try {
          await calls.call(shard, name, input, context);
        } catch (error) {
          if (!(error instanceof CorvoError && error.code === "NOT_FOUND")) throw error;
        }
      }),
    );
    return calls.body(first ?? 0, name, input, context);
  };
}
