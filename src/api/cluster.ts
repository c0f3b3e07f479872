/** Operations on the cluster: who is in it, and changes of that. Ids are text, since the clients of 0.3 read them so. */
import { Type } from "@sinclair/typebox";
import { consistencyWith, operation, readOperation } from "./operation.ts";
import { Maybe, Status } from "./schemas.ts";

const Member = Type.Object({
  id: Type.String(),
  uuid: Type.String(),
  /** Of its peer port; empty on a node without one. */
  address: Type.String(),
  http_url: Type.String(),
  version: Type.String(),
  voter: Type.Boolean(),
  role: Type.String(),
  state: Type.String(),
  self: Type.Boolean(),
  /** Log entries that it lacks, where the answering node knows. */
  lag: Type.Optional(Type.Integer()),
  last_contact_ms: Type.Optional(Type.Integer()),
  clock_skew_ms: Type.Optional(
    Type.Integer({
      description:
        "How far its wall clock is ahead of the answering node's, or behind if negative, by what it told in the last seconds.",
    }),
  ),
  failure: Type.Optional(
    Type.String({ description: "Why the answering node cannot call it, if it cannot." }),
  ),
  disk_free_bytes: Type.Optional(
    Type.Integer({
      description: "Free on the file system of its data directory, about a second ago.",
    }),
  ),
  data_bytes: Type.Optional(Type.Integer({ description: "Size of its log and state." })),
});

const Uuid = Type.String({ pattern: "^[0-9a-f-]{36}$" });
const HttpUrl = Type.String({ maxLength: 256, pattern: "^https?://[^\\s/]+$" });
/** `HOST:PORT`, as the other nodes reach it. */
const PeerAddress = Type.String({
  maxLength: 256,
  pattern: "^(\\[[0-9a-fA-F:]+\\]|[A-Za-z0-9.-]+):[1-9][0-9]{0,4}$",
});
const Proof = Type.Optional(
  Type.String({
    description: "HMAC-SHA256 with the cluster's secret over uuid and peer address, in hex.",
    maxLength: 64,
  }),
);
/** More nodes than `membersMax` never form a cluster. */
const meetNodesMax = 64;

const PeerTls = Type.Optional(
  Type.Boolean({ description: "It shows other nodes a certificate and asks for theirs." }),
);

const NodeName = Type.String({
  description: "Id, uuid or address of the node.",
  minLength: 1,
  maxLength: 256,
});
const NodeBody = Type.Object({ node: NodeName });

