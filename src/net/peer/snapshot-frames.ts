/**
 * The frames of a snapshot's connection. The sender sends one begin, chunks in order, one end; the receiver answers every
 * chunk with the number of bytes it has written so far, and the whole with one result.
 */
import { ByteReader } from "./bytes.ts";
import { encodeFrame, frameTypes } from "./frame.ts";
import { peerLimits } from "./limits.ts";

export interface SnapshotBegin {
  readonly group: number;
  readonly index: number;
  readonly term: number;
  readonly sizeBytes: number;
  readonly meta: Uint8Array;
}

export interface SnapshotChunk {
  readonly offset: number;
  /** A view of the frame. */
  readonly bytes: Uint8Array;
}

export interface SnapshotResult {
  readonly ok: boolean;
  readonly reason: string;
}

export function encodeBegin(begin: SnapshotBegin): Uint8Array {
  return encodeFrame(frameTypes.snapshotBegin, (writer) => {
    writer.varint(begin.group);
    writer.varint(begin.index);
    writer.varint(begin.term);
    writer.varint(begin.sizeBytes);
    writer.bytes(begin.meta);
  });
}

export function encodeChunk(chunk: SnapshotChunk): Uint8Array {
  return encodeFrame(frameTypes.snapshotChunk, (writer) => {
    writer.varint(chunk.offset);
    writer.raw(chunk.bytes);
  });
}

export function encodeEnd(sha256: Uint8Array): Uint8Array {
  return encodeFrame(frameTypes.snapshotEnd, (writer) => writer.raw(sha256));
}

export function encodeAck(writtenBytes: number): Uint8Array {
  return encodeFrame(frameTypes.snapshotAck, (writer) => writer.varint(writtenBytes));
}

export function encodeResult(result: SnapshotResult): Uint8Array {
  return encodeFrame(frameTypes.snapshotResult, (writer) => {
    writer.u8(result.ok ? 1 : 0);
    writer.text(result.reason.slice(0, 256));
  });
}

/** The value, or what is wrong with the frame. */
type Read<T> = { readonly value: T } | { readonly fault: string };

function read<T>(payload: Uint8Array, take: (reader: ByteReader) => T): Read<T> {
  const reader = new ByteReader(payload);
  const value = take(reader);
  return reader.fault === undefined ? { value } : { fault: reader.fault };
}

export function decodeBegin(payload: Uint8Array): Read<SnapshotBegin> {
  return read(payload, (reader) => {
    const group = reader.varint();
    const index = reader.varint();
    const term = reader.varint();
    const sizeBytes = reader.varint();
    const meta = reader.bytes();
    if (sizeBytes > peerLimits.snapshotBytesMax) {
      reader.fail(`${sizeBytes} bytes are more than the ${peerLimits.snapshotBytesMax} allowed`);
    }
    if (meta.length > peerLimits.snapshotMetaBytesMax) {
      reader.fail(
        `a description of ${meta.length} bytes is longer than the ${peerLimits.snapshotMetaBytesMax} allowed`,
      );
    }
    return { group, index, term, sizeBytes, meta };
  });
}

export function decodeChunk(payload: Uint8Array): Read<SnapshotChunk> {
  return read(payload, (reader) => ({
    offset: reader.varint(),
    bytes: reader.raw(reader.remaining),
  }));
}

export function decodeAck(payload: Uint8Array): Read<number> {
  return read(payload, (reader) => reader.varint());
}

export function decodeResult(payload: Uint8Array): Read<SnapshotResult> {
  return read(payload, (reader) => ({
    ok: reader.u8() === 1,
    reason: reader.text(peerLimits.refusalBytesMax),
  }));
}
