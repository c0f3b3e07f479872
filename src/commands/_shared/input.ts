/** Text from standard input and files, read as it comes and never beyond a bound. */
import { UsageError } from "./exit.ts";
import type { System } from "./system.ts";

/** Opens `-` or a path. */
export function openInput(system: System, source: string): AsyncIterable<Uint8Array> {
  return source === "-" ? system.stdin() : namedFile(system, source);
}

async function* namedFile(system: System, path: string): AsyncIterable<Uint8Array> {
  try {
    yield* system.file(path);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new UsageError(`cannot read ${path}: ${reason}`, "Check the path.");
  }
}

/** The whole text, which must be UTF-8. */
export async function readText(
  input: AsyncIterable<Uint8Array>,
  name: string,
  bytesMax: number,
): Promise<string> {
  let text = "";
  let bytes = 0;
  const decode = utf8Decoder(name);
  for await (const chunk of input) {
    bytes += chunk.length;
    if (bytes > bytesMax) {
      throw new UsageError(`${name} is larger than ${bytesMax} bytes`, "Send a reference instead.");
    }
    text += decode(chunk);
  }
  return text + decode(undefined);
}

const idBytesMax = 16 * 1024 * 1024;

/** The ids of a line, each once; `-` stands for those on standard input, between spaces or line ends. */
export async function readIds(
  system: System,
  given: readonly string[],
): Promise<readonly string[]> {
  if (!given.includes("-")) return [...new Set(given)];
  const text = await readText(system.stdin(), "standard input", idBytesMax);
  const read = text.split(/\s+/).filter((word) => word !== "");
  const ids = given.flatMap((word) => (word === "-" ? read : [word]));
  if (ids.length > 0) return [...new Set(ids)];
  throw new UsageError(
    "standard input holds no ids",
    "Pipe ids into it, as `corvo jobs list -q` prints them.",
  );
}

/** Decodes piece by piece; undefined ends the text. Bytes that are not UTF-8 are refused, never replaced. */
export function utf8Decoder(name: string): (chunk: Uint8Array | undefined) => string {
  const decoder = new TextDecoder("utf-8", { fatal: true });
  return (chunk) => {
    try {
      return chunk === undefined ? decoder.decode() : decoder.decode(chunk, { stream: true });
    } catch {
      throw new UsageError(`${name} is not UTF-8 text`, "JSON is written in UTF-8; convert it.");
    }
  };
}
