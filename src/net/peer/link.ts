/**
 * The way to one peer: one outgoing connection that carries this node's messages, with the queue before it.
 *
 *   waiting --(back-off over, or the peer called us)--> calling --(proven)--> connected --(ended)--> waiting
 *                                                          '----(failed)--> waiting
 *
 * `send` only queues; everything queued in one turn leaves in one write. While the kernel takes no more, the rest waits in
 * the queue, where old messages give way. What is queued when a connection or a call fails is dropped: consensus is told
 * once (`onUnreachable`) and sends what is then worth sending. The peer answers pings; three without any sign of life end
 * the connection, which is how a peer that hangs, or a network that swallows packets, is noticed.
 */
import type { Message } from "../../raft/message.ts";
import { ByteReader, ByteWriter } from "./bytes.ts";
import { callPeer } from "./caller.ts";
import { writeRun } from "./codec.ts";
import { encodeCondition, type NodeCondition } from "./condition.ts";
import type { Connection } from "./connection.ts";
import type { PeerAddress, PeerDeps, Traffic } from "./deps.ts";
import { beginFrame, encodeFrame, endFrame, type FrameType, frameTypes } from "./frame.ts";
import { conditionVersion, type KnownPeer } from "./handshake.ts";
import { peerLimits } from "./limits.ts";
import { MessageQueue, weigh } from "./queue.ts";

interface LinkOptions {
  readonly nodeId: number;
  readonly address: PeerAddress;
  readonly traffic: Traffic;
  /** How this node is, to be told; undefined when it does not say. */
  readonly condition: () => NodeCondition | undefined;
  /** Messages to this peer were lost. Never called from within `send`. */
  readonly onUnreachable: () => void;
  /** The peer gave a sign of life. */
  readonly onContact: () => void;
  readonly onFailure: (what: string, reason: string) => void;
}

export class PeerLink {
  readonly address: PeerAddress;
  rttMs: number | undefined;
  groups: readonly number[] = [];
  /** Why the last call or connection ended. */
  lastFailure: string | undefined;
  /** Since when there is no connection; of no meaning while there is one. */
  #downSinceMs: number;
  readonly #deps: PeerDeps;
  readonly #options: LinkOptions;
  readonly #queue = new MessageQueue(peerLimits.queueMessagesMax, peerLimits.queueBytesMax);
  readonly #writer = new ByteWriter(64 * 1024);
  #connection: Connection | undefined;
  #version = 0;
  #cancelCall: (() => void) | undefined;
  #stopTimer: (() => void) | undefined;
  #backoffMs: number = peerLimits.backoffMsMin;
  #flushing = false;
  #isLost = false;
  #stopped = false;
  #pingSentMs: number | undefined;
  #seenActivity = 0;
  #silentPings = 0;

  constructor(deps: PeerDeps, options: LinkOptions) {
    this.#deps = deps;
    this.#options = options;
    this.address = options.address;
    this.#downSinceMs = deps.clock.monotonicMs();
    this.#call();
  }

  get isConnected(): boolean {
    return this.#connection !== undefined;
  }

  /** How long the peer has not been reached; 0 while it is. */
  get unreachedMs(): number {
    return this.isConnected ? 0 : this.#deps.clock.monotonicMs() - this.#downSinceMs;
  }

  get queuedMessages(): number {
    return this.#queue.count;
  }

  get queuedBytes(): number {
    return this.#queue.bytes;
  }

