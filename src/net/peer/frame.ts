/**
 * What a connection carries: frames.
 *
 *   length u32 | crc u32 | type u8 | payload
 *
 * `length` counts type and payload; `crc` is the CRC-32 of the two. Both are little-endian. TCP's own checksum misses one
 * damaged segment in tens of thousands, and an entry that was damaged on its way would become durable as it is: so a frame
 * that does not match ends the connection, and consensus sends again. A length beyond the limit ends it too, before
 * anything of that size is held.
 */
import { ByteWriter } from "./bytes.ts";

export const frameTypes = {
  hello: 1,
  challenge: 2,
  proof: 3,
  welcome: 4,
  refused: 5,
  messages: 16,
  ping: 17,
  pong: 18,
  condition: 19,
  snapshotBegin: 32,
  snapshotChunk: 33,
  snapshotEnd: 34,
  snapshotAck: 35,
  snapshotResult: 36,
} as const;

export type FrameType = (typeof frameTypes)[keyof typeof frameTypes];

const frameHeaderBytes = 9;
const knownTypes: ReadonlySet<number> = new Set(Object.values(frameTypes));

function isFrameType(type: number): type is FrameType {
  return knownTypes.has(type);
}

/** Starts a frame and returns its position, which `endFrame` needs. */
export function beginFrame(writer: ByteWriter, type: FrameType): number {
  const at = writer.length;
  writer.u32(0);
  writer.u32(0);
  writer.u8(type);
  return at;
}

export function endFrame(writer: ByteWriter, at: number): void {
  const body = writer.slice(at + 8);
  writer.setU32(at, body.length);
  writer.setU32(at + 4, Bun.hash.crc32(body));
}

/** One small frame by itself. */
export function encodeFrame(type: FrameType, write: (writer: ByteWriter) => void): Uint8Array {
  const writer = new ByteWriter(256);
  const at = beginFrame(writer, type);
  write(writer);
  endFrame(writer, at);
  return writer.written();
}

/** False ends the reading: what follows in the buffer belongs to a connection that is being closed. */
type FrameHandler = (type: FrameType, payload: Uint8Array) => boolean;

/** Cuts a stream of bytes into frames. A payload is valid only while its handler runs. */
export class FrameReader {
  #bytesMax: number;
  #held = new Uint8Array(0);
  #heldLength = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  limit(bytesMax: number): void {
    this.#bytesMax = bytesMax;
  }

  /** Returns what is wrong with the stream; nothing may be pushed after that. */
  push(chunk: Uint8Array, onFrame: FrameHandler): string | undefined {
    const bytes = this.#heldLength === 0 ? chunk : this.#hold(chunk);
    let at = 0;
    while (bytes.length - at >= frameHeaderBytes) {
      const view = new DataView(bytes.buffer, bytes.byteOffset + at);
      const length = view.getUint32(0, true);
      if (length === 0) return "a frame is empty";
      if (length > this.#bytesMax) {
        return `a frame of ${length} bytes is larger than the ${this.#bytesMax} allowed`;
      }
      if (bytes.length - at < 8 + length) break;
      const body = bytes.subarray(at + 8, at + 8 + length);
      if (Bun.hash.crc32(body) !== view.getUint32(4, true)) {
        return `a frame of ${length} bytes does not match its checksum`;
      }
      const type = body[0] ?? 0;
      if (!isFrameType(type)) return `a frame has the unknown type ${type}`;
      at += 8 + length;
      if (!onFrame(type, body.subarray(1))) return undefined;
    }
    this.#keep(bytes, at);
    return undefined;
  }

  #hold(chunk: Uint8Array): Uint8Array {
    this.#reserve(this.#heldLength + chunk.length);
    this.#held.set(chunk, this.#heldLength);
    this.#heldLength += chunk.length;
    return this.#held.subarray(0, this.#heldLength);
  }

  #keep(bytes: Uint8Array, from: number): void {
    const rest = bytes.subarray(from);
    const isHeld = bytes.buffer === this.#held.buffer;
    if (isHeld) {
      if (from > 0) this.#held.copyWithin(0, from, bytes.length);
    } else {
      this.#reserve(rest.length);
      this.#held.set(rest);
    }
    this.#heldLength = rest.length;
    // One huge frame must not hold its memory for the life of the connection.
    if (rest.length === 0 && this.#held.length > 4 * 1024 * 1024) this.#held = new Uint8Array(0);
  }

  #reserve(length: number): void {
    if (length <= this.#held.length) return;
    const larger = new Uint8Array(Math.max(length, this.#held.length * 2, 4096));
    larger.set(this.#held.subarray(0, this.#heldLength));
    this.#held = larger;
  }
}
