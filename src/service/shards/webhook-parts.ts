/**
 * Webhooks of several shards. Each shard has the definition and delivers the events of its own jobs, so a webhook is made
 * and changed in all of them, and what is shown of it is the sum. The first shard gives it its id and its secret.
 */
import { type CallContext, type Handlers, Reply } from "../../api/operations.ts";
import { shardOfId } from "../../base/ids.ts";
import { pageOf } from "../page.ts";
import { deliveryListing } from "../webhook-handlers.ts";
import { inAllShards } from "./in-all-shards.ts";
import type { InputFor, ResultFor, ShardCalls } from "./shard-calls.ts";

type Control = "deleteWebhook" | "pauseWebhook" | "enableWebhook";
type Shown = ResultFor<"getWebhook">;

export function createWebhookParts(
  calls: ShardCalls,
): Pick<
  Handlers,
  Control | "listWebhooks" | "setWebhook" | "getWebhook" | "listDeliveries" | "redeliver"
> {
  return {
    deleteWebhook: inAllShards(calls, "deleteWebhook"),
    pauseWebhook: inAllShards(calls, "pauseWebhook"),
    enableWebhook: inAllShards(calls, "enableWebhook"),

    async setWebhook(
      input: InputFor<"setWebhook">,
      context: CallContext,
    ): Promise<ResultFor<"setWebhook">> {
      const [first, ...others] = calls.all;
      const made = await calls.body(first ?? 0, "setWebhook", input, context);
      const secret = input.body.secret ?? made.secret;
      const body = { ...input.body, id: made.id, ...(secret === undefined ? {} : { secret }) };
      await Promise.all(
        others.map((shard) => calls.call(shard, "setWebhook", { ...input, body }, context)),
      );
      return made;
    },

    async getWebhook(
      input: InputFor<"getWebhook">,
      context: CallContext,
    ): Promise<ResultFor<"getWebhook">> {
      const parts = await Promise.all(
        calls.all.map((shard) => calls.body(shard, "getWebhook", input, context)),
      );
      return sumOf(parts);
    },

    async listWebhooks(
      input: InputFor<"listWebhooks">,
      context: CallContext,
    ): Promise<ResultFor<"listWebhooks">> {
      const parts = await Promise.all(
        calls.all.map((shard) => calls.body(shard, "listWebhooks", input, context)),
      );
      const all = parts.flat();
      return (parts[0] ?? []).map(({ id }) => sumOf(all.filter((one) => one.id === id)));
    },

    async listDeliveries(
      input: InputFor<"listDeliveries">,
      context: CallContext,
    ): Promise<ResultFor<"listDeliveries">> {
      const parts = await Promise.all(
        calls.all.map((shard) => calls.body(shard, "listDeliveries", input, context)),
      );
      const found = parts.flatMap(({ deliveries }) => deliveries);
      const hasMore = parts.some(({ has_more }) => has_more);
      const { rows, end } = pageOf(deliveryListing, input.query, found, hasMore);
      return {
        deliveries: rows,
        total: parts.reduce((sum, { total }) => sum + total, 0),
        ...end,
      };
    },

    async redeliver(
      input: InputFor<"redeliver">,
      context: CallContext,
    ): Promise<Reply<ResultFor<"redeliver">>> {
      const shard = shardOfId(input.params.delivery_id) ?? 0;
      const body = await calls.body(shard < calls.count ? shard : 0, "redeliver", input, context);
      return new Reply(202, body);
    },
  };
}

/** One webhook as its shards show it. What is wrong in one of them is wrong. */
function sumOf(parts: readonly Shown[]): Shown {
  const [first, ...others] = parts;
  if (first === undefined) throw new Error("a webhook is shown by a shard at least");
  return others.reduce((one, other): Shown => {
    const later = (other.last_delivery_at ?? "") > (one.last_delivery_at ?? "") ? other : one;
    const { last_status_code, last_error, last_delivery_at, ...rest } = one;
    const broken = [one, other].find(({ enabled }) => !enabled);
    const missedAt = [one.missed_at ?? "", other.missed_at ?? ""].sort().at(-1) ?? "";
    return {
      ...rest,
      ...lastOf(later),
      enabled: broken === undefined,
      ...(broken?.disabled_reason === undefined ? {} : { disabled_reason: broken.disabled_reason }),
      paused: one.paused || other.paused,
      waiting: one.waiting + other.waiting,
      delivered: one.delivered + other.delivered,
      failed: one.failed + other.failed,
      missed: one.missed + other.missed,
      ...(missedAt === "" ? {} : { missed_at: missedAt }),
      failures: Math.max(one.failures, other.failures),
    };
  }, first);
}

function lastOf(shown: Shown): Pick<Shown, "last_status_code" | "last_error" | "last_delivery_at"> {
  const { last_status_code: code, last_error: error, last_delivery_at: at } = shown;
  return {
    ...(code === undefined ? {} : { last_status_code: code }),
    ...(error === undefined ? {} : { last_error: error }),
    ...(at === undefined ? {} : { last_delivery_at: at }),
  };
}
