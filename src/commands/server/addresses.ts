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

/** Of `HOST:PORT` or a URL, without brackets. */
export function hostOf(address: string): string {
  const url = address.includes("://") ? address : `http://${address}`;
  return new URL(url).hostname.replace(/^\[|\]$/g, "");
}

/** As in URLs. */
export function hostAndPort(host: string, port: number): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

/** A host that others can use for one that means "all interfaces". */
export function reachableHost(host: string): string {
  if (host !== "0.0.0.0" && host !== "::") return host;
  for (const addresses of Object.values(networkInterfaces())) {
    for (const address of addresses ?? []) {
      if (!address.internal && address.family === "IPv4") return address.address;
    }
  }
  return "127.0.0.1";
}
