/**
 * One socket, plain or TLS, that carries frames.
 *
 * It owns what has been written and not yet taken by the kernel: `write` never blocks, and while `isBlocked` the owner holds
 * back what it still has. A connection opens once (after TLS, if there is TLS) and ends once, with a reason; nothing
 * is reported after that. With TLS only `socket.authorized` counts: the handshake may be reported as done for a certificate
 * that nobody we trust has signed.
 */
import type { Socket, SocketHandler, TCPSocketListener } from "bun";
import { FrameReader, type FrameType } from "./frame.ts";
import { peerLimits } from "./limits.ts";

export interface PeerTls {
  /** PEM texts. */
  readonly key: string;
  readonly cert: string;
  readonly ca: string;
  /** Demand a certificate of whoever connects. */
  readonly requireClientCert?: boolean;
  /** The name that certificates of peers must carry, instead of the host that was dialled. */
  readonly serverName?: string;
}

export interface ConnectionEvents {
  opened(): void;
  frame(type: FrameType, payload: Uint8Array): void;
  /** Everything that was written has been taken. */
  drained?(): void;
  ended(reason: string): void;
}

/** Who has to show a trusted certificate: with `asCaller` the other side always, else only on demand. */
interface ConnectionMode {
  readonly tls: PeerTls | undefined;
  readonly asCaller: boolean;
}

export class Connection {
  events: ConnectionEvents | undefined;
  readonly remote: string;
  sentBytes = 0;
  receivedBytes = 0;
  /** Counts up whenever bytes come or are taken: an unchanged value between two looks is silence. */
  activity = 0;
  readonly #socket: Socket<Holder>;
  readonly #mode: ConnectionMode;
  readonly #frames = new FrameReader(peerLimits.handshakeFrameBytesMax);
  #unsent: Uint8Array | undefined;
  #open = false;
  #ended = false;

  constructor(socket: Socket<Holder>, mode: ConnectionMode) {
    this.#socket = socket;
    this.#mode = mode;
    this.remote = `${socket.remoteAddress}:${socket.remotePort}`;
  }

  get isBlocked(): boolean {
    return this.#unsent !== undefined;
  }

  get hasEnded(): boolean {
    return this.#ended;
  }

