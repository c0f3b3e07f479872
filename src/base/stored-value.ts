/**
 * How a payload or a result is kept. JSON that is small is kept as its text, as ever. Everything else begins with `~`, as
 * no JSON text does, followed by one line that says what it is and, after it, the data:
 *
 *   ~j BYTES                 zstd in base64 of JSON text
 *   ~b BYTES TYPE            base64 of bytes that have a content type
 *   ~z BYTES TYPE            zstd in base64 of such bytes
 *   ~r BYTES TYPE            hex of the SHA-256 of what is kept as a blob (`store/blobs`)
 *
 * BYTES is the size of the value itself, not of its form. The proposer of a change makes the form, once; log, replicas and
 * snapshots hold the same text, and nobody compresses again: two versions of a compressor may differ in their output.
 * Unpacking gives the same bytes everywhere, so the engine may do it too. A form says its size twice, here and in the
 * frame of the compressor, and both are checked before a byte is unpacked: nothing small becomes surprisingly large.
 */
import { assert } from "./assert.ts";
import { deflate, inflate } from "./zstd.ts";

/** Largest value of any form; whoever takes values in has smaller bounds. */
const unpackedBytesMax = 1024 * 1024 * 1024;

const tilde = 0x7e;
const header = /^~([jbzr]) (\d{1,10})(?: ([\x20-\x7e]*))?$/;
const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

export const jsonType = "application/json";

/** A value as bytes, or the name of the blob that has them. */
export interface BytesValue {
  readonly bytes: number;
  readonly type: string;
  /** Hex of the SHA-256; undefined when the value is in the form itself. */
  readonly blob: string | undefined;
}

/** Is this the form of something else than plain JSON text? */
export function isPacked(form: string): boolean {
  return form.charCodeAt(0) === tilde;
}

/** What is wrong with a form, as far as it can be told without unpacking it; undefined when nothing is. */
export function problemOfForm(form: string): string | undefined {
  if (!isPacked(form)) return undefined;
  const end = form.indexOf("\n");
  const match = header.exec(form.slice(0, end));
  if (end === -1 || match === null) return "the form of a stored value";
  if (match[1] === "j" && match[3] !== undefined) return "JSON without a content type";
  if (match[1] === "r" && !/^[0-9a-f]{64}$/.test(form.slice(match[0].length + 1))) {
    return "the name of a blob";
  }
  return Number(match[2]) <= unpackedBytesMax ? undefined : `at most ${unpackedBytesMax} bytes`;
}

/** The JSON text that was sent; undefined for bytes and blobs. */
export function jsonOf(form: string): string | undefined {
  if (!isPacked(form)) return form;
  const { kind, bytes, data } = parse(form);
  return kind === "j" ? utf8.decode(unpack(data, bytes)) : undefined;
}

/** JSON that stands for the value where JSON is wanted: itself, or what the bytes are. */
export function jsonFor(form: string): string {
  return jsonOf(form) ?? JSON.stringify(bytesValueOf(form));
}

/** What there is to know of a value that is not JSON in itself; undefined for JSON. */
export function bytesValueOf(form: string): BytesValue | undefined {
  if (!isPacked(form)) return undefined;
  const { kind, bytes, type, data } = parse(form);
  if (kind === "j") return undefined;
  return { bytes, type, blob: kind === "r" ? data : undefined };
}

/** The blob that the value is; undefined for most. Cheap, for whoever asks about every job. */
export function blobOf(
  form: string,
): { readonly hash: string; readonly bytes: number } | undefined {
  if (form.charCodeAt(1) !== 0x72 || !isPacked(form)) return undefined;
  const { data, bytes } = parse(form);
  return { hash: data, bytes };
}

/** The value as base64; not for blobs, and not for JSON. */
export function base64Of(form: string): string {
  const { kind, bytes, data } = parse(form);
  if (kind === "b") return data;
  assert(kind === "z", `a value of kind ${kind} has no base64`);
  return Buffer.from(unpack(data, bytes)).toString("base64");
}

/** Bytes with a content type, from base64 that was checked to be that. */
export function bytesForm(base64: string, bytes: number, type: string): string {
  return `~b ${bytes} ${type}\n${base64}`;
}

export function blobForm(hash: string, bytes: number, type: string): string {
  return `~r ${bytes} ${type}\n${hash}`;
}

/** Bytes that the value takes up where jobs are kept, and as a blob besides. */
export function sizeOfForm(form: string): number {
  return form.length + (blobOf(form)?.bytes ?? 0);
}

/** The form, compressed where that saves a tenth at least. `aboveBytes` 0 means never. */
export function compressForm(form: string, aboveBytes: number): string {
  if (aboveBytes === 0 || form.length <= aboveBytes) return form;
  if (!isPacked(form)) {
    const plain = Buffer.from(form);
    return better(`~j ${plain.length}\n${deflate(plain)}`, form);
  }
  const { kind, bytes, type, data } = parse(form);
  if (kind !== "b") return form;
  return better(`~z ${bytes} ${type}\n${deflate(Buffer.from(data, "base64"))}`, form);
}

function better(packed: string, form: string): string {
  return packed.length <= form.length * 0.9 ? packed : form;
}

function unpack(data: string, bytes: number): Uint8Array {
  assert(bytes <= unpackedBytesMax, `a packed value of ${bytes} bytes`);
  return inflate(data, bytes);
}

interface Parts {
  readonly kind: "j" | "b" | "z" | "r";
  readonly bytes: number;
  readonly type: string;
  readonly data: string;
}

function parse(form: string): Parts {
  const end = form.indexOf("\n");
  const match = header.exec(form.slice(0, end));
  assert(end > 0 && match !== null, `a stored value that begins with ${form.slice(0, 16)}`);
  const [, kind, bytes, type] = match;
  return {
    kind: kind as Parts["kind"],
    bytes: Number(bytes),
    type: type ?? jsonType,
    data: form.slice(end + 1),
  };
}
