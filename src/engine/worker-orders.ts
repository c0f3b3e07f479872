/**
 * What operators ask of workers: to take no more jobs (`quiet`), or to end (`stop`). Kept by worker id, so that it outlasts a
 * change of the leader; who obeys is the service's matter.
 *
 * A worker that ended does not come back under its id, as a rule, so an order to stop is forgotten after a while: two old
 * ones go for each order that comes.
 */
import type { OrderWorker } from "./change.ts";
import type { Core } from "./core.ts";
import { engineLimits } from "./limits.ts";
import { type Outcome, reject } from "./outcome.ts";

export type Order = "quiet" | "stop";

export interface WorkerOrder {
  readonly order: Order;
  readonly atMs: number;
}

/** No order: the worker may take jobs again. */
export function orderWorker(core: Core, { workerId, order }: OrderWorker): Outcome {
  const orders = core.state.records("workerOrder");
  forgetOld(core);
  if (order === undefined) orders.delete(workerId);
  else if (!orders.has(workerId) && orders.size >= engineLimits.workerOrdersMax) {
    return reject(
      "LIMIT_EXCEEDED",
      `${engineLimits.workerOrdersMax} workers are quiet or stopping already (workerOrdersMax)`,
    );
  } else orders.put(workerId, { order, atMs: core.nowMs });
  core.effects.workersOrdered.push(workerId);
  return { kind: "ok" };
}

function forgetOld(core: Core): void {
  const orders = core.state.records("workerOrder");
  const old = [...orders.entries()]
    .filter(
      ([, { order, atMs }]) => order === "stop" && atMs + engineLimits.stopOrderMs <= core.nowMs,
    )
    .sort(
      ([one, { atMs }], [other, { atMs: otherMs }]) => atMs - otherMs || (one < other ? -1 : 1),
    );
  for (const [workerId] of old.slice(0, 2)) orders.delete(workerId);
}
