/** Which member of which cluster this node is, or becomes: known from its directory, by joining, or by founding one. */
import { createServer } from "node:net";
import { networkInterfaces } from "node:os";
import { CorvoError } from "../../base/errors.ts";
import type { Logger } from "../../base/ports.ts";
import {
  type NodeIdentity,
  readNodeIdentity,
  writeNodeIdentity,
} from "../../store/node-identity.ts";
import { type Joined, type JoinSelf, joinCluster, refuseOtherCluster } from "./join.ts";
import { foundCluster, type Storage } from "./storage.ts";

export interface ClusterOptions {
  readonly join: readonly string[];
  /** Undefined: 127.0.0.1:9000, or a free port when that is taken. */
  readonly peerBind: { readonly host: string; readonly port: number } | undefined;
  /** Address under which the others reach the peer port, when it is not the one it is bound to. */
  readonly peerAdvertise: string | undefined;
  /** URL under which the others reach the HTTP API. */
  readonly advertiseUrl: string | undefined;
  readonly secret: string | undefined;
  /** PEM files for the peer port; both sides of a connection show a certificate then. */
  readonly tls: { readonly cert: string; readonly key: string; readonly ca: string } | undefined;
}

/** A node on its own, reachable for others of this machine. */
export const aloneOptions: ClusterOptions = {
  join: [],
  peerBind: undefined,
  peerAdvertise: undefined,
  advertiseUrl: undefined,
  secret: undefined,
  tls: undefined,
};

export interface Membered {
  readonly identity: NodeIdentity;
  readonly firstPeers: Joined["peers"];
}

export async function openIdentity(
  storage: Storage,
  options: { readonly join: readonly string[]; readonly self: JoinSelf },
  logger: Logger,
): Promise<Membered> {
  const known = readNodeIdentity(storage.dir.path);
  if (known !== undefined) {
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
  const joined = await joinCluster(options.join, options.self, logger);
  const { clusterId, nodeId, recoveryEpoch } = joined;
  const identity = { clusterId, nodeId, recoveryEpoch };
  writeNodeIdentity(storage.dir.path, identity);
  logger.info(`joined cluster ${joined.clusterId} as node ${joined.nodeId}, a learner for now`);
  return { identity, firstPeers: joined.peers };
}

const defaultPeer = { host: "127.0.0.1", port: 9000 };

/** The address to bind the peer port to. The default gives way when it is taken; one that was asked for does not. */
export async function choosePeerBind(
  asked: { readonly host: string; readonly port: number } | undefined,
): Promise<{ host: string; port: number }> {
  const wanted = asked ?? defaultPeer;
  try {
    return { host: wanted.host, port: await tryPort(wanted.host, wanted.port) };
  } catch (error) {
    if (asked !== undefined) {
      throw new CorvoError(
        "CONFLICT",
        `the peer port ${wanted.host}:${wanted.port} cannot be used: ${error instanceof Error ? error.message : error}`,
        { hint: "Choose another with --peer-bind." },
      );
    }
    return { host: wanted.host, port: await tryPort(wanted.host, 0) };
  }
}

/** The port, or a free one for 0. It is let go again, so that it can be told to others before it is listened on. */
export function tryPort(host: string, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(port, host, () => {
      const address = server.address();
      server.close(() =>
        resolve(typeof address === "object" && address !== null ? address.port : port),
      );
    });
  });
}

export function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || host.startsWith("127.");
}

/** A host that others can use for one that means "all interfaces". */
export function reachableHost(host: string): string {
  if (host !== "0.0.0.0" && host !== "::") return host;
  for (const addresses of Object.values(networkInterfaces())) {
    for (const address of addresses ?? []) {
      if (!address.internal && address.family === "IPv4") return address.address;
    }
  }
  return "127.0.0.1";
}

/**
 * The secret of the cluster. Nodes that are only reachable on this machine need none; then the cluster's id stands for it,
 * which keeps strangers apart but keeps nobody out.
 */
export function clusterSecret(
  secret: string | undefined,
  clusterId: string,
  peerHost: string,
): Uint8Array {
  if (secret === undefined && !isLoopback(peerHost)) {
    throw new CorvoError(
      "VALIDATION_ERROR",
      `the peer port listens on ${peerHost}, beyond this machine, and no cluster secret is set`,
      {
        hint: "Set CORVO_CLUSTER_SECRET, the same on every node: `openssl rand -hex 32` makes one.",
      },
    );
  }
  return new Bun.CryptoHasher("sha256").update(`corvo cluster ${secret ?? clusterId}`).digest();
}

/**
 * What a node shows when it asks to join. It is made for its uuid and peer address, so it lets in nobody else. Undefined when the
 * cluster has no secret.
 */
export function joinProof(
  secret: string | undefined,
  uuid: string,
  peerAddress: string,
): string | undefined {
  if (secret === undefined) return undefined;
  return new Bun.CryptoHasher("sha256", secret)
    .update(`corvo join ${uuid} ${peerAddress}`)
    .digest("hex");
}
