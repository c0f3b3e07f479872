/** Where a node listens, and what others reach it by. */
import { createServer } from "node:net";
import { networkInterfaces } from "node:os";
import { CorvoError } from "../../base/errors.ts";

const defaultPeer = { host: "127.0.0.1", port: 9000 };

/** The address to bind the peer port to. The default gives way when it is taken; one that was asked for does not. */
export async function choosePeerBind(
  asked: { readonly host: string; readonly port: number } | undefined,
): Promise<{ host: string; port: number }> {
  const wanted = asked ?? defaultPeer;
  try {
    return { host: wanted.host, port: await tryPort(wanted.host, wanted.port) };
  } catch (error) {
    if (asked !== undefined) {
      throw new CorvoError(
        "CONFLICT",
        `the peer port ${wanted.host}:${wanted.port} cannot be used: ${error instanceof Error ? error.message : error}`,
        { hint: "Choose another with --peer-bind." },
      );
    }
    return { host: wanted.host, port: await tryPort(wanted.host, 0) };
  }
}

/** The port, or a free one for 0. It is let go again, so that it can be told to others before it is listened on. */
export function tryPort(host: string, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(port, host, () => {
      const address = server.address();
      server.close(() =>
        resolve(typeof address === "object" && address !== null ? address.port : port),
      );
    });
  });
}

export function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || host.startsWith("127.");
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
