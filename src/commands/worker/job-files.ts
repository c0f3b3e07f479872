/** The files through which a handler hands over its checkpoint and its result, in a folder of its own for each job. */
import { mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { requestLimits as limits } from "../../api/limits.ts";
import { parseJson, RawJson } from "../../base/json.ts";

/** What the server takes is its own decision, and usually much less; this only bounds what is read. */
const fileBytesMax = limits.bodyBytesMax / 4;

type FileJson =
  | { readonly kind: "absent" }
  | { readonly kind: "value"; readonly value: RawJson }
  | { readonly kind: "bad"; readonly problem: string };

export class JobFiles {
  readonly checkpointPath: string;
  readonly resultPath: string;
  readonly #folder: string;
  #seen = "";

  constructor(root: string, name: string, checkpoint: RawJson | undefined) {
    this.#folder = join(root, name);
    this.checkpointPath = join(this.#folder, "checkpoint.json");
    this.resultPath = join(this.#folder, "result.json");
    mkdirSync(this.#folder, { mode: 0o700 });
    // Shells read a line more easily than what is left of a file.
    writeFileSync(this.checkpointPath, checkpoint === undefined ? "" : `${checkpoint.text}\n`);
  }

  /** The checkpoint if the file was touched since the last look and holds JSON; it may be half written at this moment. */
  readCheckpoint(): RawJson | undefined {
    let stamp: string;
    try {
      const stat = statSync(this.checkpointPath);
      stamp = `${stat.mtimeMs} ${stat.size} ${stat.ino}`;
    } catch {
      return undefined;
    }
    if (stamp === this.#seen) return undefined;
    const read = readJson(this.checkpointPath);
    if (read.kind !== "value") return undefined;
    this.#seen = stamp;
    return read.value;
  }

  readResult(): FileJson {
    return readJson(this.resultPath);
  }

  remove(): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

function readJson(path: string): FileJson {
  let bytes: Uint8Array;
  try {
    const size = statSync(path).size;
    if (size > fileBytesMax) {
      return {
        kind: "bad",
        problem: `holds ${size} bytes, the limit is ${fileBytesMax} (fileBytesMax)`,
      };
    }
    bytes = readFileSync(path);
  } catch {
    return { kind: "absent" };
  }
  const read = jsonOf(bytes);
  if (read === undefined) return { kind: "absent" };
  return read instanceof RawJson
    ? { kind: "value", value: read }
    : { kind: "bad", problem: read.problem };
}

/** The JSON document in the bytes; undefined when there is only white space. */
export function jsonOf(bytes: Uint8Array): RawJson | { readonly problem: string } | undefined {
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes).trim();
  } catch {
    return { problem: "is not UTF-8" };
  }
  if (text === "") return undefined;
  const parsed = parseJson(text, "raw", limits.jsonDepthMax);
  if (!parsed.ok) return { problem: `is not one JSON document: ${parsed.message}` };
  return parsed.value as RawJson;
}
