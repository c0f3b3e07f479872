/** Handlers of operations on queues. */
import type { ResultOf } from "../api/operation.ts";
import type { Handlers, Operations } from "../api/operations.ts";
import { QueueDefaults } from "../api/schemas.ts";
import { CorvoError } from "../base/errors.ts";
import { type LimitValues, limitName } from "../engine/limits/setting.ts";
import type { JobFilter } from "../engine/query.ts";
import type { QueueRecord } from "../engine/state.ts";
import { knownMembers } from "./known-members.ts";
import { toDefaults } from "./new-job.ts";
import type { Node } from "./node.ts";
import { queueView } from "./views.ts";

type QueueHandlers = Pick<
  Handlers,
  | "listQueues"
  | "getQueue"
  | "pauseQueue"
  | "resumeQueue"
  | "drainQueue"
  | "undrainQueue"
  | "getQueueDefaults"
  | "setQueueDefaults"
  | "removeQueueDefaults"
  | "clearQueue"
  | "deleteQueue"
>;

/** Jobs deleted by one change, so that clearing a long queue never holds up other work. */
const clearStep = 2000;

export function createQueueHandlers(node: Node): QueueHandlers {
  const setPaused = async (queue: string, paused: boolean, status: string) => {
    node.refuseElsewhere(queue);
    await node.propose({ kind: "pauseQueue", queue, paused }, 128);
    return { status };
  };
  const setDraining = async (queue: string, draining: boolean) => {
    node.refuseElsewhere(queue);
    await node.propose({ kind: "drainQueue", queue, draining }, 128);
  };
  const settings = () => node.replica.engine.state.records("queueSettings");
  const view = (queue: QueueRecord) =>
    queueView(queue, {
      oldestPendingMs: oldestPendingMs(node, queue),
      limit: limitOf(node, queue),
      settings: settings().get(queue.name),
    });
  return {
    listQueues: async () => {
      const queues = [...node.replica.engine.state.queues()];
      queues.sort((one, other) => (one.name < other.name ? -1 : 1));
      return queues.map(view);
    },
    async getQueue({ params }) {
      return view(findQueue(node, params.name));
    },
    pauseQueue: ({ params }) => setPaused(params.name, true, "paused"),
    resumeQueue: ({ params }) => setPaused(params.name, false, "resumed"),
    async drainQueue({ params, body }) {
      if (body.refuse_new !== true) return setPaused(params.name, true, "draining");
      await setDraining(params.name, true);
      const left = unfinished(findQueue(node, params.name));
      return { status: left === 0 ? "drained" : "draining", left };
    },
    async undrainQueue({ params }) {
      await setDraining(params.name, false);
      return { status: "undrained" };
    },
    getQueueDefaults: async ({ params }) => defaultsView(node, params.name),
    async setQueueDefaults({ params, body }) {
      node.refuseElsewhere(params.name);
      const defaults = toDefaults(params.name, body);
      const across = node.acrossOf([
        { queue: params.name, payload: "", options: { deadQueue: defaults?.deadQueue } },
      ]);
      const change = { kind: "setQueueDefaults" as const, queue: params.name, ...across };
      const written = JSON.stringify(knownMembers(QueueDefaults, body));
      const bytes = 128 + 2 * written.length;
      await node.propose(defaults === undefined ? change : { ...change, defaults, written }, bytes);
      return defaultsView(node, params.name);
    },
    async removeQueueDefaults({ params }) {
      await node.propose({ kind: "setQueueDefaults", queue: params.name }, 128);
      return { status: "removed" };
    },
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

type Defaults = ResultOf<Operations["setQueueDefaults"]>;

function defaultsView(node: Node, queue: string): Defaults {
  const written = node.replica.engine.state.records("queueSettings").get(queue)?.written ?? "{}";
  return { queue, defaults: JSON.parse(written) as Defaults["defaults"] };
}

function unfinished({ counts }: QueueRecord): number {
  return counts.pending + counts.scheduled + counts.retrying + counts.held + counts.active;
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
