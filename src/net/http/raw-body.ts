/**
 * A body that is taken as it came, with the headers of its call: what others send is theirs to form, and a signature is over
 * the very bytes. Only text is taken, since a job's payload is text.
 */
import { CorvoError } from "../../base/errors.ts";
import type { HttpLimits } from "./limits.ts";

export interface RawBody {
  readonly text: string;
  /** By their names in small letters. */
  readonly headers: Readonly<Record<string, string>>;
}

/** A mark at the beginning is kept: it belongs to what was signed. */
const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

export function takeRaw(request: Request, bytes: Uint8Array, limits: HttpLimits): RawBody {
  const { payloadBytesMax } = limits;
  if (bytes.length > payloadBytesMax) {
    throw new CorvoError(
      "PAYLOAD_TOO_LARGE",
      `the body has ${bytes.length} bytes; the limit payloadBytesMax (--max-payload-size) is ${payloadBytesMax}`,
    );
  }
  let text: string;
  try {
    text = utf8.decode(bytes);
  } catch (cause) {
    throw new CorvoError("PARSE_ERROR", `the body of ${bytes.length} bytes is not valid UTF-8`, {
      cause,
    });
  }
  return { text, headers: Object.fromEntries(request.headers) };
}
