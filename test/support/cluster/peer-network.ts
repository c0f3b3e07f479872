/**
 * The network between the nodes of a cluster under test. Every node advertises a port of this network instead of its own;
 * who calls there is read from the first frame of the call, which names its sender, or, with TLS, from whose socket it is.
 * The call goes on through a faulty proxy that belongs to that pair of nodes and direction of calling. So two nodes can be
 * kept apart while both still reach a third, and one can hear another without being heard. Calls that nodes pass on to the
 * leader name nobody, so they go through one proxy a node, which fails when no other node reaches that one.
 */
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { createConnection, createServer, type Server, type Socket } from "node:net";
import { ByteReader } from "../../../src/net/peer/bytes.ts";
import { type FaultyProxy, openFaultyProxy } from "../faulty-proxy.ts";

/** How the way from one node to another fails; `hold` keeps the bytes until it is over, `cut` breaks connections too. */
export type LinkFault =
  | { readonly kind: "hold" }
  | { readonly kind: "cut" }
  | { readonly kind: "delay"; readonly delayMs: number };

const frameHeaderBytes = 9;
const textBytesMax = 256;

/** The node id in a hello frame, once enough of it is there. */
function callerOf(bytes: Uint8Array): number | undefined {
  if (bytes.length < frameHeaderBytes) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const length = view.getUint32(0, true);
  if (bytes.length < 8 + length) return undefined;
  const reader = new ByteReader(bytes.subarray(frameHeaderBytes, 8 + length));
  reader.raw(7); // magic, both versions, purpose
  reader.text(textBytesMax);
  reader.text(textBytesMax);
  const nodeId = reader.varint();
  return reader.fault === undefined ? nodeId : undefined;
}

/** A node has no number before it has joined, and calls and is called before that. */
type NumberOf = () => number;

interface Way {
  readonly proxy: FaultyProxy;
  readonly from: NumberOf;
  readonly to: NumberOf;
}

interface Caller {
  readonly pid: number;
  readonly id: NumberOf;
}

/** Whose end of a connection on this machine has the port, by the tables of Linux. */
function ownerOf(port: number, callers: readonly Caller[]): Caller | undefined {
  const local = `0100007F:${port.toString(16).toUpperCase().padStart(4, "0")}`;
  const rows = readFileSync("/proc/net/tcp", "utf8").split("\n");
  const row = rows.map((line) => line.trim().split(/\s+/)).find((cells) => cells[1] === local);
  const socket = `socket:[${row?.[9]}]`;
  return callers.find(({ pid }) => filesOf(pid).includes(socket));
}

/** None of a process that has ended; what it closes meanwhile is left out. */
function filesOf(pid: number): string[] {
  const found: string[] = [];
  try {
    for (const fd of readdirSync(`/proc/${pid}/fd`)) found.push(linkOf(`/proc/${pid}/fd/${fd}`));
  } catch (error) {
    if (!isGone(error)) throw error;
  }
  return found;
}

function linkOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch (error) {
    if (isGone(error)) return "";
    throw error;
  }
}

function isGone(error: unknown): boolean {
  return ["ENOENT", "ESRCH", "EACCES"].includes((error as NodeJS.ErrnoException).code ?? "");
}

export class PeerNetwork {
  /** Those that may call, where calls do not say who does. */
  readonly #callers: (() => readonly Caller[]) | undefined;
  readonly #doors: Server[] = [];
  readonly #sockets = new Set<Socket>();
  readonly #ways = new Map<string, Promise<Way>>();
  readonly #http: { readonly proxy: FaultyProxy; readonly to: NumberOf }[] = [];
  #faultOf: (from: number, to: number) => LinkFault | undefined = () => undefined;

  constructor(callers?: () => readonly Caller[]) {
    this.#callers = callers;
  }

