/**
 * The wiring of a node: real clock, disk and sockets around replica, service, HTTP and peers. Nothing else in the program
 * knows all of them.
 */
import type { Logger } from "../../base/ports.ts";
import { formatDuration } from "../../base/time.ts";
import type { Retention } from "../../engine/change.ts";
import { type App, createApp } from "../../net/http/app.ts";
import type { Drain } from "../../net/http/drain.ts";
import { defaultHttpLimits } from "../../net/http/limits.ts";
import type { AllowRule } from "../../net/outbound/address.ts";
import { Membership } from "../../replica/membership.ts";
import { Ticker } from "../../replica/ticker.ts";
import type { Node } from "../../service/node.ts";
import type { EventRetention } from "../../store/event-rows.ts";
import type { NodeIdentity } from "../../store/node-identity.ts";
import { systemClock, systemTimers } from "../_shared/system.ts";
import { holdPeerPort, reachableHost } from "./addresses.ts";
import { createBackupControl } from "./backup.ts";
import { BlobReadiness, blobsOf } from "./blob-readiness.ts";
import { type BlobOptions, type Blobs, openBlobs } from "./blobs.ts";
import { createClusterControl } from "./cluster-control.ts";
import { type ConsensusEnv, createConsensus, lead, tickMs } from "./consensus.ts";
import type { FormingGate } from "./forming-gate.ts";
import { aloneOptions, type ClusterOptions } from "./identity.ts";
import { announce } from "./join.ts";
import { createLeaderWatch, type LeaderWatch } from "./leader-watch.ts";
import { metricsText } from "./metrics.ts";
import { createDrain, createGate, openNode } from "./open-node.ts";
import { createPeers, type Peers } from "./peers.ts";
import { createRouting } from "./routing.ts";
import { peerSecrets } from "./secret.ts";
import {
  countLive,
  openShard,
  type Shard,
  type ShardCore,
  stopShard,
  whenLeading,
} from "./shard.ts";
import { createShardDuties, type ShardDuties } from "./shard-duties.ts";
import { conditionOf } from "./sizes.ts";
import { snapshotNow } from "./snapshot-now.ts";
import type { Storage } from "./storage.ts";
import { LoopWatch } from "./timings.ts";

export interface ServerOptions extends BlobOptions {
  readonly host: string;
  readonly port: number;
  readonly dataDir: string;
  /** Shards of a cluster that is founded. Undefined: one, or what the cluster has. */
  readonly shards?: number | undefined;
  readonly cachedJobsMax: number;
  /** Keep an index of texts for searches. Undefined: yes. */
  readonly textIndex?: boolean | undefined;
  /** Applied entries that the log keeps for nodes that are behind. */
  readonly logTailEntries: number;
  readonly requireLeaseToken: boolean;
  readonly payloadBytesMax: number;
  readonly bodyBytesMax: number;
  /** Payloads and results longer than this are kept compressed; 0 means never. Default 4 KiB. */
  readonly compressAboveBytes?: number;
  /** Addresses that webhooks may have besides public ones. Default: none. */
  readonly webhookAllow?: readonly AllowRule[];
  readonly retention: Retention;
  /** Life-cycle events that this node keeps; default: a million, in 256 MiB, for a day. */
  readonly events?: EventRetention;
  /** Default: a node on its own. */
  readonly cluster?: ClusterOptions;
}

/** Why a node cannot go on as it is. */
export type Ending =
  | { readonly kind: "failed"; readonly reason: string }
  /** It has received a newer state, which only a new start can take on. */
  | { readonly kind: "restart"; readonly reason: string }
  /** It is no member of its cluster any more. */
  | { readonly kind: "removed"; readonly reason: string };

/** A node that was silent for so long is given no shard to lead: until it answers, nobody would lead it. */
const silentMs = 400;

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

export type FullOptions = ServerOptions & { readonly cluster: ClusterOptions };

interface Parts {
  readonly storage: Storage;
  readonly peers: Peers;
  readonly membership: Membership;
  readonly duties: ShardDuties;
  readonly shards: readonly Shard[];
  readonly drain: Drain;
  readonly gate: FormingGate;
  readonly blobs: Blobs;
  readonly leaderWatch: LeaderWatch;
  readonly loop: LoopWatch;
}

