/** Which member of which cluster this node is, or becomes: known from its directory, by joining, or by founding one. */
import { CorvoError } from "../../base/errors.ts";
import type { Logger } from "../../base/ports.ts";
import {
  type FirstPeer,
  type NodeIdentity,
  readNodeIdentity,
  writeNodeIdentity,
} from "../../store/node-identity.ts";
import { leadsHere } from "./addresses.ts";
import { joinCluster, refuseOtherCluster } from "./join.ts";
import type { ClusterSecrets } from "./secret.ts";
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
  readonly secrets: ClusterSecrets;
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
  secrets: { own: undefined, also: undefined },
  clusterId: undefined,
  tls: undefined,
};

export interface Membered {
  readonly identity: NodeIdentity;
  readonly firstPeers: readonly FirstPeer[];
  /** Is it only decided, and to be written once the log has the first entries? */
  readonly isFounder: boolean;
}

/** `expect` is undefined for a node that joins, or founds a cluster alone. */
type WaitingFor = Omit<WaitingOptions, "expect"> &
  Pick<ClusterOptions, "expect" | "clusterId"> & {
    /** What the command line asks for, if anything. */
    readonly shards: number | undefined;
  };

export async function openIdentity(
  directory: string,
  options: WaitingFor,
  logger: Logger,
): Promise<Membered> {
  const known = readNodeIdentity(directory);
  if (known !== undefined) {
    refuseOtherShards(options.shards, known);
    refuseOtherToken(known, options.clusterId);
    if (options.join.length > 0) {
      await refuseOtherCluster(options.join, known, options.self.httpUrl);
      logger.info(
        `node ${known.nodeId} of cluster ${known.clusterId} starts again; --join is not needed any more`,
      );
    }
    return { identity: known, firstPeers: known.firstPeers ?? [], isFounder: false };
  }
  const { shards, expect } = options;
  if (options.join.length === 0) return foundBy(shards, undefined);
  const self = shards === undefined ? options.self : { ...options.self, shards };
  const joined =
    expect === undefined
      ? await joinCluster(options.join, self, logger, options.clusterId)
      : await waitForCluster({ ...options, self, expect }, logger);
  if (joined === undefined) return foundBy(shards, expect);
  const { clusterId, nodeId, recoveryEpoch } = joined;
  const membered = { clusterId, nodeId, recoveryEpoch, shards: joined.shards };
  const identity = { ...membered, ...expecting(expect), firstPeers: joined.peers };
  writeNodeIdentity(directory, identity);
  warnOfDeadEnds(joined.peers, self.peerAddress, logger);
  logger.info(`joined cluster ${joined.clusterId} as node ${joined.nodeId}, a learner for now`);
  return { identity, firstPeers: joined.peers, isFounder: false };
}

/** Those who call are told where members are by the members; an address of their own machine leads back to whoever calls. */
function warnOfDeadEnds(peers: readonly FirstPeer[], own: string, logger: Logger): void {
  if (leadsHere(own)) return;
  for (const { id, peerAddress } of peers) {
    if (peerAddress === own || !leadsHere(peerAddress)) continue;
    logger.warn(
      `node ${id} says that others reach it at ${peerAddress}, which leads to this machine; start it with --peer-bind or --peer-advertise if it runs on another`,
    );
  }
}

function foundBy(shards: number | undefined, expect: number | undefined): Membered {
  const identity = {
    clusterId: crypto.randomUUID(),
    nodeId: 1,
    shards: shards ?? 1,
    recoveryEpoch: 0,
    ...expecting(expect),
  };
  return { identity, firstPeers: [], isFounder: true };
}

/** What an identity says of the voters that are waited for. */
function expecting(expect: number | undefined): { expect?: number } {
  return expect === undefined ? {} : { expect };
}

/** Every queue has its shard by their number, so another number would look for the jobs where they are not. */
function refuseOtherShards(asked: number | undefined, known: NodeIdentity): void {
  if (asked === undefined || asked === known.shards) return;
  throw new CorvoError(
    "CONFLICT",
    `cluster ${known.clusterId} was founded with ${known.shards} ${known.shards === 1 ? "shard" : "shards"}, and --shards ${asked} was given`,
    {
      hint: "The number of shards cannot change: leave out --shards, or choose an empty --data-dir to found another cluster.",
    },
  );
}

function refuseOtherToken(known: NodeIdentity, clusterId: string | undefined): void {
  if (clusterId === undefined || clusterId === known.clusterId) return;
  throw new CorvoError(
    "CONFLICT",
    `this data directory is node ${known.nodeId} of cluster ${known.clusterId}, and the join token is of cluster ${clusterId}`,
    { hint: "Leave out the token, or choose an empty --data-dir to join the other cluster." },
  );
}
