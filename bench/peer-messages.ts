/**
 * How fast do consensus messages travel between two processes on one machine? Process A sends appends with one entry of the
 * given size, process B answers each with a response. `flight` appends are kept unanswered; each turn's answers release the
 * next ones together, so a larger flight means larger batches. Run: bun bench/peer-messages.ts [entryBytes] [seconds]
 * A message counts when its answer is back.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createPeerTransport, type PeerTransport } from "../src/net/peer/transport.ts";
import { createMessage, type Message } from "../src/raft/message.ts";

const clusterId = "c0c0c0c0-0000-4000-8000-000000000001";
const uuidOf = (nodeId: number) => `0de00000-0000-4000-8000-00000000000${nodeId}`;
const silent = { debug() {}, info() {}, warn: console.error, error: console.error };
const directory = mkdtempSync(join(tmpdir(), "corvo-bench-"));

function open(nodeId: number, onMessages: (messages: readonly Message[]) => void): PeerTransport {
  return createPeerTransport({
    self: { clusterId, uuid: uuidOf(nodeId), nodeId, recoveryEpoch: 0 },
    secret: new TextEncoder().encode("the secret of the benchmark"),
    clock: { nowMs: Date.now, monotonicMs: () => performance.now() },
    timers: {
      after(delayMs, callback) {
        const timer = setTimeout(callback, delayMs);
        return () => clearTimeout(timer);
      },
    },
    random: { uint32: () => Math.floor(Math.random() * 2 ** 32) },
    logger: silent,
    isMember: () => true,
    onMessages: (_group, _from, messages) => onMessages(messages),
    onUnreachable: () => {},
    snapshotDirectory: directory,
    onSnapshot: () => {},
  });
}

function answering(): void {
  const transport = open(2, (messages) => {
    const answers = messages.map((message) =>
      createMessage("MsgAppResp", 1, { from: 2, term: message.term, index: message.index }),
    );
    transport.send(1, 1, answers);
  });
  const port = transport.listen("127.0.0.1", 0);
  transport.setPeers(
    new Map([[1, { host: "127.0.0.1", port: Number(process.argv[3]), uuid: uuidOf(1) }]]),
  );
  process.send?.({ port });
  process.on("disconnect", () => process.exit(0));
}

async function measuring(entryBytes: number, seconds: number): Promise<void> {
  let answered = (_index: number) => {};
  const transport = open(1, (messages) => {
    for (const message of messages) answered(message.index);
  });
  const port = transport.listen("127.0.0.1", 0);
  const ready = Promise.withResolvers<number>();
  const child = Bun.spawn([process.execPath, import.meta.path, "--answer", String(port)], {
    stdio: ["ignore", "inherit", "inherit"],
    ipc: (message: { readonly port: number }) => ready.resolve(message.port),
  });
  const peer = { host: "127.0.0.1", port: await ready.promise, uuid: uuidOf(2) };
  transport.setPeers(new Map([[2, peer]]));
  const data = new Uint8Array(entryBytes).fill(0x61);
  let next = 1;
  const sentMs = new Map<number, number>();
  const send = (count: number) => {
    const messages: Message[] = [];
    for (let left = count; left > 0; left -= 1) {
      const index = next++;
      sentMs.set(index, performance.now());
      const entries = [{ term: 1, index, type: "EntryNormal" as const, data }];
      messages.push(createMessage("MsgApp", 2, { from: 1, term: 1, index, entries }));
    }
    transport.send(2, 1, messages);
  };
  for (const flight of [1, 16, 128, 1024]) {
    const latencies: number[] = [];
    const over = Promise.withResolvers<void>();
    const startMs = performance.now();
    const endMs = startMs + seconds * 1000;
    let owed = 0;
    answered = (index) => {
      latencies.push(performance.now() - (sentMs.get(index) ?? 0));
      sentMs.delete(index);
      owed += 1;
      if (owed > 1) return;
      queueMicrotask(() => {
        const count = owed;
        owed = 0;
        if (performance.now() < endMs) send(count);
        else if (sentMs.size === 0) over.resolve();
      });
    };
    send(flight);
    await over.promise;
    const tookMs = performance.now() - startMs;
    latencies.sort((a, b) => a - b);
    const at = (share: number) => (latencies[Math.floor(latencies.length * share)] ?? 0).toFixed(3);
    const rate = Math.round((latencies.length / tookMs) * 1000);
    console.log(
      `${entryBytes} B, ${flight} in flight: ${rate} appends/s and as many answers, round trip p50 ${at(0.5)} ms, p99 ${at(0.99)} ms`,
    );
  }
  transport.stop();
  child.kill();
  rmSync(directory, { recursive: true, force: true });
}

if (process.argv[2] === "--answer") answering();
else await measuring(Number(process.argv[2] ?? 256), Number(process.argv[3] ?? 2));
