/**
 * A file as a payload, byte for byte. What fits into a job's record goes with the job; what is larger is uploaded first, piece
 * by piece, and the job names it.
 */
import { requestLimits } from "../../api/limits.ts";
import { CorvoError } from "../../base/errors.ts";
import { connectBytes } from "./client.ts";
import type { Context } from "./context.ts";
import { openInput } from "./input.ts";

export interface FilePayload {
  readonly payload_base64?: string;
  readonly payload_blob?: string;
  readonly content_type: string;
}

/** `path` is `-` for standard input. */
export async function readPayloadFile(
  context: Context,
  path: string,
  asked: unknown,
): Promise<FilePayload> {
  const { system, signal } = context;
  const content_type = typeof asked === "string" ? asked : typeOf(path);
  const content = openInput(system, path)[Symbol.asyncIterator]();
  const first: Uint8Array[] = [];
  let bytes = 0;
  while (bytes <= requestLimits.payloadBytesMax) {
    const step = await content.next();
    if (step.done === true) {
      return { payload_base64: Buffer.concat(first).toString("base64"), content_type };
    }
    first.push(step.value);
    bytes += step.value.length;
  }
  let isFresh = true;
  const { hash } = await connectBytes(context).upload(() => {
    // A second server gets a file from its beginning. What is left of standard input would be another payload.
    if (!isFresh) {
      if (path !== "-") return openInput(system, path);
      throw new CorvoError(
        "UNAVAILABLE",
        "the server did not take the payload, and standard input cannot be read again for the next one",
        { hint: "Save it to a file, and send that." },
      );
    }
    isFresh = false;
    return joined(first, content);
  }, signal);
  return { payload_blob: hash, content_type };
}

async function* joined(
  first: readonly Uint8Array[],
  rest: AsyncIterator<Uint8Array>,
): AsyncIterable<Uint8Array> {
  yield* first;
  for (;;) {
    const step = await rest.next();
    if (step.done === true) return;
    yield step.value;
  }
}

/** By the ending of the name, as the runtime knows it. */
function typeOf(path: string): string {
  const { type } = Bun.file(path);
  return path === "-" || type === "" ? "application/octet-stream" : type;
}
