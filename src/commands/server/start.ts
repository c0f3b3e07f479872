/**
 * The wiring of a node: real clock, disk and sockets around replica, service, HTTP and peers. Nothing else in the program
 * knows all of them.
 */
import type { Logger } from "../../base/ports.ts";
import { formatDuration } from "../../base/time.ts";
import type { Retention } from "../../engine/change.ts";
import type { Effects } from "../../engine/outcome.ts";
import { type App, createApp } from "../../net/http/app.ts";
import { defaultHttpLimits } from "../../net/http/limits.ts";
import { Balance } from "../../replica/balance.ts";
import { Membership } from "../../replica/membership.ts";
import { ShardMembers } from "../../replica/shard-members.ts";
import { Ticker } from "../../replica/ticker.ts";
import { type DataDir, openDataDir } from "../../store/data-dir.ts";
import type { NodeIdentity } from "../../store/node-identity.ts";
import { buildVersion } from "../_shared/build.ts";
import { systemClock, systemTimers } from "../_shared/system.ts";
import { createClusterControl, silentMs } from "./cluster-control.ts";
import { type ConsensusEnv, createConsensus, lead, tickMs } from "./consensus.ts";
import {
  aloneOptions,
  type ClusterOptions,
  choosePeerBind,
  clusterSecret,
  joinProof,
  openIdentity,
  reachableHost,
  tryPort,
} from "./identity.ts";
import { announce, type JoinSelf } from "./join.ts";
import { createPeers, type Peers } from "./peers.ts";
import { createRouting } from "./routing.ts";
import {
  countLive,
  openShard,
  type Shard,
  type ShardCore,
  stopShard,
  whenLeading,
} from "./shard.ts";
import { conditionOf } from "./sizes.ts";
import { snapshotNow } from "./snapshot-now.ts";
import { foundCluster, openStorage, type Storage } from "./storage.ts";

export interface ServerOptions {
  readonly host: string;
  readonly port: number;
  readonly dataDir: string;
  /** Shards of a cluster that is founded. Undefined: one, or what the cluster has. */
  readonly shards?: number | undefined;
  readonly cachedJobsMax: number;
  /** Applied entries that the log keeps for nodes that are behind. */
  readonly logTailEntries: number;
  readonly requireLeaseToken: boolean;
  readonly payloadBytesMax: number;
  readonly bodyBytesMax: number;
  readonly retention: Retention;
  /** Default: a node on its own. */
  readonly cluster?: ClusterOptions;
}

/** Why a node cannot go on as it is. */
export type Ending =
  | { readonly kind: "failed"; readonly reason: string }
  /** It has received a newer state, which only a new start can take on. */
  | { readonly kind: "restart"; readonly reason: string };

/** How long a node with several shards waits for further snapshots after the first. */
const moreSnapshotsMs = 1000;

export interface RunningServer {
  readonly url: string;
  readonly peerAddress: string;
  readonly nodeId: number;
  readonly clusterId: string;
  readonly storeId: string;
  readonly liveJobs: number;
  readonly replayed: number;
  readonly startMs: number;
  readonly isAlone: boolean;
  readonly ended: Promise<Ending>;
  /** Stops taking work, waits at most `graceMs` for what runs, stores the state. */
  stop(graceMs: number): Promise<void>;
}

type PeerBind = { readonly host: string; readonly port: number };
type FullOptions = ServerOptions & { readonly cluster: ClusterOptions };

interface Parts {
  readonly storage: Storage;
  readonly peers: Peers;
  readonly membership: Membership;
  readonly duties: ShardDuties;
  readonly shards: readonly Shard[];
}

