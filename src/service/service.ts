/** The operations of the table, carried out by a running node. The only thing that knows both the contract and the engine. */
import type { Handlers } from "../api/operations.ts";
import type { StreamService } from "../api/stream.ts";
import { createBackupHandlers } from "./backup-handlers.ts";
import { createBatchHandlers } from "./batch-handlers.ts";
import { createBulkHandlers } from "./bulk-handlers.ts";
import { createClusterHandlers } from "./cluster-handlers.ts";
import { withReadBarrier } from "./consistency.ts";
import { createDrainHandlers } from "./drain-handlers.ts";
import { EventFeed } from "./event-feed.ts";
import { createEventHandlers } from "./event-handlers.ts";
import { createExplainHandlers } from "./explain-handlers.ts";
import { createFlowHandlers } from "./flow-handlers.ts";
import { createIncomingHandlers } from "./incoming-handlers.ts";
import { createJobHandlers } from "./job-handlers.ts";
import { createLimitHandlers } from "./limit-handlers.ts";
import type { Node } from "./node.ts";
import { createQueueBytesHandlers } from "./queue-bytes-handlers.ts";
import { createQueueHandlers } from "./queue-handlers.ts";
import { createRedriveHandlers } from "./redrive-handlers.ts";
import { createRestoreHandlers } from "./restore-handlers.ts";
import { createScheduleHandlers } from "./schedule-handlers.ts";
import { createSearchHandlers } from "./search-handlers.ts";
import { createStreamService } from "./stream-session.ts";
import { createSubscriptionHandlers } from "./subscription-handlers.ts";
import { createSystemHandlers } from "./system-handlers.ts";
import { createWebhookHandlers } from "./webhook-handlers.ts";
import { createWorkerHandlers } from "./worker-handlers.ts";
import { createWorkersHandlers } from "./workers-handlers.ts";

export interface Service {
  readonly handlers: Handlers;
  readonly stream: StreamService;
  readonly events: EventFeed;
}

export function createService(node: Node): Service {
  const events = new EventFeed([node.events], node.deps.timers);
  return {
    events,
    handlers: withReadBarrier(
      {
        ...createWorkerHandlers(node),
        ...createWorkersHandlers(node),
        ...createJobHandlers(node),
        ...createBulkHandlers(node),
        ...createSearchHandlers(node),
        ...createFlowHandlers(node),
        ...createBatchHandlers(node),
        ...createQueueHandlers(node),
        ...createQueueBytesHandlers(node),
        ...createLimitHandlers(node),
        ...createRedriveHandlers(node),
        ...createExplainHandlers(node),
        ...createScheduleHandlers(node),
        ...createEventHandlers(node, events),
        ...createSystemHandlers(node, events),
        ...createBackupHandlers(node.deps.backup),
        ...createRestoreHandlers(node),
        ...createWebhookHandlers(node),
        ...createIncomingHandlers(node),
        ...createSubscriptionHandlers(node),
        ...createClusterHandlers(node.deps.cluster),
        ...createDrainHandlers(node.deps.cluster, node.deps.drain),
      },
      node,
    ),
    stream: createStreamService(node),
  };
}