  send(group: number, messages: readonly Message[]): void {
    if (this.#stopped) return;
    let dropped = 0;
    for (const message of messages) {
      const bytes = weigh(message);
      dropped += this.#queue.push(group, message, bytes);
      if (bytes <= peerLimits.queueBytesMax) continue;
      const limit = `more than the ${peerLimits.queueBytesMax} that may wait for one node`;
      this.#options.onFailure(
        `cannot be sent a ${message.type}`,
        `it has ${bytes} bytes, ${limit}`,
      );
    }
    if (dropped > 0) this.#lose();
    if (this.#connection === undefined || this.#flushing) return;
    this.#flushing = true;
    queueMicrotask(() => {
      this.#flushing = false;
      this.#flush();
    });
  }

  /** Calls now instead of after the back-off: the peer has just shown that it is there. */
  wake(): void {
    if (this.#stopped || this.#connection !== undefined || this.#cancelCall !== undefined) return;
    this.#stopTimer?.();
    this.#call();
  }

  stop(reason: string): void {
    this.#stopped = true;
    this.#stopTimer?.();
    this.#cancelCall?.();
    this.#queue.clear();
    this.#connection?.close(reason);
  }

  #call(): void {
    const { nodeId, address } = this.#options;
    const target = { ...address, nodeId, purpose: "messages" as const };
    this.#cancelCall = callPeer(this.#deps, target, {
      ready: (connection, peer) => this.#onReady(connection, peer),
      failed: (reason) => this.#onFailed("could not be reached", reason),
    });
  }

  #onReady(connection: Connection, peer: KnownPeer): void {
    this.#cancelCall = undefined;
    this.#connection = connection;
    this.#version = peer.version;
    this.#isLost = false;
    this.#silentPings = 0;
    this.#seenActivity = connection.activity;
    this.#pingSentMs = undefined;
    this.groups = peer.groups;
    connection.events = {
      opened: () => undefined,
      frame: (type, payload) => this.#onFrame(connection, type, payload),
      drained: () => this.#flush(),
      ended: (reason) => this.#onEnded(connection, reason),
    };
    this.#options.onContact();
    const { host, port } = this.address;
    const about = { version: peer.version };
    this.#deps.logger.info(`connected to node ${peer.nodeId} at ${host}:${port}`, about);
    this.#ping(connection);
    this.#flush();
  }

  #onEnded(connection: Connection, reason: string): void {
    if (this.#connection !== connection) return;
    this.#connection = undefined;
    this.#downSinceMs = this.#deps.clock.monotonicMs();
    this.rttMs = undefined;
    this.#stopTimer?.();
    if (!this.#stopped) this.#onFailed("was lost", reason);
  }

  #onFailed(what: string, reason: string): void {
    this.#cancelCall = undefined;
    this.lastFailure = reason;
    this.#queue.clear();
    this.#lose();
    const jitter = this.#deps.random.uint32() / 2 ** 32;
    const delayMs = Math.round(this.#backoffMs * (0.5 + jitter / 2));
    this.#backoffMs = Math.min(this.#backoffMs * 2, peerLimits.backoffMsMax);
    this.#stopTimer = this.#deps.timers.after(delayMs, () => this.#call());
    this.#options.onFailure(what, reason);
  }

  /** Reported once, until a connection works again or the queue was emptied. */
  #lose(): void {
    if (this.#isLost) return;
    this.#isLost = true;
    queueMicrotask(() => {
      if (!this.#stopped) this.#options.onUnreachable();
    });
  }

  #onFrame(connection: Connection, type: FrameType, payload: Uint8Array): void {
    this.#options.onContact();
    if (type !== frameTypes.pong) {
      connection.abort(
        `a frame of type ${type} came over a connection that carries only pongs back`,
      );
      return;
    }
    const sentMs = new ByteReader(payload).f64();
    if (this.#pingSentMs === undefined || sentMs !== this.#pingSentMs) return;
    this.rttMs = this.#deps.clock.monotonicMs() - sentMs;
    this.#pingSentMs = undefined;
  }

  #watch(connection: Connection): void {
    this.#silentPings = connection.activity === this.#seenActivity ? this.#silentPings + 1 : 0;
    this.#seenActivity = connection.activity;
    // Not before it has lasted: a connection that always ends at once must not be made twenty times a second.
    if (this.#silentPings === 0) this.#backoffMs = peerLimits.backoffMsMin;
    if (this.#silentPings < peerLimits.silentPingsMax) {
      this.#ping(connection);
      return;
    }
    const silentMs = peerLimits.silentPingsMax * peerLimits.pingMs;
    connection.abort(`it was silent for ${silentMs} ms`);
  }

  #ping(connection: Connection): void {
    // A blocked connection has data on its way already, and must not collect pings.
    if (!connection.isBlocked) {
      const nowMs = this.#deps.clock.monotonicMs();
      this.#pingSentMs = nowMs;
      connection.write(encodeFrame(frameTypes.ping, (writer) => writer.f64(nowMs)));
      this.#tellCondition(connection);
    }
    this.#stopTimer = this.#deps.timers.after(peerLimits.pingMs, () => this.#watch(connection));
  }

  /** Tells it now, and not only with the next ping. */
  tellCondition(): void {
    const connection = this.#connection;
    if (connection !== undefined && !connection.isBlocked) this.#tellCondition(connection);
  }

  #tellCondition(connection: Connection): void {
    if (this.#version < conditionVersion) return;
    const condition = this.#options.condition();
    if (condition === undefined) return;
    connection.write(
      encodeFrame(frameTypes.condition, (writer) => writer.raw(encodeCondition(condition))),
    );
  }

  /** Writes the queue as frames, as far as the kernel takes them. */
  #flush(): void {
    const connection = this.#connection;
    while (connection !== undefined && !connection.hasEnded && !connection.isBlocked) {
      if (this.#queue.count === 0) {
        this.#isLost = false;
        return;
      }
      this.#writeBatch(connection);
    }
  }

  #writeBatch(connection: Connection): void {
    const { traffic } = this.#options;
    const writer = this.#writer;
    writer.reset();
    const frameAt = beginFrame(writer, frameTypes.messages);
    for (const { group, messages } of this.#queue.take(peerLimits.batchBytes)) {
      writeRun(writer, group, messages);
      traffic.sentMessages += messages.length;
    }
    endFrame(writer, frameAt);
    traffic.sentBytes += writer.length;
    connection.write(writer.written());
  }
}
