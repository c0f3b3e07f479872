/**
 * A WebSocket for the load generator: text frames over a `LoadSocket` (RFC 6455).
 *
 * Frames are sent with the masking key zero, which leaves the text as it is. The key exists to keep scripts in browsers
 * from writing bytes of their choice into proxies; a benchmark talking to the server it measures needs no such guard,
 * and the server does the same work for any key. Text is taken to be ASCII on the way out and read as Latin-1 on the way
 * in: everything that the server sends is ASCII except error texts, which `utf8Of` restores.
 */
import { CorvoError } from "../../base/errors.ts";
import { LoadSocket } from "./socket.ts";

const opcodes = { text: 1, close: 8, ping: 9, pong: 10 } as const;
const handshakeEnd = "\r\n\r\n";

export interface LinkEvents {
  text(text: string): void;
  lost(reason: string): void;
}

export interface LinkOptions {
  readonly server: string;
  readonly apiKey: string | undefined;
  readonly path: string;
}

export class StreamLink {
  readonly #events: LinkEvents;
  #socket: LoadSocket | undefined;
  #opened: (() => void) | undefined;
  #failed: ((error: Error) => void) | undefined;

  private constructor(events: LinkEvents) {
    this.#events = events;
  }

  /** Resolves when the server has agreed to the stream. */
  static async open(options: LinkOptions, events: LinkEvents): Promise<StreamLink> {
    const link = new StreamLink(events);
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    link.#opened = resolve;
    link.#failed = reject;
    const socket = await LoadSocket.connect(options.server, {
      read: (bytes) => link.#read(bytes),
      lost: (reason) => link.#lost(reason),
    });
    link.#socket = socket;
    socket.write(handshake(options));
    await promise;
    return link;
  }

  /** Sends one ASCII text as a frame. */
  send(text: string): void {
    const socket = this.#socket;
    if (socket === undefined) return;
    socket.writeBytes(headerOf(opcodes.text, text.length));
    socket.write(text);
  }

  close(): void {
    this.#socket?.close();
  }

  #lost(reason: string): void {
    const failed = this.#failed;
    if (failed !== undefined) failed(new CorvoError("UNAVAILABLE", reason));
    else this.#events.lost(reason);
  }

  #read(bytes: Buffer): number {
    let at = this.#opened === undefined ? 0 : this.#readHandshake(bytes);
    if (this.#opened !== undefined) return 0;
    while (at + 2 <= bytes.length) {
      const end = this.#readFrame(bytes, at);
      if (end === 0) break;
      at = end;
    }
    return at;
  }

  #readHandshake(bytes: Buffer): number {
    const end = bytes.indexOf(handshakeEnd);
    if (end === -1) return 0;
    const status = bytes.toString("latin1", 0, bytes.indexOf("\r\n"));
    if (!status.startsWith("HTTP/1.1 101")) {
      const body = bytes.toString("utf8", end + handshakeEnd.length);
      this.#lost(`the server refused the stream: ${status} ${body}`);
      return bytes.length;
    }
    this.#failed = undefined;
    this.#opened?.();
    this.#opened = undefined;
    return end + handshakeEnd.length;
  }

  /** Handles the frame at this place; returns where it ends, or 0 when part of it is still to come. */
  #readFrame(bytes: Buffer, at: number): number {
    const short = (bytes[at + 1] ?? 0) & 0x7f;
    const lengthBytes = short === 126 ? 2 : short === 127 ? 8 : 0;
    const start = at + 2 + lengthBytes;
    if (start > bytes.length) return 0;
    const length =
      lengthBytes === 0
        ? short
        : lengthBytes === 2
          ? bytes.readUInt16BE(at + 2)
          : Number(bytes.readBigUInt64BE(at + 2));
    const end = start + length;
    if (end > bytes.length) return 0;
    const opcode = (bytes[at] ?? 0) & 0x0f;
    if (opcode === opcodes.text) this.#events.text(bytes.toString("latin1", start, end));
    else if (opcode === opcodes.ping) this.#pong(bytes.subarray(start, end));
    else if (opcode === opcodes.close) {
      const code = length >= 2 ? bytes.readUInt16BE(start) : 0;
      const reason = bytes.toString("utf8", Math.min(start + 2, end), end);
      this.#events.lost(`the server closed the stream: ${code} ${reason}`);
    }
    return end;
  }

  #pong(payload: Buffer): void {
    this.#socket?.writeBytes(headerOf(opcodes.pong, payload.length));
    this.#socket?.writeBytes(payload);
  }
}

/** The text of a frame with characters beyond ASCII. */
export function utf8Of(text: string): string {
  return Buffer.from(text, "latin1").toString("utf8");
}

function handshake({ server, path, apiKey }: LinkOptions): string {
  const lines = [
    `GET ${path} HTTP/1.1`,
    `Host: ${new URL(server).host}`,
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    `Sec-WebSocket-Key: ${Buffer.from(crypto.getRandomValues(new Uint8Array(16))).toString("base64")}`,
  ];
  if (apiKey !== undefined) lines.push(`X-API-Key: ${apiKey}`);
  return `${lines.join("\r\n")}${handshakeEnd}`;
}

const header = Buffer.alloc(14);

/** Header of a masked frame; one buffer for all, since it is copied at once. */
function headerOf(opcode: number, length: number): Buffer {
  header[0] = 0x80 | opcode;
  let end = 2;
  if (length < 126) header[1] = 0x80 | length;
  else if (length < 65_536) {
    header[1] = 0x80 | 126;
    header.writeUInt16BE(length, 2);
    end = 4;
  } else {
    header[1] = 0x80 | 127;
    header.writeBigUInt64BE(BigInt(length), 2);
    end = 10;
  }
  header.fill(0, end, end + 4);
  return header.subarray(0, end + 4);
}
