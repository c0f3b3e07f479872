/**
 * Connections that other nodes opened.
 *
 *   accepted --(handshake within its time)--> proven --(purpose)--> messages | snapshot
 *
 * Nothing but handshake frames is read from a connection that is not proven, and no more than `pendingHandshakesMax` of
 * those are held. A node has one connection for messages: a newer one replaces the older, which is how a restarted node
 * gets in before its old connection is known to be dead. Messages are handed on only if they are from the node that the
 * handshake proved, to this node, and of a kind that may cross the wire.
 */
import { isLocalType, type Message } from "../../raft/message.ts";
import { ByteReader } from "./bytes.ts";
import { decodeBatch } from "./codec.ts";
import { type NodeCondition, readCondition } from "./condition.ts";
import type { Connection } from "./connection.ts";
import { nameFault, type PeerDeps, type Traffic } from "./deps.ts";
import { encodeFrame, type FrameType, frameTypes } from "./frame.ts";
import { AcceptorHandshake, type HandshakeStep, type KnownPeer, refusal } from "./handshake.ts";
import { peerLimits } from "./limits.ts";
import type { LogLimiter } from "./log-limiter.ts";

export interface InboundEvents {
  readonly isMember: (uuid: string, nodeId: number) => boolean;
  readonly onMessages: (group: number, from: number, messages: readonly Message[]) => void;
  /** Takes over a connection that brings a snapshot: it sets `events` at once. */
  readonly onSnapshotConnection: (connection: Connection, peer: KnownPeer) => void;
  readonly onContact: (nodeId: number) => void;
  readonly onCondition: (nodeId: number, condition: NodeCondition) => void;
  /** A peer was proven: it can be called now. */
  readonly onProven: (nodeId: number) => void;
  readonly onRefused: (reason: string) => void;
  readonly traffic: (nodeId: number) => Traffic;
}

interface Proven {
  readonly connection: Connection;
  readonly peer: KnownPeer;
}

export class Inbound {
  readonly #deps: PeerDeps;
  readonly #events: InboundEvents;
  readonly #log: LogLimiter;
  readonly #pending = new Set<Connection>();
  readonly #snapshots = new Set<Proven>();
  readonly #proven = new Map<number, Proven>();
  #stopped = false;

  constructor(deps: PeerDeps, events: InboundEvents, log: LogLimiter) {
    this.#deps = deps;
    this.#events = events;
    this.#log = log;
  }

  isConnected(nodeId: number): boolean {
    return this.#proven.has(nodeId);
  }

