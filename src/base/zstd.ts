/**
 * Compression in base64. It is the one thing that the layers below `store` take from the runtime: a function of its input
 * alone, like those of JSON and text. What unpacks to a state must be the same everywhere, and is; what is packed may differ
 * between versions of the runtime, so only the proposer of a change packs.
 */
import { assert } from "./assert.ts";

const level = 3;

export function deflate(bytes: Uint8Array): string {
  return Bun.zstdCompressSync(bytes, { level }).toString("base64");
}

/** The bytes, of which there must be so many: looked for in the frame before anything is unpacked. */
export function inflate(base64: string, bytes: number): Uint8Array {
  const packed = Buffer.from(base64, "base64");
  const framed = frameSize(packed);
  assert(framed === bytes, `a packed value of ${bytes} bytes whose frame says ${framed}`);
  const plain = Bun.zstdDecompressSync(packed);
  assert(plain.length === bytes, `a packed value of ${bytes} bytes became ${plain.length}`);
  return plain;
}

/** The size that a zstd frame says its content has (RFC 8878, 3.1.1.1); -1 when it says none. */
function frameSize(frame: Uint8Array): number {
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
  if (frame.length < 14 || view.getUint32(0, true) !== 0xfd2fb528) return -1;
  const descriptor = view.getUint8(4);
  const isSingle = (descriptor & 0x20) !== 0;
  const at = 5 + (isSingle ? 0 : 1) + ([0, 1, 2, 4][descriptor & 3] ?? 0);
  switch (descriptor >> 6) {
    case 0:
      return isSingle ? view.getUint8(at) : -1;
    case 1:
      return view.getUint16(at, true) + 256;
    case 2:
      return view.getUint32(at, true);
    default:
      return -1;
  }
}
