/** The cluster as a node without a peer address sees it: itself. */
import { CorvoError } from "../../base/errors.ts";
import type { Group } from "../../replica/group.ts";
import type { ClusterControl, ClusterView } from "../../service/cluster.ts";
import type { NodeIdentity } from "../../store/node-identity.ts";

export interface SingleNode {
  readonly identity: NodeIdentity;
  readonly uuid: string;
  readonly version: string;
  readonly group: Group;
  readonly httpUrl: () => string;
}

export function singleNodeControl(node: SingleNode): ClusterControl {
  const refuse = async () => {
    throw new CorvoError("CONFLICT", "this node was started without a peer address", {
      hint: "Start the server with a peer address to form a cluster.",
    });
  };
  return {
    view: () => viewOf(node),
    join: refuse,
    remove: refuse,
    transferLeadership: refuse,
    setVoter: refuse,
    leaderUrl: () => undefined,
  };
}

function viewOf({ identity, uuid, version, group, httpUrl }: SingleNode): ClusterView {
  const { state } = group;
  const role = state.role === "preCandidate" ? "candidate" : state.role;
  const isLeader = role === "leader";
  return {
    clusterId: identity.clusterId,
    selfId: identity.nodeId,
    role,
    term: state.term,
    leaderId: isLeader ? identity.nodeId : undefined,
    commitIndex: state.log.committed,
    appliedIndex: group.appliedIndex,
    members: [
      {
        id: identity.nodeId,
        uuid,
        httpUrl: httpUrl(),
        peerAddress: "",
        version,
        voter: true,
        role,
        self: true,
        lag: 0,
        lastContactMs: 0,
        state: isLeader ? "ok" : "unknown",
      },
    ],
  };
}
