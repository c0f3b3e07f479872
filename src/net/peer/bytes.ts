/**
 * Writing and reading of the peer format's primitive values.
 *
 * An unsigned number is a varint: seven bits a byte, lowest first, the high bit set on all but the last; at most 2^53-1.
 * Text and bytes are a varint length and the bytes. The reader never throws: the first thing that is wrong is kept as
 * `fault`, and from then on every read gives an empty value, so that a decoder needs one check at its end. Whoever reads a
 * count must check it with `count` before looping.
 */
import { assert } from "../../base/assert.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: false });
const noBytes = new Uint8Array(0);

/** A buffer that grows and is used again. Views of it are valid until the next `reset`. */
export class ByteWriter {
  #bytes: Uint8Array;
  #view: DataView;
  #length = 0;

  constructor(capacity = 1024) {
    this.#bytes = new Uint8Array(capacity);
    this.#view = new DataView(this.#bytes.buffer);
  }

  get length(): number {
    return this.#length;
  }

  /** Empties it. */
  reset(): void {
    this.#length = 0;
    // One huge message must not hold its memory for the life of the connection.
    if (this.#bytes.length > 4 * 1024 * 1024) this.#replace(new Uint8Array(64 * 1024));
  }

  /** What was written so far, not copied. */
  written(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }

  slice(from: number): Uint8Array {
    return this.#bytes.subarray(from, this.#length);
  }

  u8(value: number): void {
    this.#reserve(1);
    this.#bytes[this.#length++] = value;
  }

  u16(value: number): void {
    this.#reserve(2);
    this.#view.setUint16(this.#length, value, true);
    this.#length += 2;
  }

  u32(value: number): void {
    this.#reserve(4);
    this.#view.setUint32(this.#length, value, true);
    this.#length += 4;
  }

  f64(value: number): void {
    this.#reserve(8);
    this.#view.setFloat64(this.#length, value, true);
    this.#length += 8;
  }

  setU32(at: number, value: number): void {
    this.#view.setUint32(at, value, true);
  }

  varint(value: number): void {
    assert(Number.isSafeInteger(value) && value >= 0, "only whole numbers from 0 are encoded");
    this.#reserve(8);
    let rest = value;
    while (rest >= 0x80) {
      this.#bytes[this.#length++] = (rest % 0x80) | 0x80;
      // Shifts would cut at 32 bits.
      rest = rest < 0x8000_0000 ? rest >>> 7 : Math.floor(rest / 0x80);
    }
    this.#bytes[this.#length++] = rest;
  }

  raw(bytes: Uint8Array): void {
    this.#reserve(bytes.length);
    this.#bytes.set(bytes, this.#length);
    this.#length += bytes.length;
  }

  bytes(bytes: Uint8Array): void {
    this.varint(bytes.length);
    this.raw(bytes);
  }

  text(text: string): void {
    this.bytes(encoder.encode(text));
  }

  #reserve(count: number): void {
    const needed = this.#length + count;
    if (needed <= this.#bytes.length) return;
    const larger = new Uint8Array(Math.max(needed, this.#bytes.length * 2));
    larger.set(this.written());
    this.#replace(larger);
  }

  #replace(bytes: Uint8Array): void {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer);
  }
}

export class ByteReader {
  /** What was wrong first, with its position. */
  fault: string | undefined;
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get remaining(): number {
    return this.#bytes.length - this.#at;
  }

  fail(what: string): void {
    this.fault ??= `${what} at byte ${this.#at} of ${this.#bytes.length}`;
    this.#at = this.#bytes.length;
  }

  u8(): number {
    const value = this.#bytes[this.#at];
    if (value === undefined) {
      this.fail("ends too early");
      return 0;
    }
    this.#at += 1;
    return value;
  }

  u16(): number {
    const low = this.u8();
    return low | (this.u8() << 8);
  }

  f64(): number {
    const bytes = this.raw(8);
    if (bytes.length < 8) return 0;
    return new DataView(bytes.buffer, bytes.byteOffset, 8).getFloat64(0, true);
  }

  varint(): number {
    let value = 0;
    let scale = 1;
    // Eight bytes hold 2^56; what does not fit into a safe integer is refused below.
    for (let count = 0; count < 8; count += 1) {
      const byte = this.u8();
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) {
        if (Number.isSafeInteger(value)) return value;
        break;
      }
      scale *= 0x80;
    }
    this.fail("a number is too large");
    return 0;
  }

  /** A number of items of which each takes at least `bytesMin`: never more than the rest can hold. */
  count(bytesMin: number): number {
    const count = this.varint();
    if (count * bytesMin <= this.remaining) return count;
    this.fail(`${count} items cannot fit into the ${this.remaining} bytes that are left`);
    return 0;
  }

  /** A view, not a copy. Empty after a fault. */
  raw(length: number): Uint8Array {
    if (length > this.remaining) {
      this.fail(`${length} bytes are announced and ${this.remaining} are left`);
      return noBytes;
    }
    const from = this.#at;
    this.#at += length;
    return this.#bytes.subarray(from, this.#at);
  }

  /** A copy: what is kept must not pin the buffer of the socket. */
  bytes(): Uint8Array {
    const length = this.varint();
    return length === 0 ? noBytes : this.raw(length).slice();
  }

  text(bytesMax: number): string {
    const length = this.varint();
    if (length <= bytesMax) return decoder.decode(this.raw(length));
    this.fail(`a text of ${length} bytes is longer than the ${bytesMax} allowed`);
    return "";
  }
}
