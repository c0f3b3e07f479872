/** Handlers of operations on queues. */
import type { Handlers } from "../api/operations.ts";
import { CorvoError } from "../base/errors.ts";
import { type LimitValues, limitName } from "../engine/limits/setting.ts";
import type { JobFilter } from "../engine/query.ts";
import type { QueueRecord } from "../engine/state.ts";
import type { Node } from "./node.ts";
import { queueView } from "./views.ts";

type QueueHandlers = Pick<
  Handlers,
  | "listQueues"
  | "getQueue"
  | "pauseQueue"
  | "resumeQueue"
  | "drainQueue"
  | "clearQueue"
  | "deleteQueue"
>;

/** Jobs deleted by one change, so that clearing a long queue never holds up other work. */
const clearStep = 2000;

export function createQueueHandlers(node: Node): QueueHandlers {
  const setPaused = async (queue: string, paused: boolean, status: string) => {
    await node.propose({ kind: "pauseQueue", queue, paused }, 128);
    return { status };
  };
  return {
    listQueues: async () => {
      const queues = [...node.replica.engine.state.queues()];
      queues.sort((one, other) => (one.name < other.name ? -1 : 1));
      return queues.map((queue) =>
        queueView(queue, oldestPendingMs(node, queue), limitOf(node, queue)),
      );
    },
    async getQueue({ params }) {
      const queue = findQueue(node, params.name);
      return queueView(queue, oldestPendingMs(node, queue), limitOf(node, queue));
    },
    pauseQueue: ({ params }) => setPaused(params.name, true, "paused"),
    resumeQueue: ({ params }) => setPaused(params.name, false, "resumed"),
    drainQueue: ({ params }) => setPaused(params.name, true, "draining"),
    async clearQueue({ params }) {
      findQueue(node, params.name);
      return { status: "cleared", deleted: await clearWaiting(node, params.name) };
    },
    async deleteQueue({ params }) {
      const queue = findQueue(node, params.name);
      refuseActive(queue);
      let deleted = await clearWaiting(node, params.name);
      deleted += await deleteMatching(node, { queue: params.name });
      await node.propose({ kind: "deleteQueue", queue: params.name }, 128);
      return { status: "deleted", deleted };
    },
  };
}

function findQueue(node: Node, name: string): QueueRecord {
  const queue = node.replica.engine.state.getQueue(name);
  if (queue === undefined) {
    throw new CorvoError("NOT_FOUND", `no queue "${name}"`, {
      hint: "A queue exists from its first job on; `corvo queue list` shows them.",
    });
  }
  return queue;
}

function refuseActive(queue: QueueRecord): void {
  if (queue.counts.active === 0) return;
  throw new CorvoError(
    "QUEUE_ERROR",
    `queue "${queue.name}" has ${queue.counts.active} active jobs; pause it and wait, or cancel them`,
  );
}

/** The ready jobs go from the front of the line; scheduled, retrying and blocked ones are found by search. */
async function clearWaiting(node: Node, queue: string): Promise<number> {
  let deleted = 0;
  for (;;) {
    const outcome = await node.propose({ kind: "clearQueue", queue, limit: clearStep }, 128);
    if (outcome.kind !== "cleared") break;
    deleted += outcome.deleted;
    if (!outcome.more) break;
  }
  const counts = findQueue(node, queue).counts;
  if (counts.scheduled + counts.retrying + counts.pending === 0) return deleted;
  const states = ["scheduled", "retrying", "pending"] as const;
  return deleted + (await deleteMatching(node, { queue, states }));
}

async function deleteMatching(node: Node, filter: JobFilter): Promise<number> {
  const beforeSeq = node.replica.engine.state.meta.nextNumber;
  let afterSeq = 0;
  let deleted = 0;
  for (;;) {
    const seqs = await node.deps.search.seqs(filter, { afterSeq, beforeSeq, limit: clearStep });
    if (seqs.length === 0) return deleted;
    afterSeq = seqs.at(-1) ?? afterSeq;
    const results = await node.proposeItems(
      { kind: "manage", action: "delete", seqs },
      64 + seqs.length * 12,
    );
    deleted += results.filter((result) => result.kind === "done").length;
  }
}

function limitOf(node: Node, queue: QueueRecord): LimitValues | undefined {
  return node.replica.engine.state.records("limits").get(limitName("queue", queue.name));
}

/** When the job that is next in line was made: how far behind the queue is. */
function oldestPendingMs(node: Node, queue: QueueRecord): number | undefined {
  const seq = node.replica.engine.nextReady(queue.name);
  return seq === undefined ? undefined : node.replica.engine.state.getJob(seq)?.createdAtMs;
}
