/**
 * A TCP connection for a load generator that shares two cores with the server it measures.
 *
 * What is written during one turn of the event loop leaves in one system call, from one buffer that is reused. Bytes
 * that arrive are handed over as they come; whoever reads says how many were used, and the rest is kept in front of the
 * next ones. The general clients (fetch, WebSocket) cost 10 to 30 us a message, which would be most of the measurement.
 */
import type { Socket } from "bun";

export interface SocketReader {
  /** Returns how many bytes were used; the others come again, with more behind them. */
  read(bytes: Buffer): number;
  /** The connection is gone, for whatever reason. */
  lost(reason: string): void;
}

const outBytesMin = 64 * 1024;

export class LoadSocket {
  #socket: Socket<undefined> | undefined;
  #out = Buffer.allocUnsafe(outBytesMin);
  /** Bytes in `#out` that are not sent yet: from `#outStart` to `#outEnd`. */
  #outStart = 0;
  #outEnd = 0;
  #isFlushDue = false;
  #isFull = false;
  #rest: Buffer | undefined;
  #isClosed = false;

  static async connect(server: string, reader: SocketReader): Promise<LoadSocket> {
    const url = new URL(server);
    const isTls = url.protocol === "https:";
    const made = new LoadSocket();
    made.#socket = await Bun.connect<undefined>({
      hostname: url.hostname,
      port: url.port === "" ? (isTls ? 443 : 80) : Number(url.port),
      tls: isTls,
      socket: {
        binaryType: "buffer",
        data: (_, bytes) => made.#received(reader, bytes),
        drain: () => {
          made.#isFull = false;
          made.#flush();
        },
        close: () => made.#ended(reader, "the server closed the connection"),
        error: (_, error) => made.#ended(reader, `the connection broke: ${error.message}`),
      },
    });
    return made;
  }

  /** Adds ASCII text to what leaves at the end of this turn. */
  write(text: string): void {
    const length = text.length;
    this.#reserve(length);
    this.#outEnd += this.#out.write(text, this.#outEnd, length, "latin1");
    this.#flushLater();
  }

  /** Adds bytes to what leaves at the end of this turn. */
  writeBytes(bytes: Uint8Array): void {
    this.#reserve(bytes.length);
    this.#out.set(bytes, this.#outEnd);
    this.#outEnd += bytes.length;
    this.#flushLater();
  }

  close(): void {
    this.#isClosed = true;
    this.#socket?.end();
  }

  #received(reader: SocketReader, bytes: Buffer): void {
    const all = this.#rest === undefined ? bytes : Buffer.concat([this.#rest, bytes]);
    const used = reader.read(all);
    this.#rest = used === all.length ? undefined : Buffer.from(all.subarray(used));
  }

  #ended(reader: SocketReader, reason: string): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    reader.lost(reason);
  }

  #reserve(length: number): void {
    if (this.#outEnd + length <= this.#out.length) return;
    const waiting = this.#out.subarray(this.#outStart, this.#outEnd);
    const size = Math.max(outBytesMin, 2 ** Math.ceil(Math.log2(waiting.length + length)));
    const out = size > this.#out.length ? Buffer.allocUnsafe(size) : this.#out;
    this.#outEnd = waiting.copy(out, 0);
    this.#outStart = 0;
    this.#out = out;
  }

  #flushLater(): void {
    if (this.#isFlushDue || this.#isFull) return;
    this.#isFlushDue = true;
    queueMicrotask(this.#flush);
  }

  readonly #flush = (): void => {
    this.#isFlushDue = false;
    if (this.#isFull || this.#outStart === this.#outEnd || this.#socket === undefined) return;
    const sent = this.#socket.write(this.#out, this.#outStart, this.#outEnd - this.#outStart);
    // A closed socket takes nothing and never drains; `lost` has been called or is about to be.
    this.#outStart += Math.max(0, sent);
    if (this.#outStart === this.#outEnd) {
      this.#outStart = 0;
      this.#outEnd = 0;
    } else {
      this.#isFull = true;
    }
  };
}
