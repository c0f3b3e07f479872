/** What every part of the transport is given. */
import type { Clock, Logger, Random, Timers } from "../../base/ports.ts";
import type { PeerTls } from "./connection.ts";
import type { HandshakeConfig, KnownPeer } from "./handshake.ts";

export interface PeerDeps {
  readonly handshake: HandshakeConfig;
  readonly tls: PeerTls | undefined;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly random: Random;
  readonly logger: Logger;
}

/** Where a node is and who it has to be. */
export interface PeerAddress {
  readonly host: string;
  readonly port: number;
  readonly uuid: string;
}

/** Bytes and messages that crossed since the transport was made. */
export interface Traffic {
  sentMessages: number;
  sentBytes: number;
  receivedMessages: number;
  receivedBytes: number;
  /** Of snapshots, as far as the peer has written them. They travel beside the messages. */
  sentSnapshotBytes: number;
}

/**
 * A certificate may name its node as `URI:urn:uuid:<uuid>`. One that does must name the node that uses it, so that a stolen
 * certificate is worth one node and not the cluster.
 */
export function nameFault(names: readonly string[], peer: KnownPeer): string | undefined {
  const uuids = names.filter((name) => name.startsWith("urn:uuid:"));
  const own = `urn:uuid:${peer.uuid}`.toLowerCase();
  if (uuids.length === 0 || uuids.some((name) => name.toLowerCase() === own)) return undefined;
  return `node ${peer.nodeId} (${peer.uuid}) showed the certificate of ${uuids.join(", ")}`;
}
