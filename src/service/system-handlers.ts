/** Handlers about the server itself. */
import { type Handlers, Reply } from "../api/operations.ts";
import { apiVersion } from "../api/version.ts";
import { formatTime } from "../base/time.ts";
import { jobStates } from "../engine/job.ts";
import { modeOf } from "./cluster-handlers.ts";
import { summarizeCluster } from "./cluster-summary.ts";
import type { EventFeed } from "./event-feed.ts";
import type { Node } from "./node.ts";

export function createSystemHandlers(
  node: Node,
  events: EventFeed,
): Pick<Handlers, "health" | "ready" | "info" | "status"> {
  return {
    health: async () => healthOf(node),
    ready: async () =>
      node.deps.drain.isOn
        ? new Reply(503, { status: "draining", reason: "this node gives out no work" })
        : healthOf(node),
    info: async () => ({
      server_version: node.options.serverVersion,
      api_version: apiVersion,
      commit: node.options.commit,
      node_id: node.options.nodeId,
    }),
    status: async () => {
      const sizes = node.deps.sizes();
      const cluster = node.deps.cluster.view();
      return {
        server_version: node.options.serverVersion,
        node_id: node.options.nodeId,
        mode: modeOf(cluster),
        role: cluster.role,
        cluster_id: cluster.clusterId,
        cluster: summarizeCluster(cluster).sentence,
        started_at: formatTime(node.startedAtMs),
        uptime_ms: node.uptimeMs,
        durability: node.options.durability,
        read_only: node.replica.readOnlyReason !== undefined,
        ...countQueues(node),
        applied_index: node.replica.appliedIndex,
        checkpoint_index: node.replica.checkpointedIndex,
        log_bytes: sizes.logBytes,
        state_bytes: sizes.stateBytes,
        memory_bytes: sizes.memoryBytes,
        ...diskOf(node),
        pending_proposals: node.replica.pendingChanges,
        waiting_workers: node.claims.waiterCount,
        ...(node.options.shards > 1 && { messages_waiting: node.replica.engine.post.size }),
        deliveries: deliveriesView(node),
        events: feedView(events),
        ...textIndexView(node),
      };
    },
  };
}

function diskOf({ deps: { disk } }: Node) {
  if (disk === undefined) return {};
  const { usedBytes, budgetBytes, fullReason } = disk;
  return {
    disk_used_bytes: usedBytes,
    ...(budgetBytes === undefined ? {} : { disk_budget_bytes: budgetBytes }),
    ...(fullReason === undefined ? {} : { disk_full: fullReason }),
  };
}

/** How far the index of texts is; empty when the node keeps none. */
export function textIndexView(node: Node) {
  const { texts } = node.deps.sizes();
  if (texts === undefined) return {};
  const { nextNumber } = node.replica.engine.state.meta;
  const behind = Math.max(0, nextNumber - 1 - texts.throughSeq);
  return { text_index: { bytes: texts.bytes, behind } };
}

export function feedView({ next, readerCount, lagMax }: EventFeed) {
  return { last: next - 1, readers: readerCount, lag: lagMax };
}

function deliveriesView(node: Node) {
  const { oldestMs, ...counts } = node.replica.engine.deliveries();
  return oldestMs === undefined ? counts : { ...counts, oldest_waiting_at: formatTime(oldestMs) };
}

function healthOf(node: Node) {
  const reason = node.replica.unhealthyReason ?? leaderlessReason(node);
  return reason === undefined ? { status: "ok" } : new Reply(503, { status: "unhealthy", reason });
}

/** A node that knows no leader can neither take a write nor pass one on. */
function leaderlessReason(node: Node): string | undefined {
  const { leaderId, shards } = node.deps.cluster.view();
  if (leaderId === undefined) return "no leader is known to this node";
  const orphan = shards.find((shard) => shard.leaderId === undefined);
  return orphan === undefined ? undefined : `no leader of shard ${orphan.shard} is known`;
}

function countQueues(node: Node): {
  queues: number;
  queues_paused: number;
  jobs: Record<string, number>;
} {
  const jobs = Object.fromEntries(jobStates.map((state) => [state, 0])) as Record<string, number>;
  let queues = 0;
  let paused = 0;
  for (const queue of node.replica.engine.state.queues()) {
    queues++;
    if (queue.paused) paused++;
    for (const state of jobStates) jobs[state] = (jobs[state] ?? 0) + queue.counts[state];
  }
  return { queues, queues_paused: paused, jobs };
}
