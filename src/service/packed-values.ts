/**
 * Payloads and results on their way between the words of a call and the form in which they are kept
 * (`base/stored-value.ts`): which of the ways to give one was used, what is refused, what is compressed, and how it is
 * shown again. The form is made here, before the log, and nowhere else.
 */
import { requestLimits as limits } from "../api/limits.ts";
import { CorvoError } from "../base/errors.ts";
import { RawJson } from "../base/json.ts";
import {
  base64Of,
  blobForm,
  bytesForm,
  bytesValueOf,
  compressForm,
  isPacked,
  jsonOf,
} from "../base/stored-value.ts";
import { packedLevel } from "../engine/feature-levels.ts";

export const octetsType = "application/octet-stream";

/** The ways to give a value in a call, and the names of their members. */
interface Given {
  readonly json: RawJson | null | undefined;
  readonly base64: string | null | undefined;
  readonly blob: string | null | undefined;
  readonly type: string | null | undefined;
}

/** The form of a payload; `{}` when none was given. */
export function payloadForm(spec: {
  readonly payload?: RawJson | null;
  readonly payload_base64?: string | null;
  readonly payload_blob?: string | null;
  readonly content_type?: string | null;
}): string {
  const { payload, payload_base64: base64, payload_blob: blob, content_type: type } = spec;
  if (base64 == null && blob == null && type == null) return payload == null ? "{}" : payload.text;
  return formOf({ json: payload, base64, blob, type }, "payload", "content_type") ?? "{}";
}

/** The form of a result; undefined when none was given. */
export function resultForm(item: {
  readonly result?: RawJson | null;
  readonly result_base64?: string | null;
  readonly result_blob?: string | null;
  readonly result_type?: string | null;
}): string | undefined {
  const { result, result_base64: base64, result_blob: blob, result_type: type } = item;
  if (base64 == null && blob == null && type == null) return result?.text;
  return formOf({ json: result, base64, blob, type }, "result", "result_type");
}

function formOf(given: Given, name: string, typeName: string): string | undefined {
  const { json, base64, blob } = given;
  const ways = [json, base64, blob].filter((way) => way != null).length;
  if (ways > 1) {
    throw wrong(`${name}, ${name}_base64, ${name}_blob: only one of them can be given`, name);
  }
  if (base64 == null && blob == null) {
    throw wrong(
      `${typeName}: it goes with ${name}_base64 or ${name}_blob; a JSON ${name} has none`,
      typeName,
    );
  }
  const type = given.type ?? octetsType;
  if (blob != null) return blobForm(blob, 0, type);
  const text = base64 ?? "";
  return bytesForm(text, bytesOfBase64(text, `${name}_base64`), type);
}

/** How many bytes base64 stands for. It is kept as it came, so it must be exactly what would be written again. */
function bytesOfBase64(text: string, name: string): number {
  const bytes = Buffer.from(text, "base64");
  if (bytes.toString("base64") === text) return bytes.length;
  throw wrong(
    `${name}: expected base64 in its standard alphabet with padding, got ${JSON.stringify(text.slice(0, 32))}`,
    name,
  );
}

function wrong(message: string, path: string): CorvoError {
  return new CorvoError("VALIDATION_ERROR", message, { details: { path } });
}

/** What making a form needs to know of the node. */
export interface Packing {
  readonly featureLevel: number;
  /** Forms longer than this are compressed; 0 means never. */
  readonly compressAboveBytes: number;
  readonly payloadBytesMax: number;
  /** Size of a blob that is durable; undefined when there is none of this name. */
  readonly blobBytes: (hash: string) => number | undefined;
}

interface Valued {
  readonly payload?: string;
  readonly result?: string;
}

/** Jobs, or ends of jobs, as they go into the log; the same array when there is nothing to do. */
export function packValues<T extends Valued>(packing: Packing, items: readonly T[]): readonly T[] {
  if (items.every((item) => isPlain(packing, item.payload) && isPlain(packing, item.result))) {
    return items;
  }
  return items.map((item) => ({
    ...item,
    ...(item.payload === undefined ? {} : { payload: pack(packing, item.payload, "payload") }),
    ...(item.result === undefined ? {} : { result: pack(packing, item.result, "result") }),
  }));
}

function isPlain({ compressAboveBytes }: Packing, form: string | undefined): boolean {
  if (form === undefined) return true;
  return !isPacked(form) && (form.length <= compressAboveBytes || compressAboveBytes === 0);
}

function pack(packing: Packing, form: string, name: string): string {
  const value = bytesValueOf(form);
  if (value?.blob !== undefined) {
    const bytes = packing.blobBytes(value.blob);
    if (bytes !== undefined) return blobForm(value.blob, bytes, value.type);
    throw new CorvoError("BLOB_NOT_FOUND", `${name}_blob: no blob ${value.blob}`);
  }
  if (value !== undefined && value.bytes > packing.payloadBytesMax) {
    throw new CorvoError(
      "PAYLOAD_TOO_LARGE",
      `${name}_base64 has ${value.bytes} bytes; the limit payloadBytesMax (--max-payload-size) is ${packing.payloadBytesMax}`,
      { hint: "Larger values go as blobs: POST /api/v1/blobs, or a body of its own." },
    );
  }
  return packing.featureLevel < packedLevel ? form : compressForm(form, packing.compressAboveBytes);
}

/** How a value is shown where its bytes are not wanted: its JSON, or null and what there is to know of it. */
export function shownJson(form: string): RawJson {
  return new RawJson(jsonTextOf(form));
}

export function jsonTextOf(form: string): string {
  return isPacked(form) ? (jsonOf(form) ?? "null") : form;
}

/** Members beside `payload` that say what it is when it is not JSON. */
export interface PayloadFacts {
  content_type?: string;
  payload_bytes?: number;
  payload_blob?: string;
  payload_base64?: string;
}

export function payloadFacts(form: string, withBytes: boolean): PayloadFacts | undefined {
  const value = bytesValueOf(form);
  if (value === undefined) return undefined;
  const facts: PayloadFacts = { content_type: value.type, payload_bytes: value.bytes };
  if (value.blob !== undefined) facts.payload_blob = value.blob;
  else if (withBytes) facts.payload_base64 = base64Of(form);
  return facts;
}

interface ResultFacts {
  result_type?: string;
  result_bytes?: number;
  result_blob?: string;
  result_base64?: string;
}

export function resultFacts(form: string): ResultFacts | undefined {
  const value = bytesValueOf(form);
  if (value === undefined) return undefined;
  const facts: ResultFacts = { result_type: value.type, result_bytes: value.bytes };
  if (value.blob !== undefined) facts.result_blob = value.blob;
  else facts.result_base64 = base64Of(form);
  return facts;
}

export const defaultPacking: Pick<Packing, "compressAboveBytes" | "payloadBytesMax"> = {
  compressAboveBytes: limits.compressAboveBytes,
  payloadBytesMax: limits.payloadBytesMax,
};