export async function startServer(asked: ServerOptions, logger: Logger): Promise<RunningServer> {
  const startedMs = systemClock.monotonicMs();
  const options = { ...asked, cluster: asked.cluster ?? aloneOptions };
  const peerBind = await holdPeerPort(options.cluster.peerBind);
  const { promise: ended, resolve: end } = Promise.withResolvers<Ending>();
  const opened = openNode(options, peerBind, logger);
  opened.catch(() => peerBind.release());
  const { self, port, identity, firstPeers, storage } = await opened;
  const { secrets, tls, join } = options.cluster;
  const known = peerSecrets(secrets, identity.clusterId, peerBind.host);

  // A node that was away is told of others, and given entries to apply, while its shards are being opened.
  let shards: readonly Shard[] = [];
  const cores = createCores(storage, identity, {
    logger,
    fail: (reason) => end({ kind: "failed", reason }),
    onBlobsChanged: () => blobs?.keeper.changed(),
    node: (shard) => shards[shard]?.node,
    peers: () => peers,
    onConf: () => {
      membership?.confChanged();
      gate?.look();
    },
    onMail: () => duties?.lookAtMail(),
    logTailEntries: options.logTailEntries,
    isDiskShort: () => blobs?.disk.isShort === true,
  });
  const drain = createDrain(cores, () => shards);
  const gate: FormingGate = createGate(storage, identity, { cores, logger });
  const peers: Peers = createPeers(
    { ...identity, uuid: self.uuid, ...known, tls, ...snapshotFiles(storage), firstPeers },
    {
      logger,
      shards: () => cores,
      condition: () => conditionOf(storage, cores, { drain, blobs }),
      onSnapshotKept: restartSoon(cores.length, end),
    },
  );
  const blobReadiness = new BlobReadiness(cores.map(blobsOf), peers, systemClock);
  const membership: Membership = createMembership(cores, peers, {
    self: { ...self, id: identity.nodeId, clusterId: identity.clusterId },
    logger,
    lacksBlobs: (id) => blobReadiness.lacksBlobs(id),
  });
  const duties: ShardDuties = createShardDuties(cores, {
    logger,
    mayLead: (id) => isInTouch(id, identity, peers) && peers.conditionOf(id)?.isDraining !== true,
  });
  const blobs: Blobs = openBlobs(storage, cores, {
    ...{ options, secrets: known, logger, selfId: identity.nodeId },
    membership: () => membership,
  });
  const snapshot = () => snapshotNow(cores, systemClock);
  const control = { ...identity, peers, secrets, snapshot, usesTls: tls !== undefined };
  const cluster = createClusterControl(membership, cores, control);
  const shardEnv = { ...options, identity, logger, cluster, drain, blobs, storeId: self.uuid };
  shards = await openShards(cores, shardEnv);
  await peerBind.release();
  peers.transport.listen(peerBind.host, peerBind.port);
  const { isAlone, replayed } = await leadAll(cores);
  gate.look();
  for (const { replica } of cores) replica.start();
  const onRemoved = (reason: string) => end({ kind: "removed", reason });
  const watched = { identity, membership, join, logger, onRemoved };
  const leaderWatch = createLeaderWatch(cores, watched);
  const loop = new LoopWatch(systemClock, systemTimers);
  const watches = { leaderWatch, loop };
  const parts = { storage, peers, membership, duties, shards, drain, gate, blobs, ...watches };
  for (const part of [membership, duties, blobs.keeper, leaderWatch, loop]) part.start();

  const app = openApp(parts, options, { cores, logger, end });
  const url = app.listen(options.host, port);
  membership.setHttpUrl(options.cluster.advertiseUrl ?? reachableUrl(url));
  if (isAlone) await settleAlone(membership, duties);
  gate.open();
  return {
    ...{ ...identity, url, isAlone, replayed, ended },
    peerAddress: self.peerAddress,
    storeId: self.uuid,
    liveJobs: sum(cores.map(countLive)),
    startMs: systemClock.monotonicMs() - startedMs,
    stop: (graceMs) => stopAll(parts, app, graceMs),
  };
}

function snapshotFiles({ shards }: Storage) {
  const [first, ...others] = shards.map(({ files }) => files);
  if (first === undefined) throw new Error("a node has one shard at least");
  return { files: [first, ...others], snapshotDirectory: first.snapshotPath };
}