export async function startServer(asked: ServerOptions, logger: Logger): Promise<RunningServer> {
  const startedMs = systemClock.monotonicMs();
  const options = { ...asked, cluster: asked.cluster ?? aloneOptions };
  const peerBind = await choosePeerBind(options.cluster.peerBind);
  const { promise: ended, resolve: end } = Promise.withResolvers<Ending>();
  const { self, port, identity, firstPeers, storage } = await openNode(options, peerBind, logger);
  const { secret: clusterText, tls } = options.cluster;
  const secret = clusterSecret(clusterText, identity.clusterId, peerBind.host);

  const cores = createCores(storage, identity, {
    logger,
    fail: (reason) => end({ kind: "failed", reason }),
    onEffects: (shard, effects) => shards[shard]?.node.onEffects(effects),
    peers: () => peers,
    onConf: () => membership?.confChanged(),
    ticker: storage.shards.length === 1 ? undefined : new Ticker(systemTimers, tickMs),
    logTailEntries: options.logTailEntries,
  });
  const [first] = cores as [ShardCore, ...ShardCore[]];
  const peers: Peers = createPeers(
    {
      ...identity,
      uuid: self.uuid,
      secret,
      tls,
      files: storage.shards.map(({ files }) => files),
      snapshotDirectory: first.storage.files.snapshotPath,
      firstPeers,
    },
    {
      logger,
      shards: () => cores,
      condition: () => conditionOf(storage),
      onSnapshotKept: restartSoon(cores.length, () =>
        end({ kind: "restart", reason: "a newer state was received" }),
      ),
    },
  );
  const membership: Membership = createMembership(cores, peers, {
    self: { ...self, id: identity.nodeId, clusterId: identity.clusterId },
    logger,
  });
  const duties = createShardDuties(cores, peers, logger);
  const cluster = createClusterControl(membership, cores, {
    conditionOf: (nodeId) =>
      nodeId === identity.nodeId ? conditionOf(storage) : peers.conditionOf(nodeId),
    secret: clusterText,
    snapshot: () => snapshotNow(cores, systemClock),
  });
  const shardEnv = { ...options, logger, cluster, storeId: self.uuid, shards: cores.length };
  const shards = await Promise.all(cores.map((core) => openShard(core, shardEnv)));
  const stored = cores.map(({ replica }) => replica.appliedIndex);
  for (const shard of shards) whenLeading(shard, options.retention, logger);
  peers.transport.listen(peerBind.host, peerBind.port);
  const [isAlone] = await Promise.all(cores.map(({ group, replica }) => lead(group, replica)));
  const replayed = cores.map(({ replica }, i) => replica.appliedIndex - (stored[i] ?? 0));
  for (const { replica } of cores) replica.start();
  membership.start();
  duties.start();

  const parts: Parts = { storage, peers, membership, duties, shards };
  const app = openApp(parts, options, { logger, end });
  const url = app.listen(options.host, port);
  membership.setHttpUrl(options.cluster.advertiseUrl ?? reachableUrl(url));
  if (isAlone === true) {
    await membership.keepOwnRecord();
    await membership.raiseFeatureLevel();
    await duties.settle();
  }
  return {
    ...identity,
    url,
    peerAddress: self.peerAddress,
    storeId: self.uuid,
    liveJobs: sum(cores.map(countLive)),
    replayed: sum(replayed),
    startMs: systemClock.monotonicMs() - startedMs,
    isAlone: isAlone === true,
    ended,
    stop: (graceMs) => stopAll(parts, app, graceMs),
  };
}

