/**
 * Carries consensus messages and snapshot files between the nodes of one cluster.
 *
 * Each node calls each other one: what it sends leaves on the connection it opened, what it receives comes on the ones
 * that others opened, and a snapshot travels on a connection of its own, so that a bulky one never delays a heartbeat.
 * Delivery is what consensus expects of a network: in order while a connection lasts, otherwise anything may be lost, and
 * then `onUnreachable` says so. No callback is called from within a call of this interface.
 */
import { assert } from "../../base/assert.ts";
import { CorvoError } from "../../base/errors.ts";
import type { Clock, Logger, Random, Timers } from "../../base/ports.ts";
import type { Message } from "../../raft/message.ts";
import type { NodeCondition } from "./condition.ts";
import { type Listener, listen, type PeerTls } from "./connection.ts";
import type { PeerAddress, PeerDeps, Traffic } from "./deps.ts";
import { type PeerIdentity, peerVersions } from "./handshake.ts";
import { Inbound } from "./inbound.ts";
import { PeerLink } from "./link.ts";
import { LogLimiter } from "./log-limiter.ts";
import { type ReceivedSnapshot, SnapshotInbox } from "./snapshot-inbox.ts";
import { type OutgoingSnapshot, type SnapshotDone, SnapshotSender } from "./snapshot-sender.ts";

export interface PeerTransportOptions {
  readonly self: PeerIdentity;
  /** Known to every node of the cluster and never sent. At least 16 bytes; better 32 random ones. */
  readonly secret: Uint8Array;
  /** Others may show this one instead, while the cluster goes over to another secret. */
  readonly alsoAccepted?: Uint8Array;
  readonly tls?: PeerTls;
  /** The groups this node hosts, told to others when a connection is made. */
  readonly groups?: () => readonly number[];
  /** How this node is, told to the others about once a second. */
  readonly condition?: () => NodeCondition;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly random: Random;
  readonly logger: Logger;
  readonly isMember: (uuid: string, nodeId: number) => boolean;
  readonly onMessages: (group: number, from: number, messages: readonly Message[]) => void;
  /** Messages to this node were lost; said once until it can be reached again. */
  readonly onUnreachable: (nodeId: number) => void;
  /** Where snapshots are received. */
  readonly snapshotDirectory: string;
  readonly onSnapshot: (snapshot: ReceivedSnapshot) => void;
}

export interface PeerStats extends Readonly<Traffic> {
  readonly nodeId: number;
  /** This node's own connection to the peer is up. */
  readonly isConnected: boolean;
  /** The peer's connection to this node is up. */
  readonly isCalling: boolean;
  /** Since anything came from it; absent if nothing ever did. */
  readonly lastContactMs: number | undefined;
  /** The same, and since it is a peer of this process if nothing ever did. */
  readonly silentMs: number;
  readonly rttMs: number | undefined;
  /** What it last told about itself; older versions tell nothing. */
  readonly condition: NodeCondition | undefined;
  /** How far its wall clock is ahead of this node's, or behind if negative. */
  readonly clockSkewMs: number | undefined;
  readonly queuedMessages: number;
  readonly queuedBytes: number;
  readonly groups: readonly number[];
  /** How long this node has had no connection to it; 0 while it has. */
  readonly unreachedMs: number;
  /** Why the last call or connection to it ended. */
  readonly lastFailure: string | undefined;
}

interface TransportStats {
  readonly peers: readonly PeerStats[];
  /** Why the last connection from elsewhere was turned away, whoever it was from. */
  readonly lastRefusal: string | undefined;
}

export interface PeerTransport {
  /** Accepts connections; returns the port, which the system chose when it was 0. */
  listen(host: string, port: number): number;
  /** The other members; this node itself is passed over. Links are made, ended, or made again where a node moved. */
  setPeers(peers: ReadonlyMap<number, PeerAddress>): void;
  /** Never blocks and never fails: what cannot be sent is dropped. */
  send(nodeId: number, group: number, messages: readonly Message[]): void;
  /** One at a time per node. `done` is called once, later. */
  sendSnapshot(nodeId: number, snapshot: OutgoingSnapshot, done: SnapshotDone): void;
  /** What this node is like has changed in a way that the others should not learn a second late. */
  tellCondition(): void;
  stats(): TransportStats;
  /** Ends everything; nothing is called back afterwards, except `done` of snapshots on their way. */
  stop(): void;
}

const secretBytesMin = 16;
/** Told with every ping: of the last five seconds. */
const skewSamples = 5;

