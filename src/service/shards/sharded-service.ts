/**
 * The operations of the table on a node with several shards. Where a call goes is what the table says (`placement`): to the
 * shard of its queue or job, to shard 0, to this node itself, or, split and merged again, to several.
 *
 * With one shard nothing of this is used.
 */
import type { Operation } from "../../api/operation.ts";
import {
  type CallContext,
  type Handlers,
  type OperationName,
  type Operations,
  operations,
} from "../../api/operations.ts";
import { CorvoError } from "../../base/errors.ts";
import type { Clock, Timers } from "../../base/ports.ts";
import { BulkIds } from "../bulk-ids.ts";
import type { EventFeed } from "../event-feed.ts";
import { createEventPages } from "../event-handlers.ts";
import { createBulkParts } from "./bulk-parts.ts";
import { elsewhere } from "./elsewhere.ts";

import { createFetchParts } from "./fetch-parts.ts";
import { createGroupParts } from "./group-parts.ts";
import { createIncomingParts } from "./incoming-parts.ts";
import { createJobParts } from "./job-parts.ts";
import { createRestoreParts } from "./restore-parts.ts";
import { createScheduleParts } from "./schedule-parts.ts";
import { createSearchParts } from "./search-parts.ts";
import { type NoteLease, ShardCalls, type ShardSet } from "./shard-calls.ts";
import { createSubscriptionParts } from "./subscription-parts.ts";
import { createSystemParts } from "./system-parts.ts";
import { createWebhookParts } from "./webhook-parts.ts";
import { createWorkerParts } from "./worker-parts.ts";

/** Operations that the table splits; each needs a function here, or this does not compile. */
type PartsName = {
  [Name in OperationName]: Operations[Name]["placement"] extends "parts" ? Name : never;
}[OperationName];

type AnyHandler = (input: Input, context: CallContext) => Promise<unknown>;
interface Input {
  readonly params: {
    readonly name?: string;
    readonly job_id?: string;
    readonly chain_id?: string;
    readonly batch_id?: string;
  };
  readonly query: { readonly consistency?: string };
  readonly body: { readonly queue?: string };
}

export function createShardedHandlers(
  set: ShardSet,
  ports: {
    readonly clock: Clock;
    readonly timers: Timers;
    readonly noteLease: NoteLease;
    readonly events: EventFeed;
    readonly nodeId: string;
  },
): Handlers {
  const calls = new ShardCalls(set);
  const isHere = (shard: number) => set.leaderOf(shard) === "here";
  const searchParts = createSearchParts(calls, ports.clock);
  const parts: Pick<Handlers, PartsName> = {
    ...createWorkerParts(calls),
    ...createFetchParts({ ...ports, calls, isHere }),
    ...searchParts,
    ...createJobParts(calls),
    ...createBulkParts(calls, { ...ports, ids: new BulkIds(ports.clock, ports.nodeId) }),
    ...createRestoreParts(calls),
    ...createScheduleParts(calls),
    ...createSystemParts(calls, ports.events),
    ...createWebhookParts(calls),
    ...createIncomingParts(calls),
    ...createSubscriptionParts(calls),
  };
  const handlers: Record<string, unknown> = {};
  for (const name of Object.keys(operations) as OperationName[]) {
    handlers[name] = placed(calls, name, operations[name]);
  }
  // The loop above covers every key of the table; the type cannot follow it.
  const placedHandlers = { ...handlers } as unknown as Handlers;
  Object.assign(handlers, parts, {
    moveJob: guardMove(calls, placedHandlers.moveJob),
    ...createGroupParts(calls, placedHandlers, searchParts.searchJobs),
    // Of all shards, as this node has them.
    clusterEvents: createEventPages(ports.events),
  });
  return handlers as unknown as Handlers;
}

/** The call as a whole, to where it belongs. */
function placed(calls: ShardCalls, name: OperationName, operation: Operation): AnyHandler {
  const call = (shard: number, input: Input, context: CallContext) =>
    calls.call(shard, name, input as never, context);
  switch (operation.placement) {
    case "queue":
      return (input, context) =>
        call(calls.ofQueue(input.params.name ?? input.body.queue ?? ""), input, context);
    case "job":
      return (input, context) => {
        const { job_id, chain_id, batch_id } = input.params;
        return call(calls.ofJob(job_id ?? chain_id ?? batch_id ?? ""), input, context);
      };
    case "node":
      return (input, context) =>
        input.query.consistency === "strong"
          ? call(0, input, context)
          : calls.here(0, name, input as never, context);
    case "global":
    case "parts":
      return (input, context) => call(0, input, context);
  }
}

/** A job is found by the shard in its id, so it cannot go to a queue of another one. */
function guardMove(calls: ShardCalls, move: Handlers["moveJob"]): Handlers["moveJob"] {
  return async (input, context) => {
    const shard = calls.ofQueue(input.body.queue);
    const own = calls.ofJob(input.params.job_id);
    if (shard === own) return move(input, context);
    // An unknown job is what is wrong first.
    await calls.call(own, "getJob", { ...input, body: {} }, context);
    throw new CorvoError("MOVE_ERROR", elsewhere(input.body.queue, shard), {
      hint: "Queues whose names share a part in braces are in one shard, as {order}:mail and {order}:bill are.",
    });
  };
}
