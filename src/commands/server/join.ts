/**
 * How a node gets into a cluster: it asks any member, again and again until one answers. The answer gives it its number;
 * the log gives it everything else.
 */
import { lookup, resolveSrv } from "node:dns/promises";
import { CorvoError } from "../../base/errors.ts";
import type { Logger } from "../../base/ports.ts";
import { type Client, createClient } from "../../sdk/client.ts";
import type { RetryPolicy } from "../../sdk/retry.ts";
import type { JoinAnswer, JoinRequest, MeetAnswer, SnapshotMade } from "../../service/cluster.ts";
import { systemRandom, systemTimers } from "../_shared/system.ts";

/** Who asks, with the proof that it knows the cluster's secret. */
export type JoinSelf = Omit<JoinRequest, "clusterId">;
export type Joined = JoinAnswer;

const retryMs = 1000;
/** How long a node that starts again waits to hear whose cluster its --join names. */
const askMs = 1000;
/** As long as a server keeps a connection on which nothing moves. */
const snapshotMs = 120_000;
const defaultHttpPort = 8080;

/**
 * Joins through the first address that answers, if that is of the wanted cluster. Rejects only when no retry can help.
 */
export async function joinCluster(
  addresses: readonly string[],
  self: JoinSelf,
  logger: Logger,
  wanted?: string,
): Promise<Joined> {
  let said = "";
  for (;;) {
    for (const address of addresses) {
      try {
        for (const url of await resolveAddress(address)) {
          if (url === self.httpUrl) continue;
          if (wanted !== undefined) await refuseUnwanted(url, wanted);
          logger.info(`joining the cluster of ${url}`);
          return await askOne(url, self);
        }
      } catch (error) {
        if (error instanceof CorvoError && !mayRepeat(error)) throw error;
        const reason = error instanceof Error ? error.message : String(error);
        if (reason !== said) logger.warn(`not joined yet, trying on: ${reason}`);
        said = reason;
      }
    }
    await new Promise<void>((resolve) => systemTimers.after(retryMs, resolve));
  }
}

/** Tells the cluster where one of its nodes listens now, through the first of these addresses that answers. */
export async function announce(
  self: JoinSelf & { readonly clusterId: string },
  urls: readonly string[],
): Promise<void> {
  let failure: unknown;
  for (const url of urls) {
    try {
      await clientOf(url, { attemptsMax: 1 }).joinCluster(
        { body: { ...bodyOf(self), cluster_id: self.clusterId } },
        { signal: AbortSignal.timeout(askMs) },
      );
      return;
    } catch (error) {
      failure = error;
    }
  }
  throw failure;
}

function bodyOf({ uuid, httpUrl, peerAddress, version, proof, peerTls, shards }: JoinSelf) {
  return {
    uuid,
    http_url: httpUrl,
    peer_address: peerAddress,
    version,
    ...(proof === undefined ? {} : { proof }),
    ...(peerTls === undefined ? {} : { peer_tls: peerTls }),
    ...(shards === undefined ? {} : { shards }),
  };
}

/** A node is known by its uuid, so joining twice is the same as once, and an answer that was lost does no harm. */
function mayRepeat(error: CorvoError): boolean {
  return error.retryable || error.code === "OUTCOME_UNKNOWN";
}

/**
 * A node that starts again needs nobody to know its cluster. Still, one that is told to join a different cluster must not
 * go on serving its own without a word. Who does not answer soon is taken to be down, as in a start of all nodes at once.
 */
export async function refuseOtherCluster(
  addresses: readonly string[],
  known: { readonly clusterId: string; readonly nodeId: number },
  httpUrl: string,
): Promise<void> {
  await Promise.all(
    addresses.map(async (address) => {
      const other = await clusterAt(address, httpUrl).catch(() => undefined);
      if (other === undefined || other === known.clusterId) return;
      throw new CorvoError(
        "CONFLICT",
        `this data directory is node ${known.nodeId} of cluster ${known.clusterId}, and ${address} is a node of cluster ${other}`,
        {
          hint: "Leave out --join to go on in the old cluster, or choose an empty --data-dir to join the other one.",
        },
      );
    }),
  );
}

/** Before anything is asked of it: another cluster must not get a member by mistake. */
async function refuseUnwanted(url: string, wanted: string): Promise<void> {
  const status = await statusAt(url);
  if (status.cluster_id === wanted) return;
  throw new CorvoError(
    "CONFLICT",
    `${url} is a node of cluster ${status.cluster_id}, and the join token is of cluster ${wanted}`,
    { hint: "Use a token of that cluster, or the address of a node of the token's." },
  );
}

