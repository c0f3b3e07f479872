/**
 * The wiring of a node: real clock, disk and sockets around replica, service, HTTP and peers. Nothing else in the program
 * knows all of them.
 */
import type { Logger } from "../../base/ports.ts";
import { formatDuration } from "../../base/time.ts";
import type { Retention } from "../../engine/change.ts";
import { type App, createApp } from "../../net/http/app.ts";
import { Drain } from "../../net/http/drain.ts";
import { defaultHttpLimits } from "../../net/http/limits.ts";
import type { Group } from "../../replica/group.ts";
import { Membership } from "../../replica/membership.ts";
import type { Replica } from "../../replica/replica.ts";
import { Node } from "../../service/node.ts";
import { createService } from "../../service/service.ts";
import { parseToken } from "../../service/views.ts";
import { type NodeIdentity, writeNodeIdentity } from "../../store/node-identity.ts";
import { QueryStore } from "../../store/query-store.ts";
import { buildCommit, buildVersion } from "../_shared/build.ts";
import { systemClock, systemTimers } from "../_shared/system.ts";
import { choosePeerBind, reachableHost, tryPort } from "./addresses.ts";
import { createClusterControl } from "./cluster-control.ts";
import { type Consensus, createConsensus, lead } from "./consensus.ts";
import { FormingGate } from "./forming-gate.ts";
import { aloneOptions, type ClusterOptions, openIdentity } from "./identity.ts";
import { announce, type JoinSelf } from "./join.ts";
import { createPeers, type Peers } from "./peers.ts";
import { clusterSecret, joinProof } from "./secret.ts";
import { conditionOf, sizesOf } from "./sizes.ts";
import { snapshotNow } from "./snapshot-now.ts";
import { mainGroup, openStorage, type Storage } from "./storage.ts";

