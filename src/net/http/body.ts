/**
 * From the bytes of a body or frame to a checked value. In this order: size, UTF-8, JSON with its depth, schema, and
 * then what a schema cannot say: the size of each raw value and that text is well-formed Unicode. Each step has its own
 * error code, and nothing passes to a handler before the last one.
 */
import type { TSchema } from "@sinclair/typebox";
import { rawTreeOf } from "../../api/operation.ts";
import { CorvoError } from "../../base/errors.ts";
import { parseJson, RawJson, type RawTree } from "../../base/json.ts";
import { type Check, createCheck, seen } from "./check.ts";
import type { HttpLimits } from "./limits.ts";
import { unknownMember } from "./unknown-member.ts";

const utf8 = new TextDecoder("utf-8", { fatal: true });

/** The escape of half a surrogate pair, or of a whole pair: only texts with one need the slow look. */
const surrogateEscape = /\\u[dD][89a-fA-F]/;

export class BodyParser {
  readonly #tree: RawTree | undefined;
  readonly #check: Check;
  /** Members that it does not have are refused; undefined lets them be. */
  readonly #schema: TSchema | undefined;
  readonly #limits: HttpLimits;

  /** `knowsAll` refuses members that the schema does not have. */
  constructor(
    schema: TSchema,
    { root, knowsAll }: { readonly root: string; readonly knowsAll: boolean },
    limits: HttpLimits,
  ) {
    this.#tree = rawTreeOf(schema);
    this.#check = createCheck(schema, root);
    this.#schema = knowsAll ? schema : undefined;
    this.#limits = limits;
  }

  /** The value of one JSON text. Throws `CorvoError`. */
  parse(text: string): unknown {
    const value = this.parseText(text);
    this.check(text, value);
    return value;
  }

  /** The first half of `parse`: JSON, not yet checked. */
  parseText(text: string): unknown {
    const parsed = parseJson(text, this.#tree, this.#limits.jsonDepthMax);
    if (parsed.ok) return parsed.value;
    if (parsed.problem === "depth") {
      throw new CorvoError("PARSE_ERROR", `the JSON is ${parsed.message} (limit jsonDepthMax)`);
    }
    throw new CorvoError("PARSE_ERROR", `not valid JSON: ${parsed.message.slice(0, 120)}`);
  }

  /** The second half of `parse`. Raw values are measured only in texts that could hold one that is too large. */
  check(text: string, value: unknown): void {
    const problem =
      this.#check(value) ??
      (this.#schema === undefined ? undefined : unknownMember(this.#schema, value));
    if (problem !== undefined) throw problem;
    if (text.length * 3 > this.#limits.payloadBytesMax || surrogateEscape.test(text)) {
      checkText(value, "", this.#limits.payloadBytesMax);
    }
  }
}

/** Decodes UTF-8 strictly; a byte order mark is dropped. */
export function decodeUtf8(bytes: Uint8Array): string {
  try {
    return utf8.decode(bytes);
  } catch (cause) {
    throw new CorvoError("PARSE_ERROR", `the body of ${bytes.length} bytes is not valid UTF-8`, {
      cause,
    });
  }
}

export function bodyTooLarge(bytes: string, bytesMax: number): CorvoError {
  return new CorvoError(
    "PAYLOAD_TOO_LARGE",
    `the body has ${bytes} bytes; the limit bodyBytesMax (--max-body-size) is ${bytesMax}`,
  );
}

/** Every text and raw value in it, whatever its form is. Depth is bounded by the parser, so recursion is safe. */
export function checkText(value: unknown, path: string, payloadBytesMax: number): void {
  if (typeof value === "string") {
    if (!value.isWellFormed()) throw illFormed(path, value);
  } else if (value instanceof RawJson) {
    const bytes = Buffer.byteLength(value.text);
    if (bytes > payloadBytesMax) {
      throw new CorvoError(
        "PAYLOAD_TOO_LARGE",
        `${path} has ${bytes} bytes; the limit payloadBytesMax (--max-payload-size) is ${payloadBytesMax}`,
        { details: { path } },
      );
    }
  } else if (Array.isArray(value)) {
    value.forEach((item, index) => {
      checkText(item, `${path}[${index}]`, payloadBytesMax);
    });
  } else if (typeof value === "object" && value !== null) {
    for (const [name, member] of Object.entries(value)) {
      const short = name.length <= 48 ? name : `${name.slice(0, 48)}…`;
      const inner = path === "" ? short : `${path}.${short}`;
      if (!name.isWellFormed()) throw illFormed(path, name);
      checkText(member, inner, payloadBytesMax);
    }
  }
}

function illFormed(path: string, text: string): CorvoError {
  const where = path === "" ? "a name" : path;
  return new CorvoError(
    "VALIDATION_ERROR",
    `${where}: half of a surrogate pair is not text, got ${seen(text)}`,
    { details: { path } },
  );
}
