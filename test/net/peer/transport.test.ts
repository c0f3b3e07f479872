import { expect, test } from "bun:test";
import { LogLimiter } from "../../../src/net/peer/log-limiter.ts";
import { createMessage, type Message } from "../../../src/raft/message.ts";
import { openFaultyProxy } from "../../support/faulty-proxy.ts";
import {
  clusterId,
  connectAll,
  manualTime,
  openPeerNode,
  type PeerNode,
  uuidOf,
} from "../../support/peer-node.ts";
import { exchange } from "../../support/socket.ts";
import { memoryLogger } from "../../support/system-ports.ts";

function heartbeat(from: number, to: number, commit: number): Message {
  return createMessage("MsgHeartbeat", to, { from, term: 1, commit });
}

function append(from: number, to: number, index: number, bytes: number): Message {
  const data = new Uint8Array(bytes).fill(index % 256);
  const entries = [{ term: 1, index, type: "EntryNormal" as const, data }];
  return createMessage("MsgApp", to, { from, term: 1, index, entries });
}

const commits = (node: PeerNode) => node.deliveries.map(({ message }) => message.commit);

/** Two nodes, of which the first calls the second through a network that can be spoiled. */
async function pairThroughProxy(options: Parameters<typeof openPeerNode>[1] = {}) {
  const stack = new AsyncDisposableStack();
  const one = stack.use(openPeerNode(1, options));
  const two = stack.use(openPeerNode(2));
  const proxy = stack.use(await openFaultyProxy(two.port));
  one.transport.setPeers(new Map([[2, two.address(proxy.port)]]));
  return { one, two, proxy, [Symbol.asyncDispose]: () => stack.disposeAsync() };
}

test("[P20] two nodes exchange messages of several groups in order", async () => {
  using one = openPeerNode(1);
  using two = openPeerNode(2);
  connectAll([one, two]);

  one.transport.send(2, 1, [append(1, 2, 7, 10)]);
  one.transport.send(2, 9, [heartbeat(1, 2, 6)]);
  two.transport.send(1, 1, [createMessage("MsgAppResp", 1, { from: 2, term: 3, index: 7 })]);
  await two.until("two messages came", () => two.deliveries.length === 2);
  await one.until("one message came", () => one.deliveries.length === 1);

  expect(two.deliveries).toEqual([
    { group: 1, from: 1, message: append(1, 2, 7, 10) },
    { group: 9, from: 1, message: heartbeat(1, 2, 6) },
  ]);
  expect(one.deliveries[0]?.message.type).toBe("MsgAppResp");
});

test("[P21] what is sent within one turn arrives together", async () => {
  const batches: number[] = [];
  using one = openPeerNode(1);
  using two = openPeerNode(2, {
    onMessages: (_group, _from, messages) => {
      batches.push(messages.length);
    },
  });
  connectAll([one, two]);
  await one.until("it is connected", () => one.peer(2).isConnected);

  for (let index = 1; index <= 100; index += 1) one.transport.send(2, 1, [heartbeat(1, 2, index)]);
  await two.until("a batch came", () => batches.length > 0);

  expect(batches).toEqual([100]);
});

test("[P22] a peer that appears later gets what was sent to it meanwhile", async () => {
  await using pair = await pairThroughProxy();
  const { one, two, proxy } = pair;

  one.transport.send(2, 1, [heartbeat(1, 2, 1)]);
  await two.until("the message came", () => two.deliveries.length === 1);

  expect(proxy.acceptedCount).toBe(1);
});

test("[P23] a connection that ends is reported once and made again", async () => {
  await using pair = await pairThroughProxy();
  const { one, two, proxy } = pair;
  await one.until("it is connected", () => one.peer(2).isConnected);

  proxy.cut();
  await one.until("the loss is reported", () => one.unreachable.length > 0);
  await one.until("it is connected again", () => one.peer(2).isConnected);
  one.transport.send(2, 1, [heartbeat(1, 2, 5)]);
  await two.until("the message came", () => two.deliveries.length === 1);

  expect(one.unreachable).toEqual([2]);
  expect(commits(two)).toEqual([5]);
});

