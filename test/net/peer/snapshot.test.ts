import { expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { callPeer } from "../../../src/net/peer/caller.ts";
import type { Connection } from "../../../src/net/peer/connection.ts";
import { FrameReader, frameTypes } from "../../../src/net/peer/frame.ts";
import { peerVersions } from "../../../src/net/peer/handshake.ts";
import {
  decodeResult,
  encodeBegin,
  encodeChunk,
  encodeEnd,
} from "../../../src/net/peer/snapshot-frames.ts";
import { createMessage } from "../../../src/raft/message.ts";
import { type FaultyProxy, openFaultyProxy } from "../../support/faulty-proxy.ts";
import {
  clusterId,
  manualTime,
  openPeerNode,
  type PeerNode,
  systemClock,
  uuidOf,
} from "../../support/peer-node.ts";
import { memoryLogger, random, timers } from "../../support/system-ports.ts";
import { tempDir } from "../../support/temp-dir.ts";

const mib = 1024 * 1024;
const meta = Uint8Array.of(1, 2, 3);

/** Bytes that differ from chunk to chunk. */
function content(sizeBytes: number): Uint8Array {
  const bytes = new Uint8Array(sizeBytes);
  for (let at = 0; at < sizeBytes; at += 1) bytes[at] = (at * 31 + Math.floor(at / 65_536)) % 256;
  return bytes;
}

interface Rig {
  readonly one: PeerNode;
  readonly two: PeerNode;
  readonly proxy: FaultyProxy;
  /** Sends a file of this content; resolves with what `done` was told. */
  send(bytes: Uint8Array, claimedBytes?: number): Promise<{ ok: boolean; reason: string }>;
  [Symbol.asyncDispose](): Promise<void>;
}

async function openRig(options: Parameters<typeof openPeerNode>[1] = {}): Promise<Rig> {
  const stack = new AsyncDisposableStack();
  const directory = stack.use(tempDir());
  const one = stack.use(openPeerNode(1, options));
  const two = stack.use(openPeerNode(2));
  const proxy = stack.use(await openFaultyProxy(two.port));
  one.transport.setPeers(new Map([[2, two.address(proxy.port)]]));
  await one.until("it is connected", () => one.peer(2).isConnected);
  return {
    one,
    two,
    proxy,
    send(bytes, sizeBytes = bytes.length) {
      const path = join(directory.path, "state");
      writeFileSync(path, bytes);
      return new Promise((resolve) => {
        one.transport.sendSnapshot(
          2,
          { group: 4, index: 1000, term: 7, meta, path, sizeBytes },
          (ok, reason) => resolve({ ok, reason }),
        );
      });
    },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}

const partials = (node: PeerNode) =>
  readdirSync(node.directory).filter((name) => name.endsWith(".partial"));

test("[P50] a file of any size arrives whole, with what describes it", async () => {
  await using rig = await openRig();
  const { two } = rig;

  for (const sizeBytes of [0, 1, 256 * 1024, 5 * mib + 17]) {
    const bytes = content(sizeBytes);
    expect(await rig.send(bytes)).toEqual({ ok: true, reason: "received" });
    await two.until("it was handed over", () => two.snapshots.length > 0);
    const received = two.snapshots.pop();
    expect(received).toMatchObject({ from: 1, group: 4, index: 1000, term: 7, meta });
    expect(Buffer.compare(readFileSync(received?.path ?? ""), bytes)).toBe(0);
  }
  expect(readdirSync(two.directory).length).toBe(1);
});

test("[P51] at most a window of chunks is on its way, and messages pass beside it", async () => {
  await using rig = await openRig();
  const { one, two, proxy } = rig;
  const counts = { sent: 0, acked: 0, onTheirWayMax: 0 };
  const chunks = new FrameReader(mib);
  const acks = new FrameReader(mib);
  // The first connection is the one for messages.
  proxy.set({
    toTarget: {
      corrupt: (bytes, _position, connection) => {
        if (connection !== 2) return;
        chunks.push(bytes, (type) => {
          if (type === frameTypes.snapshotChunk) counts.sent += 1;
          return true;
        });
        counts.onTheirWayMax = Math.max(counts.onTheirWayMax, counts.sent - counts.acked);
      },
    },
    toCaller: {
      delayMs: 30,
      corrupt: (bytes, _position, connection) => {
        if (connection !== 2) return;
        acks.push(bytes, (type) => {
          if (type === frameTypes.snapshotAck) counts.acked += 1;
          return true;
        });
      },
    },
  });

  const sent = rig.send(content(6 * mib));
  await one.until("chunks are on their way", () => counts.sent > 0);
  one.transport.send(2, 1, [createMessage("MsgHeartbeat", 2, { from: 1 })]);
  await two.until("the message came", () => two.deliveries.length === 1);
  expect(two.snapshots.length).toBe(0);

  expect((await sent).ok).toBe(true);
  expect([counts.sent, counts.acked]).toEqual([24, 24]);
  // Counted where the receiver has acknowledged and the sender does not know it yet: never more than the window.
  expect(counts.onTheirWayMax).toBeLessThanOrEqual(8);
});

test("[P52] a connection that is cut ends the transfer, leaves nothing behind, and the next one works", async () => {
  await using rig = await openRig();
  const { one, two, proxy } = rig;
  proxy.set({ toCaller: { delayMs: 20 } });

  const before = proxy.bytesToTarget;
  const sent = rig.send(content(5 * mib));
  await one.until("a part was sent", () => proxy.bytesToTarget - before > mib);
  proxy.cut();
  const cut = await sent;
  await two.until("the part is removed", () => partials(two).length === 0);
  proxy.set({});
  await one.until("it is connected again", () => one.peer(2).isConnected);
  const again = await rig.send(content(5 * mib));

  expect(cut.ok).toBe(false);
  expect(again.ok).toBe(true);
  expect(
    two.lines.some((line) =>
      line.includes("a snapshot of group 4 at index 1000 from node 1 was not received"),
    ),
  ).toBe(true);
});

test("[P53] a chunk that was damaged on the way is noticed", async () => {
  await using rig = await openRig();
  const { two, proxy } = rig;
  proxy.set({
    toTarget: {
      corrupt: (chunk, position) => {
        if (position > mib) chunk[0] = (chunk[0] ?? 0) ^ 255;
      },
    },
  });

  const sent = await rig.send(content(3 * mib));

  expect(sent.ok).toBe(false);
  expect(two.snapshots).toEqual([]);
  await two.until("the part is removed", () => partials(two).length === 0);
});

test("[P54] a peer that stops acknowledging ends the transfer after ten seconds", async () => {
  const time = manualTime();
  await using rig = await openRig(time);
  const { one, proxy } = rig;
  const before = proxy.bytesToTarget;

  proxy.set({ toCaller: { delayMs: 100 } });
  const sent = rig.send(content(5 * mib));
  await one.until("a part was sent", () => proxy.bytesToTarget - before > 2 * mib);
  proxy.set({ toCaller: { hold: true } });
  let result: { ok: boolean; reason: string } | undefined;
  sent
    .then((value) => {
      result = value;
    })
    .catch(() => undefined);
  await one.until("it is given up", () => {
    time.advance(1000);
    return result !== undefined;
  });

  expect(result).toEqual({ ok: false, reason: "nothing was acknowledged for 10000 ms" });
});

test("[P55] a file that is missing or shorter than announced is not sent", async () => {
  await using rig = await openRig();
  const { one, two } = rig;
  const missing = await new Promise<string>((resolve) => {
    one.transport.sendSnapshot(
      2,
      { group: 1, index: 1, term: 1, meta, path: "/no/such/file", sizeBytes: 5 },
      (_ok, reason) => resolve(reason),
    );
  });

  expect(missing).toContain("the file could not be sent: ENOENT");
  expect(await rig.send(content(100), 200)).toEqual({
    ok: false,
    reason: "the file ended after 100 of 200 bytes",
  });
  expect(two.snapshots).toEqual([]);
});

test("[P56] one snapshot per node is sent at a time, and none to a node without an address", async () => {
  await using rig = await openRig();
  const { one } = rig;
  const snapshot = { group: 1, index: 1, term: 1, meta, path: "/no/such/file", sizeBytes: 5 };
  const reasons: string[] = [];

  const first = rig.send(content(mib));
  one.transport.sendSnapshot(2, snapshot, (_ok, reason) => reasons.push(reason));
  one.transport.sendSnapshot(9, snapshot, (_ok, reason) => reasons.push(reason));
  expect((await first).ok).toBe(true);

  expect(reasons).toEqual([
    "another snapshot is on its way to node 2",
    "the address of node 9 is unknown",
  ]);
});

test("[P57] what an earlier process left unfinished is removed at start, and whole files stay", () => {
  using directory = tempDir();
  writeFileSync(join(directory.path, "1-1.partial"), "part");
  writeFileSync(join(directory.path, "group-1-term-1-index-1-from-2"), "whole");

  using _node = openPeerNode(1, { directory: directory.path });

  expect(readdirSync(directory.path)).toEqual(["group-1-term-1-index-1-from-2"]);
});

test("[P58] stopping ends transfers on both sides", async () => {
  await using rig = await openRig();
  const { one, two, proxy } = rig;
  proxy.set({ toCaller: { delayMs: 50 } });
  const before = proxy.bytesToTarget;

  const sent = rig.send(content(5 * mib));
  await one.until("a part was sent", () => proxy.bytesToTarget - before > mib);
  two.transport.stop();

  expect((await sent).ok).toBe(false);
  await two.until("the part is removed", () => partials(two).length === 0);
});

test("[P58] a receiver that takes nothing does not keep the sender from stopping", async () => {
  await using rig = await openRig();
  const { one, proxy } = rig;
  const before = proxy.bytesToTarget;
  proxy.set({ toCaller: { delayMs: 50 } });

  const sent = rig.send(content(5 * mib));
  await one.until("a part was sent", () => proxy.bytesToTarget > before);
  proxy.set({ toTarget: { hold: true }, toCaller: { hold: true } });
  one.transport.stop();

  expect(await sent).toEqual({ ok: false, reason: "this node is stopping" });
});

/** A member that writes the frames of a snapshot by hand; resolves with the receiver's answer. */
function sendByHand(node: PeerNode, frames: readonly Uint8Array[]): Promise<string> {
  const deps = {
    handshake: {
      self: { clusterId, uuid: uuidOf(1), nodeId: 1, recoveryEpoch: 0 },
      secret: new TextEncoder().encode("the secret of the test cluster"),
      versions: peerVersions,
    },
    tls: undefined,
    clock: systemClock,
    timers,
    random,
    logger: memoryLogger(),
  };
  return new Promise((resolve) => {
    const talk = (connection: Connection) => {
      connection.events = {
        opened: () => undefined,
        frame: (type, payload) => {
          if (type !== frameTypes.snapshotResult) return;
          const result = decodeResult(payload);
          resolve("fault" in result ? result.fault : result.value.reason);
          connection.close("done");
        },
        ended: resolve,
      };
      for (const frame of frames) connection.write(frame);
    };
    callPeer(
      deps,
      { ...node.address(), nodeId: node.nodeId, purpose: "snapshot" },
      { ready: talk, failed: resolve },
    );
  });
}

test("[P59] a sender that breaks the rules is answered with what was wrong, and nothing is kept", async () => {
  using node = openPeerNode(2);
  const begin = (sizeBytes: number) =>
    encodeBegin({ group: 1, index: 5, term: 2, sizeBytes, meta });
  const chunk = (offset: number, bytes: Uint8Array) => encodeChunk({ offset, bytes });
  const ten = content(10);
  const right = createHash("sha256").update(ten).digest();
  const cases: readonly (readonly [string, readonly Uint8Array[]])[] = [
    ["received", [begin(10), chunk(0, ten), encodeEnd(right)]],
    ["its SHA-256 does not match", [begin(10), chunk(0, ten), encodeEnd(new Uint8Array(32))]],
    ["a chunk is for byte 4 and byte 0 is next", [begin(10), chunk(4, ten)]],
    ["it is longer than the 5 bytes announced", [begin(5), chunk(0, ten)]],
    ["it ended after 10 of 20 bytes", [begin(20), chunk(0, ten), encodeEnd(right)]],
    ["it began twice", [begin(10), begin(10)]],
    ["a chunk came before its beginning", [chunk(0, ten)]],
    ["its end came before its beginning", [encodeEnd(right)]],
    ["are more than the", [begin(2 ** 50)]],
    ["beyond the window", [begin(mib), chunk(0, content(300 * 1024))]],
    [
      "beyond the window",
      [begin(mib), ...Array.from({ length: 40 }, (_, at) => chunk(at * 10, ten))],
    ],
  ];

  for (const [reason, frames] of cases) expect(await sendByHand(node, frames)).toContain(reason);
  await node.until("parts are removed", () => partials(node).length === 0);
  expect(node.snapshots.length).toBe(1);
  expect(existsSync(node.snapshots[0]?.path ?? "")).toBe(true);
});
