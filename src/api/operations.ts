/** The whole table. Its keys are the operation ids of the OpenAPI document and the method names of the client. */
import { backupOperations } from "./backup.ts";
import { batchOperations } from "./batches.ts";
import { bulkOperations } from "./bulk.ts";
import { clusterOperations } from "./cluster.ts";
import { eventOperations } from "./events.ts";
import { explainOperations } from "./explaining.ts";
import { flowOperations } from "./flow.ts";
import { incomingOperations } from "./incoming.ts";
import { jobOperations } from "./jobs.ts";
import { limitOperations } from "./limiting.ts";
import type { InputOf, ResultOf } from "./operation.ts";
import { queueOperations } from "./queues.ts";
import { redriveOperations } from "./redrive.ts";
import { scheduleOperations } from "./schedules.ts";
import { searchOperations } from "./search.ts";
import { subscriptionOperations } from "./subscriptions.ts";
import { systemOperations } from "./system.ts";
import { webhookOperations } from "./webhooks.ts";
import { workerOperations } from "./worker.ts";
import { workersOperations } from "./workers.ts";

export const operations = {
  ...workerOperations,
  ...workersOperations,
  ...searchOperations,
  ...jobOperations,
  ...bulkOperations,
  ...flowOperations,
  ...batchOperations,
  ...queueOperations,
  ...redriveOperations,
  ...limitOperations,
  ...explainOperations,
  ...scheduleOperations,
  ...eventOperations,
  ...backupOperations,
  ...webhookOperations,
  ...incomingOperations,
  ...subscriptionOperations,
  ...systemOperations,
  ...clusterOperations,
};

export type Operations = typeof operations;
export type OperationName = keyof Operations;

/** What a handler knows of the call besides its input. */
export interface CallContext {
  /** Aborts when the caller has gone away or the server stops; the reason is a `CorvoError`. */
  readonly signal: AbortSignal;
}

/** An answer with another status than the table's. Without a body it is empty. */
export class Reply<T> {
  readonly status: number;
  readonly body: T | undefined;
  constructor(status: number, body: T | undefined) {
    this.status = status;
    this.body = body;
  }
}

/** One function per operation; a missing one does not compile. Failures are thrown as `CorvoError`. */
export type Handlers = {
  readonly [Name in OperationName]: (
    input: InputOf<Operations[Name]>,
    context: CallContext,
  ) => Promise<ResultOf<Operations[Name]> | Reply<ResultOf<Operations[Name]>>>;
};