export function createPeerTransport(options: PeerTransportOptions): PeerTransport {
  return new Transport(options);
}

class Transport implements PeerTransport {
  readonly #options: PeerTransportOptions;
  readonly #deps: PeerDeps;
  readonly #log: LogLimiter;
  readonly #inbound: Inbound;
  readonly #links = new Map<number, PeerLink>();
  readonly #senders = new Map<number, SnapshotSender>();
  readonly #traffic = new Map<number, Traffic>();
  readonly #lastContactMs = new Map<number, number>();
  readonly #firstMs = new Map<number, number>();
  readonly #conditions = new Map<number, NodeCondition>();
  /** By how much a node's clock seemed to be ahead, the last few times it told. */
  readonly #skewsMs = new Map<number, readonly number[]>();
  #listener: Listener | undefined;
  #lastRefusal: string | undefined;
  #stopped = false;

  constructor(options: PeerTransportOptions) {
    if (options.secret.length < secretBytesMin) {
      throw new CorvoError(
        "VALIDATION_ERROR",
        `the cluster secret has ${options.secret.length} bytes, and at least ${secretBytesMin} are needed`,
        { hint: "Use 32 random bytes, the same on every node." },
      );
    }
    this.#options = options;
    const { self, secret, alsoAccepted, groups, tls, clock, timers, random, logger } = options;
    const handshake = {
      self,
      secret,
      ...(alsoAccepted !== undefined && { alsoAccepted }),
      versions: peerVersions,
      ...(groups !== undefined && { groups }),
    };
    this.#deps = { handshake, tls, clock, timers, random, logger };
    this.#log = new LogLimiter(logger, clock);
    const inbox = new SnapshotInbox(this.#deps, options.snapshotDirectory, (snapshot) => {
      if (!this.#stopped) options.onSnapshot(snapshot);
    });
    this.#inbound = new Inbound(
      this.#deps,
      {
        isMember: options.isMember,
        onMessages: (group, from, messages) => {
          if (!this.#stopped) options.onMessages(group, from, messages);
        },
        onSnapshotConnection: (connection, peer) => inbox.receive(connection, peer),
        onContact: (nodeId) => this.#touch(nodeId),
        onCondition: (nodeId, condition) => this.#noteCondition(nodeId, condition),
        onProven: (nodeId) => this.#links.get(nodeId)?.wake(),
        onRefused: (reason) => {
          this.#lastRefusal = reason;
        },
        traffic: (nodeId) => this.#trafficOf(nodeId),
      },
      this.#log,
    );
  }

  listen(host: string, port: number): number {
    assert(this.#listener === undefined && !this.#stopped, "a transport listens once");
    this.#listener = listen({ host, port }, this.#deps.tls, (connection) =>
      this.#inbound.adopt(connection),
    );
    return this.#listener.port;
  }