test("[P24] a peer that swallows everything is given up after three unanswered pings", async () => {
  const time = manualTime();
  await using pair = await pairThroughProxy(time);
  const { one, proxy } = pair;
  await one.until("a ping was answered", () => one.peer(2).rttMs !== undefined);

  proxy.set({ toTarget: { swallow: true } });
  // The answer to the first ping is counted at the first of these.
  time.advance(3000);
  expect(one.peer(2).isConnected).toBe(true);
  time.advance(1000);

  expect(one.peer(2).isConnected).toBe(false);
  expect(one.peer(2).lastFailure).toBe("it was silent for 3000 ms");
  await one.until("the loss is reported", () => one.unreachable.length === 1);
});

test("[P24] a process that was itself paused gives up nobody", async () => {
  const time = manualTime();
  using one = openPeerNode(1, time);
  using two = openPeerNode(2, { clock: time.clock, timers: time.timers });
  connectAll([one, two]);
  await one.until("both are connected", () => one.peer(2).isConnected && one.peer(2).isCalling);

  time.jump(60_000);
  one.transport.send(2, 1, [heartbeat(1, 2, 1)]);
  await two.until("the message came", () => two.deliveries.length === 1);

  expect([one.unreachable, two.unreachable]).toEqual([[], []]);
  expect([one.peer(2).isCalling, two.peer(1).isCalling]).toEqual([true, true]);
});

test("[P24] a caller that falls silent is dropped by the node it called", async () => {
  const time = manualTime();
  using one = openPeerNode(1);
  using two = openPeerNode(2, time);
  await using proxy = await openFaultyProxy(two.port);
  two.transport.setPeers(new Map([[1, one.address()]]));
  one.transport.setPeers(new Map([[2, two.address(proxy.port)]]));
  await two.until("it is called", () => two.peer(1).isCalling);

  proxy.set({ toTarget: { hold: true } });
  time.advance(5000);

  expect(two.peer(1).isCalling).toBe(false);
});

