/** Handlers of operations on workers. */
import type { ResultOf } from "../api/operation.ts";
import type { Handlers, Operations } from "../api/operations.ts";
import { formatTime } from "../base/time.ts";
import type { Order } from "../engine/worker-orders.ts";
import { labelsView } from "./labels.ts";
import type { Node } from "./node.ts";
import { type KnownWorker, silentMs } from "./worker-registry.ts";

type WorkerView = ResultOf<Operations["listWorkers"]>[number];
type WorkersHandlers = Pick<
  Handlers,
  "listWorkers" | "quietWorker" | "stopWorker" | "resumeWorker"
>;

/** Shown for so long after that. */
const shownMs = 3_600_000;

export function createWorkersHandlers(node: Node): WorkersHandlers {
  const ask = (order: Order | undefined, status: string) => async (workerId: string) => {
    const known = node.workers.has(workerId) || inHand(node).has(workerId);
    const change = { kind: "orderWorker" as const, workerId };
    await node.propose(order === undefined ? change : { ...change, order }, 64 + workerId.length);
    return { status, known };
  };
  const quiet = ask("quiet", "quiet");
  const stop = ask("stop", "stopping");
  const resume = ask(undefined, "resumed");
  return {
    listWorkers: async ({ query }) =>
      listWorkers(node).filter(
        ({ queues }) => query.queue === undefined || queues.includes(query.queue),
      ),
    quietWorker: ({ params }) => quiet(params.worker_id),
    stopWorker: ({ params }) => stop(params.worker_id),
    resumeWorker: ({ params }) => resume(params.worker_id),
  };
}

function listWorkers(node: Node): WorkerView[] {
  const held = inHand(node);
  const nowMs = node.deps.clock.nowMs();
  const views: [number, WorkerView][] = [];
  for (const worker of node.workers.all()) {
    const { workerId } = worker.says;
    const jobs = held.get(workerId);
    held.delete(workerId);
    const isShown = worker.streams > 0 || jobs !== undefined;
    if (isShown || worker.lastSeenMs + shownMs > nowMs) {
      views.push([worker.lastSeenMs, viewOf(node, worker, jobs)]);
    }
  }
  // Their jobs are known, and they themselves were not heard of since this node leads.
  for (const [id, jobs] of held) {
    views.push([0, { id, ...jobs, state: stateOf(node, { id, jobs: jobs.in_hand }), streams: 0 }]);
  }
  views.sort(([one, { id }], [other, { id: otherId }]) => other - one || (id < otherId ? -1 : 1));
  return views.map(([, view]) => view);
}

function viewOf(node: Node, worker: KnownWorker, held: Held | undefined): WorkerView {
  const { streams } = worker;
  const { workerId: id, hostname, client, queues, labels, startedAtMs } = worker.says;
  return {
    id,
    ...(hostname === undefined ? {} : { hostname }),
    ...(client === undefined ? {} : { client }),
    queues: [...queues],
    ...(labels.length === 0 ? {} : { labels: labelsView(labels) }),
    state: stateOf(node, { id, jobs: held?.in_hand ?? 0, worker }),
    in_hand: held?.in_hand ?? 0,
    streams,
    started_at: formatTime(startedAtMs === 0 ? worker.firstSeenMs : startedAtMs),
    last_heartbeat: formatTime(streams > 0 ? node.deps.clock.nowMs() : worker.lastSeenMs),
  };
}

function stateOf(
  node: Node,
  { id, jobs, worker }: { id: string; jobs: number; worker?: KnownWorker },
): string {
  const isHeardOf =
    worker !== undefined &&
    (worker.streams > 0 || worker.lastSeenMs + silentMs > node.deps.clock.nowMs());
  if (!isHeardOf && jobs === 0) return "gone";
  const order = node.workers.orderOf(id, worker?.says.startedAtMs ?? 0);
  if (order === "quiet") return "quiet";
  if (order === "stop") return jobs === 0 && worker?.streams === 0 ? "gone" : "stopping";
  return jobs > 0 ? "working" : "idle";
}

interface Held {
  in_hand: number;
  readonly queues: string[];
  readonly hostname?: string;
}

/** Jobs under a lease, by worker. */
function inHand(node: Node): Map<string, Held> {
  const held = new Map<string, Held>();
  for (const { workerId, hostname, queue } of node.replica.engine.activeJobs()) {
    if (workerId === undefined) continue;
    const found = held.get(workerId);
    if (found === undefined) {
      const of = hostname === undefined ? {} : { hostname };
      held.set(workerId, { in_hand: 1, queues: [queue], ...of });
      continue;
    }
    found.in_hand++;
    if (!found.queues.includes(queue)) found.queues.push(queue);
  }
  return held;
}
