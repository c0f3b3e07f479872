/** The first half of a start: who this node is, what it has on disk, and what holds it back from giving out work. */
import { shardsMax } from "../../base/placement.ts";
import type { Logger } from "../../base/ports.ts";
import { Drain } from "../../net/http/drain.ts";
import { parseToken } from "../../service/views.ts";
import { type DataDir, openDataDir } from "../../store/data-dir.ts";
import { type NodeIdentity, writeNodeIdentity } from "../../store/node-identity.ts";
import { buildVersion } from "../_shared/build.ts";
import { freePort, hostAndPort, reachableHost } from "./addresses.ts";
import { FormingGate } from "./forming-gate.ts";
import { type Membered, openIdentity } from "./identity.ts";
import type { JoinSelf } from "./join.ts";
import { joinProof } from "./secret.ts";
import type { Shard, ShardCore } from "./shard.ts";
import type { FullOptions } from "./start.ts";
import { foundCluster, openStorage, type Storage } from "./storage.ts";

type PeerBind = { readonly host: string; readonly port: number };

interface OpenedNode extends Omit<Membered, "isFounder"> {
  readonly self: JoinSelf;
  /** Of the HTTP API; 0 takes a free one. */
  readonly port: number;
  readonly storage: Storage;
}

export async function openNode(
  options: FullOptions,
  peerBind: PeerBind,
  logger: Logger,
): Promise<OpenedNode> {
  const dir = openDataDir(options.dataDir);
  try {
    const port = await httpPortToTell(options);
    const self = describeSelf(dir, { ...options, port }, peerBind);
    const { host, shards: asked, cluster } = options;
    const asking = { ...cluster, self, host, port, shards: asked };
    const { isFounder, ...membered } = await openIdentity(dir.path, asking, logger);
    const { shards } = membered.identity;
    const storage = await openStorage(dir, { ...options, shards }, logger);
    if (isFounder) await foundCluster(storage, membered.identity);
    return { ...membered, self, port, storage };
  } catch (error) {
    dir.close();
    throw error;
  }
}

/** A node that joins tells the others where it listens before it does; any other takes a free port when it listens. */
async function httpPortToTell({ host, port, cluster }: FullOptions): Promise<number> {
  return port === 0 && cluster.join.length > 0 ? freePort(host) : port;
}

function describeSelf(dir: DataDir, options: FullOptions, peerBind: PeerBind): JoinSelf {
  const { cluster } = options;
  const uuid = dir.storeId;
  const peerAddress =
    cluster.peerAdvertise ?? hostAndPort(reachableHost(peerBind.host), peerBind.port);
  const proof = joinProof(cluster.secrets.own, uuid, peerAddress);
  return {
    uuid,
    httpUrl:
      cluster.advertiseUrl ?? `http://${hostAndPort(reachableHost(options.host), options.port)}`,
    peerAddress,
    version: buildVersion,
    peerTls: cluster.tls !== undefined,
    ...(proof === undefined ? {} : { proof }),
  };
}

/** A node votes when it does so in every shard. */
export function createGate(
  storage: Storage,
  identity: NodeIdentity,
  env: { readonly cores: readonly ShardCore[]; readonly logger: Logger },
): FormingGate {
  const { expect, ...formed } = identity;
  return new FormingGate({
    expect,
    voterCount: () => Math.min(...env.cores.map(({ replica }) => replica.conf.voters.length)),
    onOpen: () => writeNodeIdentity(storage.dir.path, formed),
    logger: env.logger,
  });
}

export function createDrain(cores: readonly ShardCore[], shards: () => readonly Shard[]): Drain {
  const [only, ...others] = cores as [ShardCore, ...ShardCore[]];
  if (others.length > 0) return createShardedDrain(cores, shards);
  return new Drain({
    tokenOf: parseToken,
    streamLeases: () => shards().flatMap(({ node }) => [...node.ownStreamLeases()]),
    isLive: (token) => only.replica.engine.mayHoldLease(token),
  });
}

/** Tokens are numbers of their shard. Where there are several, a lease is known by both, and no text says it by its token. */
function createShardedDrain(cores: readonly ShardCore[], shards: () => readonly Shard[]): Drain {
  return new Drain({
    tokenOf: () => -1,
    streamLeases: () =>
      shards().flatMap(({ node, shard }) =>
        [...node.ownStreamLeases()].map((token) => leaseNumber(shard, token)),
      ),
    isLive: (lease) => {
      const token = Math.floor(lease / shardsMax);
      return cores[lease % shardsMax]?.replica.engine.mayHoldLease(token) === true;
    },
  });
}

/** One number for a token and its shard. */
export function leaseNumber(shard: number, token: number): number {
  return token * shardsMax + shard;
}
