/** Handlers for stopping a node without a loss of work: it drains, and can go on after all. */
import type { ResultOf } from "../api/operation.ts";
import type { Handlers, Operations } from "../api/operations.ts";
import type { ClusterControl, DrainControl } from "./cluster.ts";

type DrainView = ResultOf<Operations["drainNode"]>;

export function createDrainHandlers(
  cluster: ClusterControl,
  drain: DrainControl,
): Pick<Handlers, "drainNode" | "resumeNode"> {
  return {
    async drainNode() {
      drain.begin();
      // Streams that are cut off by a change of the leader would not know what became of their last frames.
      await drain.quiet();
      // Asked for each time: another node may have come back that can lead.
      await cluster.handOver();
      return viewOf(cluster, drain);
    },
    async resumeNode() {
      drain.end();
      return viewOf(cluster, drain);
    },
  };
}

function viewOf(cluster: ClusterControl, drain: DrainControl): DrainView {
  const { selfId, role, members, shards } = cluster.view();
  const isLeader = role === "leader" || shards.some(({ leaderId }) => leaderId === selfId);
  const leads = isLeader && members.filter(({ voter }) => voter).length > 1;
  const isDone = drain.isDone && !leads;
  return {
    node_id: String(selfId),
    state: drain.isOn ? (isDone ? "drained" : "draining") : "serving",
    leases: drain.leaseCount,
    leads,
  };
}
