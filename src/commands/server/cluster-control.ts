/** The cluster as the operations of the service see it, from membership and consensus. */

import { CorvoError } from "../../base/errors.ts";
import type { NodeCondition } from "../../net/peer/condition.ts";
import { none } from "../../raft/message.ts";
import type { Group } from "../../replica/group.ts";
import type { Membership } from "../../replica/membership.ts";
import type { Replica } from "../../replica/replica.ts";
import type {
  ClusterControl,
  ClusterMember,
  ClusterView,
  SnapshotMade,
} from "../../service/cluster.ts";
import { snapshotAt } from "./join.ts";
import { checkProof } from "./secret.ts";

/** A member that was silent for this long counts as unreachable. */
const silentMs = 3000;

interface ControlEnv {
  readonly replica: Replica;
  readonly secret: string | undefined;
  readonly recoveryEpoch: number;
  readonly snapshot: () => Promise<Omit<SnapshotMade, "nodeId">>;
  /** How a node is by its own word, this one included. */
  readonly conditionOf: (nodeId: number) => NodeCondition | undefined;
}

export function createClusterControl(
  membership: Membership,
  group: Group,
  env: ControlEnv,
): ClusterControl {
  const { secret } = env;
  return {
    view: () => viewOf(membership, group, env),
    meet: (request) => {
      checkProof(secret, request);
      const { uuid, httpUrl, clusterId } = membership.self;
      return { uuid, httpUrl, clusterId, hasSecret: secret !== undefined, knows: [] };
    },
    async join({ proof, ...request }) {
      checkProof(secret, proof === undefined ? request : { ...request, proof });
      const answer = await membership.join(request);
      return { ...answer, recoveryEpoch: env.recoveryEpoch, peers: [...answer.peers] };
    },
    remove: (nodeId) => membership.remove(nodeId),
    transferLeadership: (nodeId) => membership.transferLeadership(nodeId),
    setVoter: (nodeId, voter) => membership.setVoter(nodeId, voter),
    async snapshot(nodeId) {
      const { self } = membership;
      const target = nodeId ?? group.state.leader;
      if (target === self.id) return { ...(await env.snapshot()), nodeId: self.id };
      const url = membership.members.find((member) => member.id === target)?.httpUrl;
      if (url !== undefined) return snapshotAt(url, target);
      throw new CorvoError("UNAVAILABLE", "no leader is known to this node at the moment", {
        retryAfterMs: 250,
        hint: "Name the node whose snapshot is wanted.",
      });
    },
    handOver: () => membership.handOver(),
    leaderUrl: () => membership.leaderUrl(),
  };
}

function viewOf(membership: Membership, group: Group, env: ControlEnv): ClusterView {
  const { replica } = env;
  const raft = group.state;
  const { self } = membership;
  return {
    clusterId: self.clusterId,
    recoveryEpoch: env.recoveryEpoch,
    featureLevel: replica.engine.featureLevel,
    selfId: self.id,
    role: roleOfSelf(membership, group),
    term: raft.term,
    leaderId: raft.leader === none ? undefined : raft.leader,
    commitIndex: raft.log.committed,
    appliedIndex: replica.appliedIndex,
    members: membership.members.map((member) => {
      const isSelf = member.id === self.id;
      const voter = membership.conf.voters.includes(member.id);
      const progress = membership.progressOf(member.id);
      const lastContactMs = isSelf ? 0 : membership.lastContactMs(member.id);
      const condition = env.conditionOf(member.id);
      const lag = isSelf
        ? raft.log.committed - replica.appliedIndex
        : progress === undefined
          ? undefined
          : Math.max(0, raft.log.lastIndex() - progress.match);
      return {
        id: member.id,
        uuid: member.uuid,
        httpUrl: member.httpUrl,
        peerAddress: member.peerAddress,
        version: member.version,
        voter,
        role: roleOf(member.id, voter, { membership, group }),
        self: isSelf,
        lag,
        lastContactMs,
        disk:
          condition === undefined
            ? undefined
            : { freeBytes: condition.diskFreeBytes, usedBytes: condition.dataBytes },
        state: stateOf({ isSelf, lastContactMs, lag, isDraining: condition?.isDraining === true }),
      };
    }),
  };
}

function roleOfSelf(membership: Membership, group: Group): ClusterView["role"] {
  const { role } = group.state;
  if (role === "leader") return "leader";
  if (!membership.conf.voters.includes(membership.self.id)) return "learner";
  return role === "follower" ? "follower" : "candidate";
}

function roleOf(
  id: number,
  voter: boolean,
  env: { membership: Membership; group: Group },
): ClusterMember["role"] {
  if (id === env.membership.self.id) return roleOfSelf(env.membership, env.group);
  if (id === env.group.state.leader) return "leader";
  if (!voter) return "learner";
  return env.group.state.leader === none ? "unknown" : "follower";
}

/** More entries than this behind is worth telling. */
const catchingUpEntries = 1000;

function stateOf(member: {
  isSelf: boolean;
  lastContactMs: number | undefined;
  lag: number | undefined;
  isDraining: boolean;
}): ClusterMember["state"] {
  if (member.isSelf) return member.isDraining ? "draining" : "ok";
  if (member.lastContactMs === undefined) return "unknown";
  if (member.lastContactMs > silentMs) return "unreachable";
  if (member.isDraining) return "draining";
  return (member.lag ?? 0) > catchingUpEntries ? "catching up" : "ok";
}