/** Who this node is, and what it has on disk. */
async function openNode(options: FullOptions, peerBind: PeerBind, logger: Logger) {
  const dir = openDataDir(options.dataDir);
  try {
    const port = await httpPortToTell(options);
    const self = describeSelf(dir, { ...options, port }, peerBind);
    const asking = { join: options.cluster.join, self, shards: options.shards };
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

interface CoresEnv extends Omit<ConsensusEnv, "onEffects"> {
  readonly onEffects: (shard: number, effects: Effects) => void;
}

function createCores(storage: Storage, identity: NodeIdentity, env: CoresEnv): ShardCore[] {
  return storage.shards.map((stored) => ({
    shard: stored.shard,
    storage: stored,
    ...createConsensus(stored, identity, {
      ...env,
      onEffects: (effects) => env.onEffects(stored.shard, effects),
    }),
  }));
}

async function stopAll(parts: Parts, app: App, graceMs: number): Promise<void> {
  const { storage, peers, membership, duties, shards } = parts;
  for (const { node } of shards) node.planner.stop();
  membership.stop();
  duties.stop();
  await membership.handOver();
  await app.stop(graceMs);
  await Promise.all(shards.map(stopShard));
  peers.transport.stop();
  await storage.close();
}

/** One start takes on what several shards have received: those that follow soon are waited for. */
function restartSoon(shards: number, restart: () => void): () => void {
  if (shards === 1) return restart;
  let isDue = false;
  return () => {
    if (isDue) return;
    isDue = true;
    systemTimers.after(moreSnapshotsMs, restart);
  };
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}

/** A node that joins tells the others where it listens before it does; any other takes a free port when it listens. */
async function httpPortToTell({ host, port, cluster }: FullOptions): Promise<number> {
  return port === 0 && cluster.join.length > 0 ? tryPort(host, 0) : port;
}

function reachableUrl(url: string): string {
  const { hostname, port } = new URL(url);
  return `http://${reachableHost(hostname)}:${port}`;
}

function describeSelf(dir: DataDir, options: FullOptions, peerBind: PeerBind): JoinSelf {
  const { cluster } = options;
  const uuid = dir.storeId;
  const peerAddress = cluster.peerAdvertise ?? `${reachableHost(peerBind.host)}:${peerBind.port}`;
  const proof = joinProof(cluster.secret, uuid, peerAddress);
  return {
    uuid,
    httpUrl: cluster.advertiseUrl ?? `http://${reachableHost(options.host)}:${options.port}`,
    peerAddress,
    version: buildVersion,
    ...(proof === undefined ? {} : { proof }),
  };
}

interface ShardDuties {
  start(): void;
  stop(): void;
  /** For a node alone: what the other shards take over from shard 0 is there when this resolves. */
  settle(): Promise<void>;
}

/** What keeps the shards together: they follow shard 0, and their leaders are spread. */
function createShardDuties(cores: readonly ShardCore[], peers: Peers, logger: Logger): ShardDuties {
  const [main, ...others] = cores as [ShardCore, ...ShardCore[]];
  const members = others.map(
    (own) => new ShardMembers({ shard: own.shard, own, main, timers: systemTimers, logger }),
  );
  const self = main.group.state.id;
  const balance = new Balance({
    shards: cores,
    timers: systemTimers,
    logger,
    isLive: (id) => id === self || (peers.lastContactMs(id) ?? silentMs) < silentMs,
  });
  const all = others.length === 0 ? [] : [...members, balance];
  return {
    start: () => {
      for (const duty of all) duty.start();
    },
    stop: () => {
      for (const duty of all) duty.stop();
    },
    async settle() {
      for (const member of members) await member.duty();
    },
  };
}

function createMembership(
  cores: readonly ShardCore[],
  peers: Peers,
  env: { self: ConstructorParameters<typeof Membership>[1]; logger: Logger },
): Membership {
  const [{ group, replica }, ...others] = cores as [ShardCore, ...ShardCore[]];
  return new Membership(
    {
      group,
      replica,
      others,
      timers: systemTimers,
      clock: systemClock,
      logger: env.logger,
      lastContactMs: (nodeId) => peers.lastContactMs(nodeId),
      onMembers: (members) => peers.setMembers(members),
      announce,
    },
    env.self,
  );
}

function openApp(
  parts: Parts,
  options: ServerOptions,
  env: { logger: Logger; end: (ending: Ending) => void },
): App {
  return createApp({
    ...createRouting(parts.shards, parts.membership),
    limits: {
      ...defaultHttpLimits,
      payloadBytesMax: options.payloadBytesMax,
      bodyBytesMax: options.bodyBytesMax,
    },
    logger: env.logger,
    clock: systemClock,
    timers: systemTimers,
    onBug: (error) =>
      env.end({
        kind: "failed",
        reason: `a guarantee of the program was broken: ${error.message}`,
      }),
  });
}

/** The line that a start prints about what it found. */
export function describeStart(server: RunningServer): string {
  const replayed = server.replayed === 0 ? "" : `, ${server.replayed} log entries replayed`;
  return `${server.liveJobs.toLocaleString("en-US")} live jobs${replayed}, ready in ${formatDuration(Math.max(1, server.startMs))}`;
}