async function openShards(
  cores: readonly ShardCore[],
  env: Omit<Parameters<typeof openShard>[1], "backup" | "shards"> & {
    readonly identity: NodeIdentity;
    readonly retention: Retention;
  },
): Promise<Shard[]> {
  const backup = createBackupControl(cores, env);
  const shardEnv = { ...env, backup, shards: cores.length };
  const shards = await Promise.all(cores.map((core) => openShard(core, shardEnv)));
  for (const shard of shards) whenLeading(shard, env.retention, env.logger);
  return shards;
}

/** Starts all groups; with the number of entries that this replayed. */
async function leadAll(
  cores: readonly ShardCore[],
): Promise<{ readonly isAlone: boolean; readonly replayed: number }> {
  const stored = cores.map(({ replica }) => replica.appliedIndex);
  const [isAlone] = await Promise.all(cores.map(({ group, replica }) => lead(group, replica)));
  const replayed = cores.map(({ replica }, i) => replica.appliedIndex - (stored[i] ?? 0));
  return { isAlone: isAlone === true, replayed: sum(replayed) };
}

/** Nobody else has to agree, so it is done before the first call is served. */
async function settleAlone(membership: Membership, duties: ShardDuties): Promise<void> {
  await membership.keepOwnRecord();
  await membership.raiseFeatureLevel();
  await duties.settle();
}

/** Members of shard 0 hear from its leader, and it from them, ten times a second. */
function isInTouch(id: number, self: NodeIdentity, peers: Peers): boolean {
  if (id === self.nodeId) return true;
  const { lastContactMs = silentMs, unreachedMs = silentMs } = peers.statsOf(id) ?? {};
  return lastContactMs < silentMs && unreachedMs < silentMs;
}

interface CoresEnv extends Omit<ConsensusEnv, "onEffects" | "onEvents" | "ticker"> {
  /** Undefined until it is there. */
  readonly node: (shard: number) => Node | undefined;
}

function createCores(storage: Storage, identity: NodeIdentity, env: CoresEnv): ShardCore[] {
  const ticker = storage.shards.length === 1 ? undefined : new Ticker(systemTimers, tickMs);
  return storage.shards.map((stored) => ({
    shard: stored.shard,
    storage: stored,
    ...createConsensus(stored, identity, {
      ...env,
      ticker,
      onEffects: (effects) => env.node(stored.shard)?.onEffects(effects),
      onEvents: () => env.node(stored.shard)?.events.noteAdded(),
    }),
  }));
}

async function stopAll(parts: Parts, app: App, graceMs: number): Promise<void> {
  const { storage, peers, membership, duties, shards, blobs, leaderWatch, loop } = parts;
  for (const part of [leaderWatch, blobs.keeper, loop]) part.stop();
  for (const { node } of shards) node.stop();
  membership.stop();
  duties.stop();
  await membership.handOver();
  await app.stop(graceMs);
  await Promise.all(shards.map(stopShard));
  peers.transport.stop();
  await storage.close();
}

/** One start takes on what several shards have received: those that follow soon are waited for. */
function restartSoon(shards: number, end: (ending: Ending) => void): () => void {
  const restart = () => end({ kind: "restart", reason: "a newer state was received" });
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

function reachableUrl(url: string): string {
  const { hostname, port } = new URL(url);
  return `http://${reachableHost(hostname)}:${port}`;
}

function createMembership(
  cores: readonly ShardCore[],
  peers: Peers,
  env: {
    readonly self: ConstructorParameters<typeof Membership>[1];
    readonly logger: Logger;
    readonly lacksBlobs: (nodeId: number) => boolean;
  },
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
      lacksBlobs: env.lacksBlobs,
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
  env: { cores: readonly ShardCore[]; logger: Logger; end: (ending: Ending) => void },
): App {
  parts.drain.whenChanged(() => parts.peers.transport.tellCondition());
  return createApp({
    ...createRouting(parts),
    blobs: parts.blobs.access,
    metrics: (seen) =>
      metricsText({
        ...seen,
        cores: env.cores,
        nodes: parts.shards.map(({ node }) => node),
        blobs: parts.blobs,
        peers: parts.peers.transport.stats().peers,
        loopDelays: parts.loop.delays,
      }),
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