  /** The URIs that the other side's certificate names it by. */
  certificateNames(): readonly string[] {
    if (this.#mode.tls === undefined) return [];
    const names = this.#socket.getPeerCertificate()?.subjectaltname;
    if (typeof names !== "string") return [];
    return names.split(", ").flatMap((name) => (name.startsWith("URI:") ? [name.slice(4)] : []));
  }

  allowLargeFrames(): void {
    this.#frames.limit(peerLimits.frameBytesMax);
  }

  /** `bytes` may be used again when this returns. */
  write(bytes: Uint8Array): void {
    if (this.#ended) return;
    if (this.#unsent !== undefined) {
      this.#unsent = Buffer.concat([this.#unsent, bytes]);
      return;
    }
    const taken = Math.max(0, this.#socket.write(bytes));
    this.sentBytes += taken;
    if (taken < bytes.length) this.#unsent = bytes.slice(taken);
  }

  /** Ends with whatever the kernel has taken still on its way. */
  close(reason: string): void {
    if (this.#ended) return;
    const isStuck = this.#unsent !== undefined;
    this.#end(reason);
    // A peer that takes nothing would keep a polite end, and with it the process, waiting.
    if (isStuck) this.#socket.terminate();
    else this.#socket.end();
  }

  /** Ends at once, for a peer that does not answer. */
  abort(reason: string): void {
    if (this.#ended) return;
    this.#end(reason);
    this.#socket.terminate();
  }

  onOpen(): void {
    this.#socket.setNoDelay(true);
    if (this.#mode.tls === undefined) this.#opened();
  }

  onTls(error: Error | null): void {
    const { tls, asCaller } = this.#mode;
    if (tls === undefined) return;
    const mustBeTrusted = asCaller || tls.requireClientCert === true;
    if (mustBeTrusted && !this.#socket.authorized) {
      this.abort(whyTlsFailed(error?.message));
      return;
    }
    this.#opened();
  }

  onData(chunk: Uint8Array): void {
    if (this.#ended || !this.#open) return;
    if (this.receivedBytes === 0 && this.#mode.tls === undefined && isTlsRecord(chunk)) {
      this.abort("it uses TLS, and this node was started without --peer-tls-cert");
      return;
    }
    this.receivedBytes += chunk.length;
    this.activity += 1;
    const fault = this.#frames.push(chunk, (type, payload) => {
      this.events?.frame(type, payload);
      return !this.#ended;
    });
    if (fault !== undefined) this.abort(fault);
  }

  onDrain(): void {
    if (this.#ended || this.#unsent === undefined) return;
    const taken = Math.max(0, this.#socket.write(this.#unsent));
    if (taken === 0) return;
    this.activity += 1;
    this.sentBytes += taken;
    this.#unsent = taken < this.#unsent.length ? this.#unsent.subarray(taken) : undefined;
    if (this.#unsent === undefined) this.events?.drained?.();
  }

  onClose(reason: string): void {
    if (!this.#ended) this.#end(reason);
  }

  #opened(): void {
    if (this.#ended || this.#open) return;
    this.#open = true;
    this.events?.opened();
  }

  #end(reason: string): void {
    this.#ended = true;
    this.#unsent = undefined;
    this.events?.ended(reason);
  }
}

/** A handshake or an alert of TLS 1.x (RFC 8446, 5.1). A first frame that began like this would be longer than is allowed. */
function isTlsRecord([type = 0, major = 0, minor = 0]: Uint8Array): boolean {
  return (type === 0x16 || type === 0x15) && major === 3 && minor >= 1 && minor <= 4;
}

/** The messages are those of the TLS library. */
function whyTlsFailed(message = "it sent none"): string {
  if (message.includes("WRONG_VERSION_NUMBER")) {
    return "it does not use TLS (was it started without --peer-tls-cert?)";
  }
  if (message.includes("disconnected before secure TLS connection")) {
    return "it ended the connection before TLS began: it is starting, refuses the certificate of this node, or was started without --peer-tls-cert";
  }
  return `its certificate is not trusted: ${message}`;
}

/** What a Bun socket carries: its connection, from the moment it is open. */
interface Holder {
  connection: Connection | undefined;
}

type Adopt = (connection: Connection) => void;

function handlers(mode: ConnectionMode, adopt: Adopt): SocketHandler<Holder> {
  return {
    binaryType: "uint8array",
    open(socket) {
      const connection = new Connection(socket, mode);
      socket.data = { connection };
      adopt(connection);
      connection.onOpen();
    },
    handshake: (socket, _success, error) => socket.data.connection?.onTls(error),
    data: (socket, chunk) => socket.data.connection?.onData(chunk),
    drain: (socket) => socket.data.connection?.onDrain(),
    end: (socket) => socket.data.connection?.onClose("it closed the connection"),
    close: (socket, error) =>
      socket.data.connection?.onClose(error?.message ?? "the connection was closed"),
    error(socket, error) {
      if ("syscall" in error || "errno" in error) {
        socket.data.connection?.abort(error.message);
        return;
      }
      // Thrown by our own code in one of the handlers above: a bug, which must not end as a closed connection.
      queueMicrotask(() => {
        throw error;
      });
    },
  };
}

export interface Listener {
  readonly port: number;
  stop(): void;
}

export interface Address {
  readonly host: string;
  readonly port: number;
}

/** Accepts connections; throws when the address cannot be taken. */
export function listen(address: Address, tls: PeerTls | undefined, adopt: Adopt): Listener {
  const server: TCPSocketListener<Holder> = Bun.listen<Holder>({
    hostname: address.host,
    port: address.port,
    data: { connection: undefined },
    ...(tls !== undefined && {
      tls: {
        key: tls.key,
        cert: tls.cert,
        ca: tls.ca,
        requestCert: tls.requireClientCert === true,
        rejectUnauthorized: tls.requireClientCert === true,
      },
    }),
    socket: handlers({ tls, asCaller: false }, adopt),
  });
  return { port: server.port, stop: () => server.stop(false) };
}

/** Connects; `failed` is called, perhaps twice, when there never was a connection. */
export function dial(
  address: Address,
  tls: PeerTls | undefined,
  adopt: Adopt,
  failed: (reason: string) => void,
): void {
  Bun.connect<Holder>({
    hostname: address.host,
    port: address.port,
    data: { connection: undefined },
    ...(tls !== undefined && {
      tls: {
        key: tls.key,
        cert: tls.cert,
        ca: tls.ca,
        rejectUnauthorized: true,
        ...(tls.serverName !== undefined && { serverName: tls.serverName }),
      },
    }),
    socket: {
      ...handlers({ tls, asCaller: true }, adopt),
      connectError: (_socket, error) => failed(error.message),
    },
  }).catch((error: unknown) => failed(error instanceof Error ? error.message : String(error)));
}
