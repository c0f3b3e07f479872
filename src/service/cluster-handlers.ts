/** Handlers about the cluster: its members, and the changes an operator asks for. */
import type { BodyOf, ResultOf } from "../api/operation.ts";
import type { Handlers, Operations } from "../api/operations.ts";
import { CorvoError } from "../base/errors.ts";
import type {
  ClusterControl,
  ClusterMember,
  ClusterView,
  MeetAnswer,
  MeetRequest,
  ShardView,
} from "./cluster.ts";
import { summarizeCluster } from "./cluster-summary.ts";
import { shorten } from "./node.ts";

type StatusView = ResultOf<Operations["clusterStatus"]>;

type ClusterHandlers = Pick<
  Handlers,
  | "clusterStatus"
  | "joinCluster"
  | "meetNode"
  | "removeNode"
  | "transferLeader"
  | "promoteNode"
  | "demoteNode"
  | "makeSnapshot"
>;

export function createClusterHandlers(cluster: ClusterControl): ClusterHandlers {
  const setVoter = async (name: string, voter: boolean) => {
    await cluster.setVoter(findMember(cluster, name).id, voter);
    return { status: voter ? "promoted" : "demoted" };
  };
  return {
    clusterStatus: async () => statusView(cluster.view()),
    async joinCluster({ body }) {
      const port = Number(body.peer_address.slice(body.peer_address.lastIndexOf(":") + 1));
      if (port > 65_535 || !URL.canParse(body.http_url)) {
        throw new CorvoError(
          "VALIDATION_ERROR",
          `a node cannot be reached at ${shorten(body.peer_address)} or ${shorten(body.http_url)}`,
        );
      }
      const answer = await cluster.join({
        uuid: body.uuid,
        httpUrl: body.http_url,
        peerAddress: body.peer_address,
        version: body.version,
        ...(body.proof === undefined ? {} : { proof: body.proof }),
        ...(body.peer_tls === undefined ? {} : { peerTls: body.peer_tls }),
        ...(body.cluster_id === undefined ? {} : { clusterId: body.cluster_id }),
        ...(body.shards === undefined ? {} : { shards: body.shards }),
      });
      return {
        cluster_id: answer.clusterId,
        node_id: String(answer.nodeId),
        ...(answer.shards === 1 ? {} : { shards: answer.shards }),
        recovery_epoch: answer.recoveryEpoch,
        peers: answer.peers.map(({ id, uuid, peerAddress }) => ({
          id: String(id),
          uuid,
          peer_address: peerAddress,
        })),
      };
    },
    meetNode: async ({ body }) => meetView(cluster.meet(meetRequestOf(body))),
    async removeNode({ body }) {
      await cluster.remove(findMember(cluster, body.node).id);
      return { status: "removed" };
    },
    async transferLeader({ body }) {
      const { node: name } = body;
      const target = name == null ? undefined : findMember(cluster, name).id;
      await cluster.transferLeadership(target);
      return { status: "transferred" };
    },
    async makeSnapshot({ body }) {
      const { node: name } = body;
      const made = await cluster.snapshot(name == null ? undefined : findMember(cluster, name).id);
      return {
        node_id: String(made.nodeId),
        index: made.index,
        bytes: made.bytes,
        duration_ms: Math.round(made.durationMs),
        log_first: made.logFirst,
      };
    },
    promoteNode: ({ body }) => setVoter(body.node, true),
    demoteNode: ({ body }) => setVoter(body.node, false),
  };
}

export function meetRequestOf(body: BodyOf<Operations["meetNode"]>): MeetRequest {
  const { uuid, http_url: httpUrl, peer_address: peerAddress, expect } = body;
  const { proof, peer_tls: peerTls } = body;
  return {
    ...{ uuid, httpUrl, peerAddress, expect },
    ...(proof === undefined ? {} : { proof }),
    ...(peerTls === undefined ? {} : { peerTls }),
  };
}

export function meetView(answer: MeetAnswer): ResultOf<Operations["meetNode"]> {
  const { uuid, httpUrl, clusterId, hasSecret, knows } = answer;
  const view = { uuid, http_url: httpUrl, has_secret: hasSecret, knows: [...knows] };
  return clusterId === undefined ? view : { ...view, cluster_id: clusterId };
}

/** By id, uuid or one of its addresses: whatever the operator has at hand. */
function findMember(cluster: ClusterControl, name: string): ClusterMember {
  const { members } = cluster.view();
  const found = members.find(
    (member) =>
      String(member.id) === name ||
      member.uuid === name ||
      (name !== "" && (member.peerAddress === name || member.httpUrl === name)),
  );
  if (found !== undefined) return found;
  const ids = members.map((member) => member.id).join(", ");
  throw new CorvoError("NOT_FOUND", `no node "${shorten(name)}" in this cluster; it has ${ids}`, {
    hint: "`corvo cluster status` shows the nodes.",
  });
}

const stateNames = {
  leader: "Leader",
  follower: "Follower",
  candidate: "Candidate",
  learner: "Learner",
} as const;

function statusView(view: ClusterView): StatusView {
  const { status, sentence } = summarizeCluster(view);
  const leader = view.members.find((member) => member.id === view.leaderId);
  return {
    mode: modeOf(view),
    status,
    summary: sentence,
    cluster_id: view.clusterId,
    recovery_epoch: view.recoveryEpoch,
    node_id: String(view.selfId),
    state: stateNames[view.role],
    term: view.term,
    leader_id: view.leaderId === undefined ? "" : String(view.leaderId),
    leader_addr: leader?.peerAddress ?? "",
    commit_index: String(view.commitIndex),
    applied_index: String(view.appliedIndex),
    feature_level: view.featureLevel,
    ...(view.shards.length === 0 ? {} : { shards: view.shards.map(shardView) }),
    nodes: view.members.map((member) => ({
      id: String(member.id),
      uuid: member.uuid,
      address: member.peerAddress,
      http_url: member.httpUrl,
      version: member.version,
      voter: member.voter,
      role: member.role,
      state: member.state,
      self: member.self,
      ...(member.lag === undefined ? {} : { lag: member.lag }),
      ...(member.lastContactMs === undefined
        ? {}
        : { last_contact_ms: Math.round(member.lastContactMs) }),
      ...(member.clockSkewMs === undefined
        ? {}
        : { clock_skew_ms: Math.round(member.clockSkewMs) }),
      ...(member.failure === undefined ? {} : { failure: member.failure }),
      ...(member.disk === undefined
        ? {}
        : { disk_free_bytes: member.disk.freeBytes, data_bytes: member.disk.usedBytes }),
    })),
  };
}

function shardView(shard: ShardView): NonNullable<StatusView["shards"]>[number] {
  return {
    shard: shard.shard,
    leader_id: shard.leaderId === undefined ? "" : String(shard.leaderId),
    term: shard.term,
    commit_index: String(shard.commitIndex),
    applied_index: String(shard.appliedIndex),
  };
}

export function modeOf(view: ClusterView): "single" | "cluster" {
  return view.members.length > 1 ? "cluster" : "single";
}
