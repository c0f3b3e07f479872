/** Which member of which cluster this node is, or becomes: known from its directory, by joining, or by founding one. */
import { CorvoError } from "../../base/errors.ts";
import type { Logger } from "../../base/ports.ts";
import {
  type NodeIdentity,
  readNodeIdentity,
  writeNodeIdentity,
} from "../../store/node-identity.ts";
import { type Joined, joinCluster, refuseOtherCluster } from "./join.ts";
import { expecting, foundCluster, type Storage } from "./storage.ts";
import { type WaitingOptions, waitForCluster } from "./waiting.ts";

export interface ClusterOptions {
  readonly join: readonly string[];
  /** Nodes that found a cluster together; undefined: one that joins nobody founds one by itself. */
  readonly expect: number | undefined;
  /** Undefined: 127.0.0.1:9000, or a free port when that is taken. */
  readonly peerBind: { readonly host: string; readonly port: number } | undefined;
  /** Address under which the others reach the peer port, when it is not the one it is bound to. */
  readonly peerAdvertise: string | undefined;
  /** URL under which the others reach the HTTP API. */
  readonly advertiseUrl: string | undefined;
  readonly secret: string | undefined;
  /** The only cluster to be part of, from a join token. */
  readonly clusterId: string | undefined;
  /** PEM files for the peer port; both sides of a connection show a certificate then. */
  readonly tls: { readonly cert: string; readonly key: string; readonly ca: string } | undefined;
}

/** A node on its own, reachable for others of this machine. */
export const aloneOptions: ClusterOptions = {
  join: [],
  expect: undefined,
  peerBind: undefined,
  peerAdvertise: undefined,
  advertiseUrl: undefined,
  secret: undefined,
  clusterId: undefined,
  tls: undefined,
};

export interface Membered {
  readonly identity: NodeIdentity;
  readonly firstPeers: Joined["peers"];
}

/** `expect` is undefined for a node that joins, or founds a cluster alone. */
type WaitingFor = Omit<WaitingOptions, "expect"> & Pick<ClusterOptions, "expect" | "clusterId">;

export async function openIdentity(
  storage: Storage,
  options: WaitingFor,
  logger: Logger,
): Promise<Membered> {
  const known = readNodeIdentity(storage.dir.path);
  if (known !== undefined) {
    refuseOtherToken(known, options.clusterId);
    if (options.join.length > 0) {
      await refuseOtherCluster(options.join, known, options.self.httpUrl);
      logger.info(
        `node ${known.nodeId} of cluster ${known.clusterId} starts again; --join is not needed any more`,
      );
    }
    return { identity: known, firstPeers: [] };
  }
  if (options.join.length === 0) {
    return { identity: await foundCluster(storage), firstPeers: [] };
  }
  const { expect } = options;
  const joined =
    expect === undefined
      ? await joinCluster(options.join, options.self, logger, options.clusterId)
      : await waitForCluster({ ...options, expect }, logger);
  if (joined === undefined) {
    return { identity: await foundCluster(storage, expect), firstPeers: [] };
  }
  const { clusterId, nodeId, recoveryEpoch } = joined;
  const identity = { clusterId, nodeId, recoveryEpoch, ...expecting(expect) };
  writeNodeIdentity(storage.dir.path, identity);
  logger.info(`joined cluster ${joined.clusterId} as node ${joined.nodeId}, a learner for now`);
  return { identity, firstPeers: joined.peers };
}

function refuseOtherToken(known: NodeIdentity, clusterId: string | undefined): void {
  if (clusterId === undefined || clusterId === known.clusterId) return;
  throw new CorvoError(
    "CONFLICT",
    `this data directory is node ${known.nodeId} of cluster ${known.clusterId}, and the join token is of cluster ${clusterId}`,
    { hint: "Leave out the token, or choose an empty --data-dir to join the other cluster." },
  );
}