  adopt(connection: Connection): void {
    if (this.#stopped) {
      connection.abort("this node is stopping");
      return;
    }
    for (const oldest of this.#pending) {
      if (this.#pending.size < peerLimits.pendingHandshakesMax) break;
      // Who means it needs milliseconds: the one that has had the longest time is the one to lose.
      oldest.abort(
        `more than ${peerLimits.pendingHandshakesMax} connections are in their handshake`,
      );
    }
    this.#pending.add(connection);
    const shake = new AcceptorHandshake(this.#deps.handshake, this.#events.isMember);
    const stopTimer = this.#deps.timers.after(peerLimits.handshakeMs, () =>
      connection.abort(`no handshake within ${peerLimits.handshakeMs} ms`),
    );
    const over = () => {
      stopTimer();
      this.#pending.delete(connection);
    };
    connection.events = {
      opened: () => undefined,
      frame: (type, payload) => {
        const step = shake.onFrame(type, payload);
        this.#onStep(connection, step);
        if (step.kind === "ready") over();
      },
      ended: (reason) => {
        over();
        this.#refused(connection, reason);
      },
    };
  }

  /** Ends the connections of nodes that are no members any more. */
  recheck(): void {
    for (const { connection, peer } of [...this.#proven.values(), ...this.#snapshots]) {
      if (this.#events.isMember(peer.uuid, peer.nodeId)) continue;
      connection.close(`node ${peer.nodeId} (${peer.uuid}) is no longer a member`);
    }
  }

  stop(reason: string): void {
    this.#stopped = true;
    for (const connection of [...this.#pending]) connection.abort(reason);
    for (const { connection } of [...this.#proven.values(), ...this.#snapshots]) {
      connection.close(reason);
    }
  }

  #onStep(connection: Connection, given: HandshakeStep): void {
    const step = this.#withCertificate(connection, given);
    if (step.bytes !== undefined) connection.write(step.bytes);
    if (step.kind === "reply") return;
    if (step.kind === "failed") {
      connection.close(step.reason);
      return;
    }
    connection.allowLargeFrames();
    if (step.peer.purpose === "messages") this.#receiveMessages(connection, step.peer);
    else this.#receiveSnapshot(connection, step.peer);
    this.#events.onProven(step.peer.nodeId);
  }

  #withCertificate(connection: Connection, step: HandshakeStep): HandshakeStep {
    if (step.kind !== "ready") return step;
    const fault = nameFault(connection.certificateNames(), step.peer);
    return fault === undefined ? step : refusal(fault);
  }

  #refused(connection: Connection, reason: string): void {
    if (this.#stopped) return;
    const address = connection.remote.slice(0, connection.remote.lastIndexOf(":"));
    this.#log.warn(
      `in ${address} ${reason}`,
      `connection from ${connection.remote} refused: ${reason}`,
    );
    this.#events.onRefused(reason);
  }

  #receiveSnapshot(connection: Connection, peer: KnownPeer): void {
    const proven = { connection, peer };
    this.#snapshots.add(proven);
    this.#events.onSnapshotConnection(connection, peer);
    const { events } = connection;
    if (events === undefined) return;
    connection.events = {
      ...events,
      ended: (reason) => {
        this.#snapshots.delete(proven);
        events.ended(reason);
      },
    };
  }

  #receiveMessages(connection: Connection, peer: KnownPeer): void {
    const { nodeId } = peer;
    const older = this.#proven.get(nodeId);
    this.#proven.set(nodeId, { connection, peer });
    older?.connection.close("replaced by a newer connection");
    let stopTimer = () => {};
    let seenActivity = 0;
    let silent = 0;
    const watch = () => {
      silent = connection.activity === seenActivity ? silent + 1 : 0;
      seenActivity = connection.activity;
      if (silent >= peerLimits.silentPingsMax) {
        connection.abort(`it was silent for ${silent * peerLimits.pingMs} ms`);
        return;
      }
      stopTimer = this.#deps.timers.after(peerLimits.pingMs, watch);
    };
    connection.events = {
      opened: () => undefined,
      frame: (type, payload) => this.#onFrame({ connection, peer }, type, payload),
      ended: (reason) => {
        stopTimer();
        if (this.#proven.get(nodeId)?.connection === connection) this.#proven.delete(nodeId);
        if (!this.#stopped) {
          this.#log.warn(`lost ${nodeId}`, `connection from node ${nodeId} ended: ${reason}`);
        }
      },
    };
    watch();
  }

  #onFrame({ connection, peer }: Proven, type: FrameType, payload: Uint8Array): void {
    this.#events.onContact(peer.nodeId);
    if (type === frameTypes.messages) {
      this.#onBatch({ connection, peer }, payload);
    } else if (type === frameTypes.ping && payload.length <= 16) {
      // A caller that does not read its pongs gets no more of them, and ends the connection itself.
      if (!connection.isBlocked) {
        connection.write(encodeFrame(frameTypes.pong, (writer) => writer.raw(payload)));
      }
    } else if (type === frameTypes.condition) {
      const reader = new ByteReader(payload);
      const condition = readCondition(reader);
      if (reader.fault === undefined) this.#events.onCondition(peer.nodeId, condition);
      else connection.abort(`a condition is malformed: ${reader.fault}`);
    } else {
      connection.abort(`a frame of type ${type} does not belong on a connection for messages`);
    }
  }

  #onBatch({ connection, peer }: Proven, payload: Uint8Array): void {
    const batch = decodeBatch(payload);
    if (batch.kind === "fault") {
      connection.abort(`a batch of messages is malformed: ${batch.message}`);
      return;
    }
    const traffic = this.#events.traffic(peer.nodeId);
    traffic.receivedBytes += payload.length;
    for (const { group, messages } of batch.value) {
      const accepted = messages.filter((message) => this.#isAcceptable(message, peer));
      traffic.receivedMessages += accepted.length;
      if (accepted.length > 0) this.#events.onMessages(group, peer.nodeId, accepted);
    }
  }

  #isAcceptable(message: Message, peer: KnownPeer): boolean {
    const { self } = this.#deps.handshake;
    // Who asks for a transfer writes in `from` whom it wants as the leader.
    const isFromPeer = message.from === peer.nodeId || message.type === "MsgTransferLeader";
    if (isFromPeer && message.to === self.nodeId && !isLocalType(message.type)) return true;
    this.#log.warn(
      `dropped ${peer.nodeId}`,
      `dropped ${message.type} from ${message.from} to ${message.to}, which came from node ${peer.nodeId} to node ${self.nodeId}`,
    );
    return false;
  }
}