  /** Opens the address under which the others reach the peer port of this machine. `nodeIdOf` tells whose it is. */
  async open(peerPort: number, nodeIdOf: NumberOf): Promise<number> {
    const door = createServer({ allowHalfOpen: true }, (caller) => {
      this.#track(caller);
      let head = new Uint8Array(0);
      const onData = (chunk: Buffer) => {
        head = Buffer.concat([head, chunk]);
        const from = this.#fromOf(caller, head);
        if (from === undefined) return;
        caller.off("data", onData);
        caller.pause();
        const call = { caller, head, ...from, to: nodeIdOf, peerPort };
        this.#connect(call).catch(() => caller.destroy());
      };
      caller.on("data", onData);
    });
    this.#doors.push(door);
    await new Promise<void>((resolve) => door.listen(0, "127.0.0.1", resolve));
    const address = door.address();
    if (address === null || typeof address === "string") throw new Error("the door has no port");
    return address.port;
  }

  /** Replaces all faults: what each way suffers from now on, connections that are open included. */
  async setFaults(faultOf: (from: number, to: number) => LinkFault | undefined): Promise<void> {
    this.#faultOf = faultOf;
    for (const way of await Promise.all(this.#ways.values())) this.#apply(way, true);
    for (const { proxy, to } of this.#http) {
      const froms = this.#http.map((other) => other.to()).filter((id) => id !== to());
      const faults = froms.map((from) => faultOf(from, to()));
      const fault = faults.includes(undefined) ? undefined : faults[0];
      proxy.set({ toTarget: linkFaults(fault), refuse: fault?.kind === "cut" });
      if (fault?.kind === "cut") proxy.cut();
    }
  }

  /** Opens the address under which the others reach the HTTP API of a node. */
  async openHttp(httpPort: number, nodeIdOf: NumberOf): Promise<number> {
    const proxy = await openFaultyProxy(httpPort);
    this.#http.push({ proxy, to: nodeIdOf });
    return proxy.port;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    for (const door of this.#doors) await new Promise<void>((done) => door.close(() => done()));
    for (const { proxy } of [...(await Promise.all(this.#ways.values())), ...this.#http]) {
      await proxy[Symbol.asyncDispose]();
    }
  }

  /** Undefined while too little of the call has come. */
  #fromOf(caller: Socket, head: Uint8Array): { name: string; from: NumberOf } | undefined {
    if (this.#callers === undefined) {
      const id = callerOf(head);
      return id === undefined ? undefined : { name: String(id), from: () => id };
    }
    const owner = ownerOf(caller.remotePort ?? 0, this.#callers());
    // Gone in the meantime.
    if (owner === undefined) caller.destroy();
    return owner === undefined ? undefined : { name: `pid ${owner.pid}`, from: owner.id };
  }

  async #connect(call: {
    caller: Socket;
    head: Uint8Array;
    name: string;
    from: NumberOf;
    to: NumberOf;
    peerPort: number;
  }): Promise<void> {
    const { caller, from, to } = call;
    const key = `${call.name}>${call.peerPort}`;
    let opening = this.#ways.get(key);
    if (opening === undefined) {
      opening = openFaultyProxy(call.peerPort).then((proxy) => ({ proxy, from, to }));
      this.#ways.set(key, opening);
    }
    const way = await opening;
    this.#apply(way, false);
    const target = createConnection({ host: "127.0.0.1", port: way.proxy.port });
    this.#track(target);
    target.setNoDelay(true);
    caller.setNoDelay(true);
    target.write(call.head);
    caller.pipe(target);
    target.pipe(caller);
    target.on("close", () => caller.destroy());
    caller.on("close", () => target.destroy());
  }

  /** A call carries what the caller says one way, and the signs of life of the called one the other way. */
  #apply({ proxy, from, to }: Way, isChange: boolean): void {
    const there = this.#faultOf(from(), to());
    const back = this.#faultOf(to(), from());
    const refuse = there?.kind === "cut" || back?.kind === "cut";
    proxy.set({ toTarget: linkFaults(there), toCaller: linkFaults(back), refuse });
    if (refuse && isChange) proxy.cut();
  }

  #track(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on("close", () => this.#sockets.delete(socket));
    socket.on("error", () => socket.destroy());
  }
}

function linkFaults(fault: LinkFault | undefined): { hold?: boolean; delayMs?: number } {
  if (fault?.kind === "hold") return { hold: true };
  return fault?.kind === "delay" ? { delayMs: fault.delayMs } : {};
}