/** Undefined when none of the addresses belongs to another node. */
async function clusterAt(address: string, httpUrl: string): Promise<string | undefined> {
  for (const url of await resolveAddress(address)) {
    if (url === httpUrl) continue;
    return (await statusAt(url)).cluster_id;
  }
  return undefined;
}

/** A cluster as one of its nodes sees it. */
export interface ClusterSeen {
  readonly clusterId: string;
  readonly recoveryEpoch: number;
  readonly appliedIndex: number;
  readonly members: readonly SeenMember[];
  /** The node leads, by its own word. */
  readonly leads: boolean;
  /** Of the node that leads as far as it knows. */
  readonly leaderUrl: string | undefined;
}

interface SeenMember {
  readonly uuid: string;
  /** Why the node cannot reach it, if it cannot and knows. */
  readonly failure?: string | undefined;
}

/** By the word of this node, whether it leads or not. */
function statusAt(url: string) {
  return clientOf(url, { attemptsMax: 1 }).clusterStatus(
    { query: { consistency: "stale" } },
    { timeoutMs: askMs },
  );
}

export async function clusterSeenAt(url: string): Promise<ClusterSeen> {
  const status = await statusAt(url);
  return {
    clusterId: status.cluster_id,
    recoveryEpoch: status.recovery_epoch ?? 0,
    appliedIndex: Number(status.applied_index),
    members: status.nodes,
    leads: status.leader_id !== "" && status.leader_id === status.node_id,
    leaderUrl: status.nodes.find(({ id }) => id === status.leader_id)?.http_url,
  };
}

/** Has another member make a snapshot of itself. */
export async function snapshotAt(url: string, nodeId: number): Promise<SnapshotMade> {
  const input = { body: { node: String(nodeId) } };
  const call = { timeoutMs: snapshotMs };
  const made = await clientOf(url, { attemptsMax: 1 }).makeSnapshot(input, call);
  const { index, bytes } = made;
  return { nodeId, index, bytes, durationMs: made.duration_ms, logFirst: made.log_first };
}

function clientOf(server: string, retry: Partial<RetryPolicy> = {}): Client {
  return createClient({
    server,
    retry,
    fetch: (request) => fetch(request),
    random: systemRandom,
    timers: systemTimers,
  });
}

/** How the node at this address is, for one that would form a cluster with it. */
export async function meetAt(url: string, self: JoinSelf, expect: number): Promise<MeetAnswer> {
  const { version: _, ...body } = bodyOf(self);
  const answer = await clientOf(url, { attemptsMax: 1 }).meetNode(
    { body: { ...body, expect } },
    { timeoutMs: askMs },
  );
  const { uuid, http_url: httpUrl, cluster_id: clusterId } = answer;
  const { knows, has_secret: hasSecret } = answer;
  return { uuid, httpUrl, clusterId, hasSecret, knows };
}

export async function askOne(server: string, self: JoinSelf): Promise<Joined> {
  const answer = await clientOf(server).joinCluster({ body: bodyOf(self) });
  return {
    clusterId: answer.cluster_id,
    nodeId: Number(answer.node_id),
    shards: answer.shards ?? 1,
    recoveryEpoch: answer.recovery_epoch ?? 0,
    peers: answer.peers.map((peer) => ({
      id: Number(peer.id),
      uuid: peer.uuid,
      peerAddress: peer.peer_address,
    })),
  };
}

/** `HOST[:PORT]`, a URL, a name with several addresses, or `srv+NAME`. */
export async function resolveAddress(address: string): Promise<string[]> {
  if (/^https?:\/\//.test(address)) return [address.replace(/\/+$/, "")];
  if (address.startsWith("srv+")) {
    const name = address.slice(4);
    const records = await resolveSrv(name).catch((error: unknown) => notFound(name, error));
    return records.map((record) => `http://${record.name}:${record.port}`);
  }
  const match = /^\[?(.*?)\]?(?::(\d+))?$/.exec(address);
  const host = match?.[1] ?? address;
  const port = Number(match?.[2] ?? defaultHttpPort);
  const found = await lookup(host, { all: true }).catch((error: unknown) => notFound(host, error));
  return found.map(({ address: ip, family }) =>
    family === 6 ? `http://[${ip}]:${port}` : `http://${ip}:${port}`,
  );
}

function notFound(name: string, error: unknown): never {
  const { code = String(error) } = error as { readonly code?: string };
  throw new CorvoError("UNAVAILABLE", `the name ${name} leads to no address (${code})`);
}
