/**
 * How a node gets into a cluster: it asks any member, again and again until one answers. The answer gives it its number;
 * the log gives it everything else.
 */
import { lookup, resolveSrv } from "node:dns/promises";
import { CorvoError } from "../../base/errors.ts";
import type { Logger } from "../../base/ports.ts";
import { createClient } from "../../sdk/client.ts";
import type { JoinAnswer, JoinRequest } from "../../service/cluster.ts";
import { systemRandom, systemTimers } from "../_shared/system.ts";

/** Who asks, with the proof that it knows the cluster's secret. */
export type JoinSelf = Omit<JoinRequest, "clusterId">;
export type Joined = JoinAnswer;

const retryMs = 1000;
/** How long a node that starts again looks for the cluster it was told to join. */
const lookMs = 1000;
const defaultHttpPort = 8080;

/** Joins through the first address that answers. Rejects only when no retry can help. */
export async function joinCluster(
  addresses: readonly string[],
  self: JoinSelf,
  logger: Logger,
): Promise<Joined> {
  let said = "";
  for (;;) {
    for (const address of addresses) {
      try {
        for (const url of await resolveAddress(address)) {
          if (url === self.httpUrl) continue;
          logger.info(`joining the cluster of ${url}`);
          return await askOne(url, self);
        }
      } catch (error) {
        if (error instanceof CorvoError && !error.retryable) throw error;
        const reason = error instanceof Error ? error.message : String(error);
        if (reason !== said) logger.warn(`not joined yet, trying on: ${reason}`);
        said = reason;
      }
    }
    await new Promise<void>((resolve) => systemTimers.after(retryMs, resolve));
  }
}

/** The cluster that a member at one of these addresses belongs to; undefined when none answers. */
export async function clusterAt(addresses: readonly string[]): Promise<string | undefined> {
  for (const address of addresses) {
    try {
      for (const url of await resolveAddress(address)) {
        const response = await fetch(`${url}/api/v1/cluster/status`, {
          signal: AbortSignal.timeout(lookMs),
        });
        const status = (await response.json()) as { cluster_id?: unknown };
        if (typeof status.cluster_id === "string") return status.cluster_id;
      }
    } catch {
      // Nobody there, or not one of ours: then there is nothing to compare with.
    }
  }
  return undefined;
}

async function askOne(server: string, self: JoinSelf): Promise<Joined> {
  const client = createClient({
    server,
    fetch: (request) => fetch(request),
    random: systemRandom,
    timers: systemTimers,
  });
  const answer = await client.joinCluster({
    body: {
      uuid: self.uuid,
      http_url: self.httpUrl,
      peer_address: self.peerAddress,
      version: self.version,
      ...(self.proof === undefined ? {} : { proof: self.proof }),
    },
  });
  return {
    clusterId: answer.cluster_id,
    nodeId: Number(answer.node_id),
    peers: answer.peers.map((peer) => ({
      id: Number(peer.id),
      uuid: peer.uuid,
      peerAddress: peer.peer_address,
    })),
  };
}

/** `HOST[:PORT]`, a URL, a name with several addresses, or `srv+NAME`. */
async function resolveAddress(address: string): Promise<string[]> {
  if (/^https?:\/\//.test(address)) return [address.replace(/\/+$/, "")];
  if (address.startsWith("srv+")) {
    const records = await resolveSrv(address.slice(4));
    return records.map((record) => `http://${record.name}:${record.port}`);
  }
  const match = /^(.*?)(?::(\d+))?$/.exec(address);
  const host = match?.[1] ?? address;
  const port = Number(match?.[2] ?? defaultHttpPort);
  const found = await lookup(host, { all: true });
  return found.map(({ address: ip, family }) =>
    family === 6 ? `http://[${ip}]:${port}` : `http://${ip}:${port}`,
  );
}
