/** Peer transports on loopback, with real sockets, and a record of what each was told. */
import type { Clock, Timers } from "../../src/base/ports.ts";
import type { PeerAddress } from "../../src/net/peer/deps.ts";
import type { ReceivedSnapshot } from "../../src/net/peer/snapshot-inbox.ts";
import {
  createPeerTransport,
  type PeerStats,
  type PeerTransport,
  type PeerTransportOptions,
} from "../../src/net/peer/transport.ts";
import type { Message } from "../../src/raft/message.ts";
import { memoryLogger, random, timers } from "./system-ports.ts";
import { tempDir } from "./temp-dir.ts";

export const clusterId = "c0c0c0c0-0000-4000-8000-000000000001";

export function uuidOf(nodeId: number): string {
  return `0de00000-0000-4000-8000-${String(nodeId).padStart(12, "0")}`;
}

export const systemClock: Clock = {
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
};

interface Delivery {
  readonly group: number;
  readonly from: number;
  readonly message: Message;
}

export interface PeerNode {
  readonly nodeId: number;
  readonly port: number;
  readonly transport: PeerTransport;
  readonly deliveries: Delivery[];
  readonly unreachable: number[];
  readonly snapshots: ReceivedSnapshot[];
  readonly directory: string;
  readonly lines: string[];
  /** How to call this node, directly or through another port. */
  address(port?: number): PeerAddress;
  peer(nodeId: number): PeerStats;
  /** Resolves as soon as `holds` is true; fails, with this node's log, when that takes far too long. */
  until(what: string, holds: () => boolean): Promise<void>;
  [Symbol.dispose](): void;
}

type NodeOptions = Partial<
  Omit<PeerTransportOptions, "onMessages" | "onUnreachable" | "onSnapshot" | "snapshotDirectory">
> & {
  readonly onMessages?: PeerTransportOptions["onMessages"];
  readonly host?: string;
  /** A directory to keep beyond the life of this node. */
  readonly directory?: string;
};

const untilMsMax = 8000;

/** A node that listens, and knows nobody yet. */
export function openPeerNode(nodeId: number, options: NodeOptions = {}): PeerNode {
  const own = options.directory === undefined ? tempDir() : undefined;
  const directory = options.directory ?? own?.path ?? "";
  const logger = memoryLogger();
  const deliveries: Delivery[] = [];
  const unreachable: number[] = [];
  const snapshots: ReceivedSnapshot[] = [];
  const { host = "127.0.0.1", onMessages, directory: _, ...rest } = options;
  const transport = createPeerTransport({
    self: { clusterId, uuid: uuidOf(nodeId), nodeId, recoveryEpoch: 0 },
    secret: new TextEncoder().encode("the secret of the test cluster"),
    clock: systemClock,
    timers,
    random,
    logger,
    isMember: () => true,
    snapshotDirectory: directory,
    onMessages: (group, from, messages) => {
      if (onMessages !== undefined) onMessages(group, from, messages);
      else for (const message of messages) deliveries.push({ group, from, message });
    },
    onUnreachable: (id) => {
      unreachable.push(id);
    },
    onSnapshot: (snapshot) => {
      snapshots.push(snapshot);
    },
    ...rest,
  });
  const port = transport.listen(host, 0);
  return {
    nodeId,
    port,
    transport,
    deliveries,
    unreachable,
    snapshots,
    directory,
    lines: logger.lines,
    address: (through = port) => ({
      host,
      port: through,
      uuid: options.self?.uuid ?? uuidOf(nodeId),
    }),
    peer(id) {
      const found = transport.stats().peers.find((peer) => peer.nodeId === id);
      if (found === undefined) throw new Error(`node ${nodeId} has no peer ${id}`);
      return found;
    },
    until: (what, holds) =>
      until(
        () => `node ${nodeId} never saw that ${what}; its log: ${logger.lines.join(" | ")}`,
        holds,
      ),
    [Symbol.dispose]() {
      transport.stop();
      own?.[Symbol.dispose]();
    },
  };
}

/** Lets the event loop run until the condition holds; fails with the message when it takes far too long. */
async function until(message: () => string, holds: () => boolean): Promise<void> {
  const endMs = performance.now() + untilMsMax;
  while (!holds()) {
    if (performance.now() > endMs) throw new Error(message());
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

/** Makes every node know every other. */
export function connectAll(nodes: readonly PeerNode[]): void {
  for (const node of nodes) {
    const others = nodes.filter((other) => other !== node);
    node.transport.setPeers(new Map(others.map((other) => [other.nodeId, other.address()])));
  }
}

interface ManualTime {
  readonly clock: Clock;
  readonly timers: Timers;
  /** Moves on, with every timer at its time. */
  advance(ms: number): void;
  /** Moves on as for a process that was paused: what came due meanwhile runs late, and once. */
  jump(ms: number): void;
}

/** A clock and its timers that move only when told. */
export function manualTime(): ManualTime {
  let nowMs = 0;
  const waiting = new Set<{ readonly atMs: number; readonly callback: () => void }>();
  const takeDue = (endMs: number) => {
    const due = [...waiting].filter((timer) => timer.atMs <= endMs);
    const first = due.sort((a, b) => a.atMs - b.atMs)[0];
    if (first !== undefined) waiting.delete(first);
    return first;
  };
  return {
    clock: { nowMs: () => nowMs, monotonicMs: () => nowMs },
    timers: {
      after(delayMs, callback) {
        const timer = { atMs: nowMs + delayMs, callback };
        waiting.add(timer);
        return () => waiting.delete(timer);
      },
    },
    advance(ms) {
      const endMs = nowMs + ms;
      for (let timer = takeDue(endMs); timer !== undefined; timer = takeDue(endMs)) {
        nowMs = timer.atMs;
        timer.callback();
      }
      nowMs = endMs;
    },
    jump(ms) {
      nowMs += ms;
      for (let timer = takeDue(nowMs); timer !== undefined; timer = takeDue(nowMs))
        timer.callback();
    },
  };
}
