/** Takes the bytes of a body off the wire, within the bounds on one body and on all that are being served. */
import { CorvoError } from "../../base/errors.ts";
import type { Admission } from "./admission.ts";
import { bodyTooLarge } from "./body.ts";
import type { HttpLimits } from "./limits.ts";

/** What one request holds while it is served. */
export interface Held {
  bytes: number;
}

interface ReadBodyDeps {
  readonly limits: HttpLimits;
  readonly admission: Admission;
}

/** Not async, so that a small body costs a single await. The bytes taken are noted in `held`, for giving back. */
export function readBody(request: Request, deps: ReadBodyDeps, held: Held): Promise<Uint8Array> {
  const declared = request.headers.get("content-length");
  if (declared === null) return readChunks(request, deps, held);
  const length = Number(declared);
  const { bodyBytesMax } = deps.limits;
  if (length > bodyBytesMax) throw bodyTooLarge(declared.slice(0, 20), bodyBytesMax);
  deps.admission.takeBytes(length);
  held.bytes = length;
  return request.bytes();
}

/** A body of unknown length (`Transfer-Encoding: chunked`), refused as soon as it is known to be too large. */
async function readChunks(request: Request, deps: ReadBodyDeps, held: Held): Promise<Uint8Array> {
  const { bodyBytesMax } = deps.limits;
  if (request.body === null) return new Uint8Array();
  const chunks: Uint8Array[] = [];
  const reader = request.body.getReader();
  for (;;) {
    const step = await reader.read();
    if (step.done) return Buffer.concat(chunks, held.bytes);
    if (held.bytes + step.value.length > bodyBytesMax) {
      await reader.cancel();
      throw bodyTooLarge(`more than ${bodyBytesMax}`, bodyBytesMax);
    }
    deps.admission.takeBytes(step.value.length);
    held.bytes += step.value.length;
    chunks.push(step.value);
  }
}

export function cutShort(cause: unknown): CorvoError {
  return new CorvoError("PARSE_ERROR", "the connection ended before the body was complete", {
    cause,
  });
}
