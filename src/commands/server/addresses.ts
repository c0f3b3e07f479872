/** Where a node listens, and what others reach it by. */
import { createServer } from "node:net";
import { networkInterfaces } from "node:os";
import { CorvoError } from "../../base/errors.ts";

const defaultPeer = { host: "127.0.0.1", port: 9000 };

/** A port that nobody else can take until it is let go, right before it is listened on. */
export interface HeldPort {
  readonly host: string;
  readonly port: number;
  release(): Promise<void>;
}

/** The address to bind the peer port to. The default gives way when it is taken; one that was asked for does not. */
export async function holdPeerPort(
  asked: { readonly host: string; readonly port: number } | undefined,
): Promise<HeldPort> {
  const wanted = asked ?? defaultPeer;
  try {
    return await holdPort(wanted.host, wanted.port);
  } catch (error) {
    if (asked !== undefined) {
      throw new CorvoError(
        "CONFLICT",
        `the peer port ${wanted.host}:${wanted.port} cannot be used: ${error instanceof Error ? error.message : error}`,
        { hint: "Choose another with --peer-bind." },
      );
    }
    return holdPort(wanted.host, 0);
  }
}

/** Holds the port, or a free one for 0. Whoever connects meanwhile is turned away. */
function holdPort(host: string, wanted: number): Promise<HeldPort> {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => socket.destroy());
    server.once("error", reject);
    server.listen(wanted, host, () => {
      const address = server.address();
      const port = typeof address === "object" && address !== null ? address.port : wanted;
      const release = () => new Promise<void>((done) => server.close(() => done()));
      resolve({ host, port, release });
    });
  });
}

/** A free port, which is let go again, so that it can be told to others before it is listened on. */
export async function freePort(host: string): Promise<number> {
  const held = await holdPort(host, 0);
  await held.release();
  return held.port;
}

export function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || host.startsWith("127.");
}

/** The parts of `HOST:PORT`, the host without brackets. */
export function partsOf(address: string): { readonly host: string; readonly port: number } {
  const at = address.lastIndexOf(":");
  return { host: unbracketed(address.slice(0, at)), port: Number(address.slice(at + 1)) };
}

function unbracketed(host: string): string {
  return host.replace(/^\[|\]$/g, "");
}

/** As in URLs. */
export function hostAndPort(host: string, port: number): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

/** A host that others can use for one that means "all interfaces". */
export function reachableHost(host: string): string {
  if (!["0.0.0.0", "::", "[::]"].includes(host)) return host;
  for (const addresses of Object.values(networkInterfaces())) {
    for (const address of addresses ?? []) {
      if (!address.internal && address.family === "IPv4") return address.address;
    }
  }
  return "127.0.0.1";
}

/** Where a node says that others reach it. */
export interface Reach {
  readonly uuid: string;
  readonly peerAddress: string;
  readonly httpUrl: string;
}

/**
 * Throws CONFLICT when a node gives an address of its own machine to members that are reached from others: nobody would reach it.
 * What a member's record says already is not looked at again, so that it can always tell its version.
 */
export function refuseOutOfReach(node: Reach, members: readonly Reach[]): void {
  const own = members.find(({ uuid }) => uuid === node.uuid);
  const others = members.filter((member) => member !== own);
  if (own?.peerAddress !== node.peerAddress) {
    const known = others.map(({ peerAddress }) => peerAddress);
    refuseLoopback("peer address", node.peerAddress, known);
  }
  if (own?.httpUrl !== node.httpUrl) {
    const known = others.map(({ httpUrl }) => httpUrl);
    refuseLoopback("HTTP address", node.httpUrl, known);
  }
}

const reachHints = {
  "peer address": "Start it with --peer-bind, or --peer-advertise.",
  "HTTP address": "Start it with --bind, or --advertise-url.",
};

function refuseLoopback(
  what: keyof typeof reachHints,
  address: string,
  known: readonly string[],
): void {
  const far = known.find((other) => !leadsHere(other));
  if (far === undefined || !leadsHere(address)) return;
  throw new CorvoError(
    "CONFLICT",
    `the ${what} of the joining node, ${address}, is of its own machine only, and this cluster has a node at ${far}`,
    { hint: reachHints[what] },
  );
}

/** Of `HOST:PORT` or a URL: whoever calls it calls the own machine. */
export function leadsHere(address: string): boolean {
  const { host } = address.includes("://")
    ? { host: unbracketed(new URL(address).hostname) }
    : partsOf(address);
  return isLoopback(host);
}