export interface ServerOptions {
  readonly host: string;
  readonly port: number;
  readonly dataDir: string;
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

type FullOptions = ServerOptions & { readonly cluster: ClusterOptions };

interface Parts {
  readonly storage: Storage;
  readonly consensus: Consensus;
  readonly peers: Peers;
  readonly membership: Membership;
  readonly search: QueryStore;
  readonly node: Node;
  readonly drain: Drain;
  readonly gate: FormingGate;
}

export async function startServer(asked: ServerOptions, logger: Logger): Promise<RunningServer> {
  const startedMs = systemClock.monotonicMs();
  const options = { ...asked, cluster: asked.cluster ?? aloneOptions };
  const peerBind = await choosePeerBind(options.cluster.peerBind);
  const storage = await openStorage(options, logger);
  const { promise: ended, resolve: end } = Promise.withResolvers<Ending>();
  const port = await httpPortToTell(options);
  const self = describeSelf(storage, { ...options, port }, peerBind);
  const { identity, firstPeers } = await openIdentity(
    storage,
    { ...options.cluster, self, host: options.host, port },
    logger,
  );
  const secret = clusterSecret(options.cluster.secret, identity.clusterId, peerBind.host);

  const consensus: Consensus = createConsensus(storage, identity, {
    logger,
    fail: (reason) => end({ kind: "failed", reason }),
    onEffects: (effects) => node.onEffects(effects),
    peers: () => peers,
    onConf: () => {
      membership?.confChanged();
      gate?.look();
    },
    logTailEntries: options.logTailEntries,
  });
  const { replica, group } = consensus;
  const drain = createDrain(replica, () => node.ownStreamLeases());
  const gate: FormingGate = createGate(storage, identity, { replica, logger });
  const peers: Peers = createPeers(
    {
      ...identity,
      uuid: self.uuid,
      secret,
      tls: options.cluster.tls,
      directory: storage.dir.path,
      snapshotDirectory: storage.snapshotPath,
      firstPeers,
    },
    {
      logger,
      group: () => group,
      snapshots: () => consensus.snapshots,
      condition: () => conditionOf(storage, drain),
      onSnapshotKept: () => end({ kind: "restart", reason: "a newer state was received" }),
    },
  );
  const membership: Membership = createMembership(consensus, peers, {
    self: { ...self, id: identity.nodeId, clusterId: identity.clusterId },
    logger,
  });
  const search = await QueryStore.open(storage.statePath, { flush: () => replica.flushState() });
  const env = { options, search, logger, membership, consensus, peers, drain, identity };
  const node = createNode(storage, replica, env);
  const storedIndex = replica.appliedIndex;
  keepRetention(group, replica, options.retention, logger);
  group.whenReady(() => node.lead());
  peers.transport.listen(peerBind.host, peerBind.port);
  const isAlone = await lead(group, replica);
  gate.look();
  const replayed = replica.appliedIndex - storedIndex;
  replica.start();
  membership.start();

  const parts: Parts = { storage, consensus, peers, membership, search, node, drain, gate };
  const app = openApp(parts, options, { logger, end });
  const url = app.listen(options.host, port);
  membership.setHttpUrl(options.cluster.advertiseUrl ?? reachableUrl(url));
  if (isAlone) await settleAlone(membership);
  return {
    url,
    peerAddress: self.peerAddress,
    nodeId: identity.nodeId,
    clusterId: identity.clusterId,
    storeId: storage.dir.storeId,
    liveJobs: countLive(replica),
    replayed,
    startMs: systemClock.monotonicMs() - startedMs,
    isAlone,
    ended,
    stop: (graceMs) => stopAll(parts, app, graceMs),
  };
}

/** Nobody else has to agree, so it is done before the first call is served. */
async function settleAlone(membership: Membership): Promise<void> {
  await membership.keepOwnRecord();
  await membership.raiseFeatureLevel();
}

async function stopAll(parts: Parts, app: App, graceMs: number): Promise<void> {
  const { storage, consensus, peers, membership, search } = parts;
  parts.node.stop();
  membership.stop();
  await membership.handOver();
  await app.stop(graceMs);
  await consensus.replica.stop();
  consensus.group.stop();
  peers.transport.stop();
  await search.close();
  await storage.close();
}

/** A node that joins tells the others where it listens before it does; any other takes a free port when it listens. */
async function httpPortToTell({ host, port, cluster }: FullOptions): Promise<number> {
  return port === 0 && cluster.join.length > 0 ? tryPort(host, 0) : port;
}

function reachableUrl(url: string): string {
  const { hostname, port } = new URL(url);
  return `http://${reachableHost(hostname)}:${port}`;
}

function describeSelf(
  storage: Storage,
  options: FullOptions,
  peerBind: { host: string; port: number },
): JoinSelf {
  const { cluster } = options;
  const uuid = storage.dir.storeId;
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

function createMembership(
  consensus: Consensus,
  peers: Peers,
  env: { self: ConstructorParameters<typeof Membership>[1]; logger: Logger },
): Membership {
  return new Membership(
    {
      ...consensus,
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

function createNode(
  storage: Storage,
  replica: Replica,
  env: {
    options: FullOptions;
    search: QueryStore;
    logger: Logger;
    membership: Membership;
    consensus: Consensus;
    peers: Peers;
    drain: Drain;
    identity: NodeIdentity;
  },
): Node {
  return new Node(
    replica,
    {
      clock: systemClock,
      timers: systemTimers,
      logger: env.logger,
      search: env.search,
      attemptsOf: (job) => storage.store.state.attemptsOf(job),
      fingerprint: (text) => new Bun.CryptoHasher("sha256").update(text).digest("hex"),
      sizes: () => sizesOf(storage),
      cluster: createClusterControl(env.membership, env.consensus.group, {
        replica,
        snapshot: () => snapshotNow(storage, env.consensus, systemClock),
        conditionOf: (nodeId) =>
          nodeId === env.membership.self.id
            ? conditionOf(storage, env.drain)
            : env.peers.conditionOf(nodeId),
        secret: env.options.cluster.secret,
        recoveryEpoch: env.identity.recoveryEpoch,
      }),
      drain: env.drain,
    },
    {
      shard: mainGroup,
      requireLeaseToken: env.options.requireLeaseToken,
      serverVersion: buildVersion,
      commit: buildCommit,
      nodeId: storage.dir.storeId,
      durability: "fsync before every acknowledgement",
    },
  );
}

function openApp(
  parts: Parts,
  options: ServerOptions,
  env: { logger: Logger; end: (ending: Ending) => void },
): App {
  const service = createService(parts.node);
  return createApp({
    handlers: parts.gate.guardHandlers(service.handlers),
    stream: parts.gate.guardStream(service.stream),
    forward: {
      isLeader: () => parts.consensus.replica.isLeader,
      leaderUrl: () => parts.membership.leaderUrl(),
    },
    drain: parts.drain,
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

function createGate(
  storage: Storage,
  identity: NodeIdentity,
  env: { replica: Replica; logger: Logger },
): FormingGate {
  const { expect, ...formed } = identity;
  return new FormingGate({
    expect,
    voterCount: () => env.replica.conf.voters.length,
    onOpen: () => writeNodeIdentity(storage.dir.path, formed),
    logger: env.logger,
  });
}

function createDrain(replica: Replica, streamLeases: () => Iterable<number>): Drain {
  return new Drain({
    tokenOf: parseToken,
    streamLeases,
    isLive: (token) => replica.engine.mayHoldLease(token),
  });
}

/** The policy is part of the replicated state, so that every node removes the same jobs; whoever leads keeps it true. */
function keepRetention(group: Group, replica: Replica, retention: Retention, logger: Logger): void {
  group.whenReady(() => {
    if (JSON.stringify(replica.engine.state.meta.retention) === JSON.stringify(retention)) return;
    replica.submit({ kind: "configure", retention }).catch((error: unknown) => {
      logger.warn("the retention could not be set", { error });
    });
  });
}

function countLive(replica: Replica): number {
  let live = 0;
  for (const { counts } of replica.engine.state.queues()) {
    live += counts.pending + counts.scheduled + counts.active + counts.retrying + counts.held;
  }
  return live;
}

/** The line that a start prints about what it found. */
export function describeStart(server: RunningServer): string {
  const replayed = server.replayed === 0 ? "" : `, ${server.replayed} log entries replayed`;
  return `${server.liveJobs.toLocaleString("en-US")} live jobs${replayed}, ready in ${formatDuration(Math.max(1, server.startMs))}`;
}