  setPeers(peers: ReadonlyMap<number, PeerAddress>): void {
    if (this.#stopped) return;
    for (const [nodeId, link] of this.#links) {
      if (isSame(link.address, peers.get(nodeId))) continue;
      link.stop("the peer was removed or moved");
      this.#links.delete(nodeId);
      this.#senders.get(nodeId)?.cancel("the peer was removed or moved");
    }
    for (const nodeId of [...this.#traffic.keys()]) {
      if (peers.has(nodeId)) continue;
      this.#traffic.delete(nodeId);
      this.#lastContactMs.delete(nodeId);
      this.#firstMs.delete(nodeId);
      this.#conditions.delete(nodeId);
      this.#skewsMs.delete(nodeId);
    }
    for (const [nodeId, address] of peers) {
      if (nodeId === this.#options.self.nodeId) continue;
      if (!this.#links.has(nodeId)) this.#links.set(nodeId, this.#link(nodeId, address));
      if (!this.#firstMs.has(nodeId)) this.#firstMs.set(nodeId, this.#deps.clock.monotonicMs());
    }
    this.#inbound.recheck();
  }

  send(nodeId: number, group: number, messages: readonly Message[]): void {
    const link = this.#links.get(nodeId);
    if (link !== undefined) {
      link.send(group, messages);
    } else if (!this.#stopped) {
      this.#log.warn(
        `unknown ${nodeId}`,
        `a message for node ${nodeId}, whose address is unknown, was dropped`,
      );
    }
  }

  sendSnapshot(nodeId: number, snapshot: OutgoingSnapshot, done: SnapshotDone): void {
    const fault = this.#snapshotFault(nodeId);
    const link = this.#links.get(nodeId);
    if (fault !== undefined || link === undefined) {
      queueMicrotask(() => done(false, fault ?? "unknown"));
      return;
    }
    const sender = new SnapshotSender(
      this.#deps,
      { ...link.address, nodeId, traffic: this.#trafficOf(nodeId) },
      snapshot,
      (ok, reason) => {
        this.#senders.delete(nodeId);
        queueMicrotask(() => done(ok, reason));
      },
    );
    this.#senders.set(nodeId, sender);
  }

  tellCondition(): void {
    for (const link of this.#links.values()) link.tellCondition();
  }

  stats(): TransportStats {
    const nowMs = this.#deps.clock.monotonicMs();
    const peers = [...this.#links].map(([nodeId, link]): PeerStats => {
      const contactMs = this.#lastContactMs.get(nodeId);
      return {
        ...this.#trafficOf(nodeId),
        nodeId,
        isConnected: link.isConnected,
        isCalling: this.#inbound.isConnected(nodeId),
        lastContactMs: contactMs === undefined ? undefined : nowMs - contactMs,
        silentMs: nowMs - (contactMs ?? this.#firstMs.get(nodeId) ?? nowMs),
        rttMs: link.rttMs,
        condition: this.#conditions.get(nodeId),
        clockSkewMs: this.#clockSkewOf(nodeId),
        queuedMessages: link.queuedMessages,
        queuedBytes: link.queuedBytes,
        groups: link.groups,
        unreachedMs: link.unreachedMs,
        lastFailure: link.lastFailure,
      };
    });
    return { peers, lastRefusal: this.#lastRefusal };
  }

  stop(): void {
    if (this.#stopped) return;
    this.#stopped = true;
    const reason = "this node is stopping";
    for (const sender of [...this.#senders.values()]) sender.cancel(reason);
    for (const link of this.#links.values()) link.stop(reason);
    this.#links.clear();
    this.#inbound.stop(reason);
    this.#listener?.stop();
  }

  #link(nodeId: number, address: PeerAddress): PeerLink {
    return new PeerLink(this.#deps, {
      nodeId,
      address,
      traffic: this.#trafficOf(nodeId),
      condition: () => this.#options.condition?.(),
      onUnreachable: () => {
        if (!this.#stopped) this.#options.onUnreachable(nodeId);
      },
      onContact: () => this.#touch(nodeId),
      onFailure: (what, reason) =>
        this.#log.warn(
          `link ${nodeId} ${reason}`,
          `node ${nodeId} at ${address.host}:${address.port} ${what}: ${reason}`,
        ),
    });
  }

  #snapshotFault(nodeId: number): string | undefined {
    if (this.#stopped) return "this node is stopping";
    if (!this.#links.has(nodeId)) return `the address of node ${nodeId} is unknown`;
    if (this.#senders.has(nodeId)) return `another snapshot is on its way to node ${nodeId}`;
    return undefined;
  }

  #noteCondition(nodeId: number, condition: NodeCondition): void {
    this.#conditions.set(nodeId, condition);
    const { clockMs } = condition;
    if (clockMs === undefined) return;
    const before = this.#skewsMs.get(nodeId) ?? [];
    const skewMs = clockMs - this.#deps.clock.nowMs();
    this.#skewsMs.set(nodeId, [...before.slice(1 - skewSamples), skewMs]);
  }

  /** The way here, and a pause of this process, only make a clock seem to be behind: the least of that is the truth. */
  #clockSkewOf(nodeId: number): number | undefined {
    const skewsMs = this.#skewsMs.get(nodeId);
    return skewsMs === undefined ? undefined : Math.max(...skewsMs);
  }

  #touch(nodeId: number): void {
    this.#lastContactMs.set(nodeId, this.#deps.clock.monotonicMs());
  }

  #trafficOf(nodeId: number): Traffic {
    let traffic = this.#traffic.get(nodeId);
    if (traffic === undefined) {
      traffic = {
        sentMessages: 0,
        sentBytes: 0,
        receivedMessages: 0,
        receivedBytes: 0,
        sentSnapshotBytes: 0,
      };
      this.#traffic.set(nodeId, traffic);
    }
    return traffic;
  }
}

function isSame(a: PeerAddress, b: PeerAddress | undefined): boolean {
  return b !== undefined && a.host === b.host && a.port === b.port && a.uuid === b.uuid;
}
