/** The cluster as the operations of the service see it, from membership and consensus. */

import { CorvoError } from "../../base/errors.ts";
import { none } from "../../raft/message.ts";
import type { Group } from "../../replica/group.ts";
import type { Membership } from "../../replica/membership.ts";
import type { Replica } from "../../replica/replica.ts";
import type {
  ClusterControl,
  ClusterMember,
  ClusterView,
  ShardView,
  SnapshotMade,
} from "../../service/cluster.ts";
import { refuseOutOfReach } from "./addresses.ts";
import type { Consensus } from "./consensus.ts";
import { snapshotAt } from "./join.ts";
import { checkPeerTls } from "./peer-tls.ts";
import type { Peers } from "./peers.ts";
import { type ClusterSecrets, checkProof } from "./secret.ts";

/** A member that was silent, or could not be called, for longer counts as unreachable. */
const silentMsMax = 3000;

interface ControlEnv {
  /** The nodes show each other certificates. */
  readonly usesTls: boolean;
  readonly secrets: ClusterSecrets;
  readonly recoveryEpoch: number;
  readonly snapshot: () => Promise<Omit<SnapshotMade, "nodeId">>;
  readonly peers: Peers;
}

/** `shards` are the groups of this node; the first one decides who is a member. */
export function createClusterControl(
  membership: Membership,
  shards: readonly Consensus[],
  env: ControlEnv,
): ClusterControl {
  const [{ group, replica }] = shards as [Consensus];
  const { secrets } = env;
  return {
    view: () => viewOf(membership, group, { ...env, replica, shards }),
    meet: (request) => {
      checkProof(secrets, request);
      checkPeerTls(env.usesTls, request);
      const { uuid, httpUrl, clusterId } = membership.self;
      return { uuid, httpUrl, clusterId, hasSecret: secrets.own !== undefined, knows: [] };
    },
    async join(joiner) {
      checkProof(secrets, joiner);
      checkPeerTls(env.usesTls, joiner);
      const { proof: _, peerTls: __, shards: asked, ...request } = joiner;
      if (asked !== undefined && asked !== shards.length) {
        throw new CorvoError(
          "CONFLICT",
          `node ${request.uuid} was started with --shards ${asked}, and the cluster has ${shards.length}`,
          { hint: "Leave out --shards on nodes that join." },
        );
      }
      refuseOutOfReach(request, membership.members);
      const { recoveryEpoch } = env;
      const answer = await membership.join(request);
      return { ...answer, shards: shards.length, recoveryEpoch, peers: [...answer.peers] };
    },
    remove: (nodeId) => membership.remove(nodeId),
    transferLeadership: (nodeId) => membership.transferLeadership(nodeId),
    setVoter: (nodeId, voter) => membership.setVoter(nodeId, voter),
    async snapshot(nodeId) {
      const { self } = membership;
      const target = nodeId ?? group.state.leader;
      if (target === self.id) return { ...(await env.snapshot()), nodeId: self.id };
      const url = membership.httpUrlOf(target);
      if (url !== undefined) return snapshotAt(url, target);
      throw new CorvoError("UNAVAILABLE", "no leader is known to this node at the moment", {
        retryAfterMs: 250,
        hint: "Name the node whose snapshot is wanted.",
      });
    },
    handOver: () => membership.handOver(),
    leaderUrl: () => membership.httpUrlOf(group.state.leader),
  };
}

function viewOf(
  membership: Membership,
  group: Group,
  env: ControlEnv & { readonly replica: Replica; readonly shards: readonly Consensus[] },
): ClusterView {
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
    shards: env.shards.length === 1 ? [] : env.shards.map(shardView),
    members: membership.members.map((member) => {
      const isSelf = member.id === self.id;
      const voter = env.shards.every((shard) => shard.replica.conf.voters.includes(member.id));
      const progress = membership.progressOf(member.id);
      const lastContactMs = isSelf ? 0 : membership.lastContactMs(member.id);
      const condition = env.peers.conditionOf(member.id);
      const stats = env.peers.statsOf(member.id);
      const isHeard = (stats?.silentMs ?? 0) <= silentMsMax;
      const isReached = (stats?.unreachedMs ?? 0) <= silentMsMax;
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
        state: stateOf({
          isSelf,
          wasHeard: lastContactMs !== undefined,
          // One that is heard and cannot be called gets nothing of the log.
          isInTouch: isHeard && isReached,
          lag,
          isDraining: condition?.isDraining === true,
        }),
        lacksBlobs: condition?.lacksBlobs === true,
        clockSkewMs: isSelf ? 0 : stats?.clockSkewMs,
        isOneWay: isHeard && !isReached,
        failure: isReached ? undefined : stats?.lastFailure,
      };
    }),
  };
}

function shardView({ group, replica }: Consensus, shard: number): ShardView {
  const { term, leader, log } = group.state;
  return {
    shard,
    leaderId: leader === none ? undefined : leader,
    term,
    commitIndex: log.committed,
    appliedIndex: replica.appliedIndex,
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
  wasHeard: boolean;
  isInTouch: boolean;
  lag: number | undefined;
  isDraining: boolean;
}): ClusterMember["state"] {
  if (member.isSelf) return member.isDraining ? "draining" : "ok";
  if (!member.isInTouch) return "unreachable";
  if (!member.wasHeard) return "unknown";
  if (member.isDraining) return "draining";
  return (member.lag ?? 0) > catchingUpEntries ? "catching up" : "ok";
}