test("[P25] a peer that takes nothing costs a bounded queue, one report, and nobody else anything", async () => {
  await using pair = await pairThroughProxy();
  const { one, two, proxy } = pair;
  using three = openPeerNode(3);
  one.transport.setPeers(
    new Map([
      [2, two.address(proxy.port)],
      [3, three.address()],
    ]),
  );
  await one.until("both are connected", () => one.peer(2).isConnected && one.peer(3).isConnected);

  proxy.set({ toTarget: { hold: true } });
  const last = 14_000;
  for (let index = 1; index <= last; index += 1) {
    one.transport.send(2, 1, [append(1, 2, index, 2000)]);
    // What the kernel can take leaves between turns; then the queue fills.
    if (index % 1000 === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  one.transport.send(3, 1, [heartbeat(1, 3, 1)]);
  await three.until("the other peer got its message", () => three.deliveries.length === 1);
  await one.until("the loss is reported", () => one.unreachable.length > 0);

  expect(one.peer(2).queuedMessages).toBe(8192);
  expect(one.unreachable).toEqual([2]);

  proxy.set({});
  await two.until("the newest came", () => two.deliveries.at(-1)?.message.index === last);
  const indexes = two.deliveries.map(({ message }) => message.index);
  expect(indexes).toEqual([...indexes].sort((a, b) => a - b));
  expect(indexes.length).toBeLessThan(last);
});

test("[P2] a byte that changed on the way ends the connection and is never delivered", async () => {
  await using pair = await pairThroughProxy();
  const { one, two, proxy } = pair;
  await one.until("it is connected", () => one.peer(2).isConnected);

  proxy.set({
    toTarget: {
      corrupt: (chunk) => {
        const last = chunk.length - 1;
        chunk[last] = (chunk[last] ?? 0) ^ 1;
      },
    },
  });
  one.transport.send(2, 1, [append(1, 2, 1, 100)]);
  await one.until("the loss is reported", () => one.unreachable.length === 1);
  proxy.set({});
  await one.until("it is connected again", () => one.peer(2).isConnected);
  one.transport.send(2, 1, [append(1, 2, 2, 100)]);
  await two.until("a message came", () => two.deliveries.length === 1);

  expect(two.deliveries[0]?.message.index).toBe(2);
  expect(two.lines.join("\n")).toContain("does not match its checksum");
});

test("[P25] a message too large to wait is not sent, which is said and logged", async () => {
  using one = openPeerNode(1);
  using two = openPeerNode(2);
  connectAll([one, two]);
  await one.until("it is connected", () => one.peer(2).isConnected);

  one.transport.send(2, 1, [append(1, 2, 1, 65 * 1024 * 1024), append(1, 2, 2, 10)]);
  await two.until("the other message came", () => two.deliveries.length === 1);

  expect(two.deliveries[0]?.message.index).toBe(2);
  expect(one.unreachable).toEqual([2]);
  expect(one.lines.at(-1)).toContain("cannot be sent a MsgApp");
});

test("[P26] messages that pretend to be from or for another node, or are local, are dropped and logged", async () => {
  using one = openPeerNode(1);
  using two = openPeerNode(2);
  connectAll([one, two]);

  one.transport.send(2, 1, [
    heartbeat(3, 2, 1),
    heartbeat(1, 3, 2),
    createMessage("MsgHup", 2, { from: 1 }),
    createMessage("MsgTransferLeader", 2, { from: 3, commit: 3 }),
    heartbeat(1, 2, 4),
  ]);
  await two.until("the messages came", () => two.deliveries.length >= 2);

  expect(commits(two)).toEqual([3, 4]);
  expect(two.lines).toContain("dropped MsgHeartbeat from 3 to 2, which came from node 1 to node 2");
});

test("[P27] a message for a node without an address is dropped with a line", async () => {
  using one = openPeerNode(1);

  one.transport.send(9, 1, [heartbeat(1, 9, 1)]);

  expect(one.lines).toEqual(["a message for node 9, whose address is unknown, was dropped"]);
});

test("[P35] a node that is no member is refused before any of its messages is read", async () => {
  using one = openPeerNode(1);
  using two = openPeerNode(2, { isMember: (_uuid, nodeId) => nodeId !== 1 });
  one.transport.setPeers(new Map([[2, two.address()]]));

  one.transport.send(2, 1, [heartbeat(1, 2, 1)]);
  await one.until("it is refused", () => one.peer(2).lastFailure !== undefined);

  expect(one.peer(2).lastFailure).toContain("is not a member");
  expect(two.transport.stats().lastRefusal).toContain("is not a member");
  expect(two.deliveries).toEqual([]);
});

test("[P35] a member that was removed loses its connection at once", async () => {
  const members = new Set([1, 2]);
  using one = openPeerNode(1);
  using two = openPeerNode(2, { isMember: (_uuid, nodeId) => members.has(nodeId) });
  connectAll([one, two]);
  await one.until("it is connected", () => one.peer(2).isConnected);

  members.delete(1);
  two.transport.setPeers(new Map());
  await one.until("it is refused", () => one.peer(2).lastFailure?.includes("member") === true);

  expect(one.peer(2).isConnected).toBe(false);
});

test("[P31] a node of another cluster is told so at every call, and the log says it once per interval", async () => {
  const other = "dddddddd-0000-4000-8000-000000000002";
  using one = openPeerNode(1, {
    self: { clusterId: other, uuid: uuidOf(1), nodeId: 1, recoveryEpoch: 0 },
  });
  using two = openPeerNode(2);
  await using proxy = await openFaultyProxy(two.port);
  one.transport.setPeers(new Map([[2, two.address(proxy.port)]]));

  await one.until("it called three times", () => proxy.acceptedCount === 4);

  const refusals = two.lines.filter((line) => line.includes("belongs to cluster"));
  expect(refusals.length).toBe(1);
  for (const text of [refusals[0], one.peer(2).lastFailure]) {
    expect(text).toContain(clusterId);
    expect(text).toContain(other);
  }
});

test("[P40] a stranger that says nothing is closed in time, and one that talks nonsense at once", async () => {
  const time = manualTime();
  using node = openPeerNode(1, time);
  const origin = `http://127.0.0.1:${node.port}`;

  const answer = await exchange(origin, "GET / HTTP/1.1\r\nhost: corvo\r\n\r\n", () => false);
  const silent = exchange(origin, "", () => false);
  const closed = silent.then(() => "closed");
  await node.until("it was accepted and timed out", () => {
    time.advance(1000);
    return node.lines.some((line) => line.includes("no handshake within 5000 ms"));
  });

  expect(answer).toBe("");
  expect(await closed).toBe("closed");
  expect(node.lines.some((line) => line.includes("a frame of"))).toBe(true);
});

test("[P40] whoever fills the waiting room with silence does not keep a member out", async () => {
  using one = openPeerNode(1);
  using two = openPeerNode(2);
  const origin = `http://127.0.0.1:${two.port}`;
  const strangers = Array.from({ length: 80 }, () => exchange(origin, "", () => false));
  await two.until("the oldest were turned away", () =>
    two.lines.some((line) => line.includes("more than 64 connections are in their handshake")),
  );

  one.transport.setPeers(new Map([[2, two.address()]]));
  await one.until("it is connected", () => one.peer(2).isConnected);
  two.transport.stop();

  expect(await Promise.all(strangers)).toEqual(strangers.map(() => ""));
});

test("[P40] a stranger who makes up a new reason each time cannot fill the log", () => {
  const logger = memoryLogger();
  const time = manualTime();
  const limiter = new LogLimiter(logger, time.clock);

  for (let reason = 0; reason < 1000; reason += 1) limiter.warn(`reason ${reason}`, "refused");
  const first = logger.lines.length;
  time.advance(10_000);
  limiter.warn("reason 1", "refused");

  expect([first, logger.lines.length]).toEqual([50, 51]);
});

test("[P41] a connection that always ends at once is made again ever more slowly", async () => {
  const time = manualTime();
  await using pair = await pairThroughProxy({ ...time, random: { uint32: () => 2 ** 32 - 1 } });
  const { one, proxy } = pair;

  for (const delayMs of [50, 100, 200]) {
    await one.until("it is connected", () => one.peer(2).isConnected);
    const accepted = proxy.acceptedCount;
    proxy.cut();
    await one.until("it is lost", () => !one.peer(2).isConnected);
    time.advance(delayMs - 1);
    expect(proxy.acceptedCount).toBe(accepted);
    time.advance(1);
    await one.until("it calls again", () => proxy.acceptedCount > accepted);
  }
});

test("[P41] calls that fail are repeated ever more slowly, up to two seconds", async () => {
  const time = manualTime();
  using one = openPeerNode(1, { ...time, random: { uint32: () => 2 ** 32 - 1 } });
  using two = openPeerNode(2);
  await using proxy = await openFaultyProxy(two.port);
  two.transport.stop();
  one.transport.setPeers(new Map([[2, two.address(proxy.port)]]));
  const delays: number[] = [];

  for (let call = 1; call <= 8; call += 1) {
    await one.until(
      "the call failed",
      () => one.lines.length > 0 && proxy.connectionCount === 0 && proxy.acceptedCount === call,
    );
    // The failure has reached the node when its timer is there: time stands still until then.
    let waitedMs = 0;
    await one.until("the next call was made", () => {
      if (proxy.acceptedCount > call) return true;
      time.advance(10);
      waitedMs += 10;
      return false;
    });
    delays.push(waitedMs);
  }

  const wanted = [50, 100, 200, 400, 800, 1600, 2000, 2000];
  for (const [at, delayMs] of delays.entries())
    expect(delayMs).toBeGreaterThanOrEqual(wanted[at] ?? 0);
});

test("[P42] a peer that calls is called back without waiting", async () => {
  const time = manualTime();
  using one = openPeerNode(1, time);
  using two = openPeerNode(2);
  await using proxy = await openFaultyProxy(two.port);
  proxy.set({ refuse: true });
  one.transport.setPeers(new Map([[2, two.address(proxy.port)]]));
  await one.until("the call failed", () => one.peer(2).lastFailure !== undefined);

  proxy.set({});
  two.transport.setPeers(new Map([[1, one.address()]]));
  await one.until("it is connected", () => one.peer(2).isConnected);

  expect(time.clock.nowMs()).toBe(0);
});

test("[P46] a node that calls again replaces its older connection", async () => {
  const time = manualTime();
  using older = openPeerNode(1, time);
  using newer = openPeerNode(1, time);
  using two = openPeerNode(2);
  for (const node of [older, newer]) {
    node.transport.setPeers(new Map([[2, two.address()]]));
    await node.until("it is connected", () => node.peer(2).isConnected);
  }

  await older.until("its connection was ended", () => !older.peer(2).isConnected);
  newer.transport.send(2, 1, [heartbeat(1, 2, 7)]);
  await two.until("the message came", () => two.deliveries.length === 1);

  expect(newer.peer(2).isConnected).toBe(true);
  expect(two.lines).toContain("connection from node 1 ended: replaced by a newer connection");
});

test("[P43] statistics tell what crossed and how far away the peer is", async () => {
  using one = openPeerNode(1, { groups: () => [1, 4] });
  using two = openPeerNode(2, { groups: () => [4] });
  connectAll([one, two]);

  one.transport.send(2, 4, [heartbeat(1, 2, 1), append(1, 2, 1, 100)]);
  await two.until("the messages came", () => two.deliveries.length === 2);
  await one.until("a ping was answered", () => one.peer(2).rttMs !== undefined);
  await one.until("the other called", () => one.peer(2).isCalling);

  expect(one.peer(2)).toMatchObject({
    isConnected: true,
    sentMessages: 2,
    queuedMessages: 0,
    queuedBytes: 0,
    groups: [4],
    lastFailure: undefined,
  });
  expect(one.peer(2).sentBytes).toBeGreaterThan(100);
  expect(two.peer(1)).toMatchObject({ receivedMessages: 2 });
  expect(one.peer(2).lastContactMs).toBeLessThan(5000);
});

test("[P43] one that nothing ever came from is silent since it is a peer", () => {
  const time = manualTime();
  using one = openPeerNode(1, time);
  const nobody = { host: "127.0.0.1", port: 1, uuid: uuidOf(2) };
  time.advance(1000);
  one.transport.setPeers(new Map([[2, nobody]]));
  time.advance(5000);
  one.transport.setPeers(new Map([[2, { ...nobody, port: 2 }]]));
  time.advance(1000);

  expect(one.peer(2)).toMatchObject({ lastContactMs: undefined, silentMs: 6000 });
});

test("[P43] one that calls, and cannot be called, is heard and not reached", async () => {
  const time = manualTime();
  using one = openPeerNode(1, time);
  using two = openPeerNode(2);
  one.transport.setPeers(new Map([[2, { host: "127.0.0.1", port: 1, uuid: uuidOf(2) }]]));
  two.transport.setPeers(new Map([[1, one.address()]]));
  await one.until("it called", () => one.peer(2).isCalling);
  await one.until("the call to it failed", () => one.peer(2).lastFailure !== undefined);
  time.advance(1500);

  expect(one.peer(2)).toMatchObject({ isConnected: false, unreachedMs: 1500 });
  expect(two.peer(1)).toMatchObject({ isConnected: true, unreachedMs: 0 });
});

test("[P44] after stop nothing is called back and nothing stays connected", async () => {
  await using pair = await pairThroughProxy();
  const { one, two, proxy } = pair;
  await one.until("it is connected", () => one.peer(2).isConnected);

  one.transport.stop();
  one.transport.send(2, 1, [heartbeat(1, 2, 1)]);
  await two.until("the connection is gone", () => proxy.connectionCount === 0);

  expect(one.unreachable).toEqual([]);
  expect(one.transport.stats().peers).toEqual([]);
});

test("[P45] a bug in a receiver of messages is not taken for a bad connection", async () => {
  const script = new URL("../../support/receive-with-bug.ts", import.meta.url).pathname;
  const child = Bun.spawn([process.execPath, script], { stdout: "ignore", stderr: "pipe" });

  const said = await new Response(child.stderr).text();

  expect(said).toContain("a broken invariant");
  expect(await child.exited).toBe(1);
});

test("[P33] a secret that is too short is refused before anything starts", () => {
  expect(() => openPeerNode(1, { secret: new Uint8Array(15) })).toThrow(
    "the cluster secret has 15 bytes, and at least 16 are needed",
  );
});