export const clusterOperations = {
  clusterStatus: readOperation({
    ignoresUnknown: true,
    method: "GET",
    path: "/api/v1/cluster/status",
    tag: "cluster",
    placement: "node",
    summary: "The nodes of the cluster, and in a sentence how it is",
    query: Type.Object({ consistency: consistencyWith("stale") }),
    result: Type.Object({
      mode: Type.String(),
      status: Type.String(),
      summary: Type.String(),
      cluster_id: Type.String(),
      recovery_epoch: Type.Integer({
        description: "How often `corvo recover` has cut the cluster down to one node.",
      }),
      node_id: Type.String(),
      state: Type.String(),
      term: Type.Integer(),
      leader_id: Type.String(),
      leader_addr: Type.String(),
      commit_index: Type.String(),
      applied_index: Type.String(),
      feature_level: Type.Integer({
        description:
          "What the cluster may use; it rises once every node runs a version that knows more.",
      }),
      nodes: Type.Array(Member),
      /** Where there are several: who leads each, as the answering node knows it. */
      shards: Type.Optional(
        Type.Array(
          Type.Object({
            shard: Type.Integer(),
            leader_id: Type.String(),
            term: Type.Integer(),
            commit_index: Type.String(),
            applied_index: Type.String(),
          }),
        ),
      ),
    }),
    answeredBy: "any",
  }),
  joinCluster: operation({
    ignoresUnknown: true,
    method: "POST",
    path: "/api/v1/cluster/join",
    tag: "cluster",
    placement: "global",
    summary: "Add a node; it votes as soon as it has caught up",
    body: Type.Object({
      uuid: Uuid,
      http_url: HttpUrl,
      peer_address: PeerAddress,
      version: Type.String({ maxLength: 64 }),
      proof: Proof,
      peer_tls: PeerTls,
      cluster_id: Type.Optional(
        Type.String({ description: "Cluster that the node already belongs to.", maxLength: 64 }),
      ),
      shards: Type.Optional(
        Type.Integer({ description: "Shards that the cluster is thought to have.", minimum: 1 }),
      ),
    }),
    result: Type.Object({
      cluster_id: Type.String(),
      node_id: Type.String(),
      /** Shards of the cluster; absent means one. */
      shards: Type.Optional(Type.Integer()),
      recovery_epoch: Type.Optional(Type.Integer()),
      peers: Type.Array(
        Type.Object({ id: Type.String(), uuid: Type.String(), peer_address: Type.String() }),
      ),
    }),
    errors: ["CONFLICT", "UNAUTHORIZED"],
  }),
  meetNode: operation({
    ignoresUnknown: true,
    method: "POST",
    path: "/api/v1/cluster/meet",
    tag: "cluster",
    placement: "node",
    summary: "How nodes that are to form a cluster find each other, and those that have one",
    body: Type.Object({
      uuid: Uuid,
      http_url: HttpUrl,
      peer_address: PeerAddress,
      expect: Type.Integer({
        description: "Nodes that it waits for.",
        minimum: 1,
        maximum: meetNodesMax,
      }),
      proof: Proof,
      peer_tls: PeerTls,
    }),
    result: Type.Object({
      uuid: Type.String(),
      http_url: Type.String(),
      cluster_id: Type.Optional(
        Type.String({ description: "Left out by a node that belongs to no cluster yet." }),
      ),
      has_secret: Type.Boolean({ description: "Nodes have to prove that they know a secret." }),
      knows: Type.Array(Type.String(), {
        description: "Nodes that wait as well and that it has met lately.",
      }),
    }),
    errors: ["CONFLICT", "UNAUTHORIZED"],
    answeredBy: "any",
  }),
  removeNode: operation({
    method: "POST",
    path: "/api/v1/cluster/remove",
    tag: "cluster",
    placement: "global",
    summary: "Remove a node for good",
    body: NodeBody,
    result: Status,
    errors: ["NOT_FOUND", "CONFLICT"],
  }),
  transferLeader: operation({
    method: "POST",
    path: "/api/v1/cluster/transfer-leader",
    tag: "cluster",
    placement: "global",
    summary: "Hand leadership to a node, or to the one that is furthest",
    body: Type.Object({ node: Maybe(NodeName) }),
    bodyOptional: true,
    result: Status,
    errors: ["NOT_FOUND", "CONFLICT"],
  }),
  makeSnapshot: operation({
    method: "POST",
    path: "/api/v1/cluster/snapshot",
    tag: "cluster",
    placement: "node",
    summary: "Make a snapshot of a node's state now, and let its log go of what that holds",
    body: Type.Object({ node: Maybe(NodeName) }),
    bodyOptional: true,
    result: Type.Object({
      node_id: Type.String(),
      index: Type.Integer({ description: "Last entry of the log that the snapshot holds." }),
      bytes: Type.Integer(),
      duration_ms: Type.Integer(),
      log_first: Type.Integer({ description: "Where the node's log begins now." }),
    }),
    errors: ["NOT_FOUND"],
    answeredBy: "any",
  }),
  promoteNode: operation({
    method: "POST",
    path: "/api/v1/cluster/promote",
    tag: "cluster",
    placement: "global",
    summary: "Let a learner vote",
    body: NodeBody,
    result: Status,
    errors: ["NOT_FOUND", "CONFLICT"],
  }),
  demoteNode: operation({
    method: "POST",
    path: "/api/v1/cluster/demote",
    tag: "cluster",
    placement: "global",
    summary: "Make a voter a learner: it keeps a copy, and does not count",
    body: NodeBody,
    result: Status,
    errors: ["NOT_FOUND", "CONFLICT"],
  }),
};
