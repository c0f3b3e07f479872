/**
 * JSON that keeps some values as the exact text that was sent: payloads, results, checkpoints.
 *
 * `JSON.parse` loses numbers beyond 2^53, `1.0` and spacing. So a document is parsed once natively (which also proves
 * that it is well formed), then walked once more only to find where the values lie that must stay as they are; those
 * become `RawJson`. The walk trusts the text to be valid JSON, so it is short and fast.
 */

import { assert } from "./assert.ts";

/** A JSON value held as its text. */
export class RawJson {
  readonly text: string;
  constructor(text: string) {
    this.text = text;
  }
  /** The value; numbers beyond 2^53 lose digits here, and only here. */
  parse(): unknown {
    return JSON.parse(this.text);
  }
}

/**
 * Which values of a document stay raw: `raw`, or the members of an object, or the elements of an array (or all values
 * of a map), by the same rule.
 */
export type RawTree =
  | "raw"
  | { readonly members: Readonly<Record<string, RawTree>> }
  | { readonly elements: RawTree };

type Parsed =
  | { readonly ok: true; readonly value: unknown }
  | { readonly ok: false; readonly problem: "syntax" | "depth"; readonly message: string };

/** Parses a document; values that `tree` marks become `RawJson`. Nesting deeper than `depthMax` is refused. */
export function parseJson(text: string, tree: RawTree | undefined, depthMax: number): Parsed {
  const depth = scanDepth(text, depthMax);
  if (depth > depthMax) {
    return { ok: false, problem: "depth", message: `nested deeper than ${depthMax} levels` };
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    return { ok: false, problem: "syntax", message: error instanceof Error ? error.message : "" };
  }
  if (tree === undefined) return { ok: true, value };
  if (tree === "raw") return { ok: true, value: new RawJson(text.trim()) };
  new RawWalk(text).walk(tree, value);
  return { ok: true, value };
}

/** Writes a value as JSON; `RawJson` appears as its text, undefined members are left out. */
export function stringifyJson(value: unknown): string {
  if (value === null || value === undefined) return "null";
  if (typeof value === "string") return JSON.stringify(value);
  if (typeof value === "number" && !Number.isFinite(value)) return "null";
  if (typeof value !== "object") return String(value);
  if (value instanceof RawJson) return value.text;
  if (Array.isArray(value)) {
    let text = "[";
    for (let i = 0; i < value.length; i++) text += (i === 0 ? "" : ",") + stringifyJson(value[i]);
    return `${text}]`;
  }
  let text = "{";
  for (const [key, member] of Object.entries(value)) {
    if (member === undefined) continue;
    text += `${text.length === 1 ? "" : ","}${JSON.stringify(key)}:${stringifyJson(member)}`;
  }
  return `${text}}`;
}

const quote = 0x22;
const backslash = 0x5c;
const openBrace = 0x7b;
const closeBrace = 0x7d;
const openBracket = 0x5b;
const closeBracket = 0x5d;
const comma = 0x2c;

/** The position after the closing quote of the string that opens at `start`; the end of the text if it never closes. */
function skipString(text: string, start: number): number {
  let at = start + 1;
  for (;;) {
    const end = text.indexOf('"', at);
    if (end === -1) return text.length;
    let slashes = 0;
    while (text.charCodeAt(end - 1 - slashes) === backslash) slashes++;
    if (slashes % 2 === 0) return end + 1;
    at = end + 1;
  }
}

/** The deepest nesting of the text, or `limit + 1` as soon as that is passed. Safe on malformed text. */
function scanDepth(text: string, limit: number): number {
  let depth = 0;
  let deepest = 0;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === quote) {
      at = skipString(text, at) - 1;
    } else if (code === openBrace || code === openBracket) {
      depth++;
      if (depth > deepest) deepest = depth;
      if (depth > limit) return depth;
    } else if (code === closeBrace || code === closeBracket) {
      depth--;
    }
  }
  return deepest;
}

/** One pass over valid JSON text beside its parsed value, replacing marked values by their text. */
class RawWalk {
  #at = 0;
  readonly #text: string;

  constructor(text: string) {
    this.#text = text;
  }

  walk(tree: Exclude<RawTree, "raw">, value: unknown): void {
    this.#space();
    const code = this.#text.charCodeAt(this.#at);
    // Text and value differ in shape where a repeated outer key made another value win.
    if (
      code === openBrace &&
      typeof value === "object" &&
      value !== null &&
      !Array.isArray(value)
    ) {
      this.#object(tree, value as Record<string, unknown>);
    } else if (code === openBracket && Array.isArray(value)) {
      this.#array(tree, value);
    } else {
      this.#skip();
    }
  }

  #object(tree: Exclude<RawTree, "raw">, value: Record<string, unknown>): void {
    const lengths = "elements" in tree ? anyLength : keyLengths(tree.members);
    this.#at++;
    for (;;) {
      this.#space();
      if (this.#text.charCodeAt(this.#at) === closeBrace) break;
      const key = this.#keyIn(lengths);
      this.#space();
      this.#at++; // the colon
      if (key === undefined) {
        this.#space();
        this.#skip();
      } else {
        const inner = "elements" in tree ? tree.elements : memberOf(tree.members, key);
        this.#member(inner, value, key);
      }
      this.#space();
      if (this.#text.charCodeAt(this.#at) === comma) this.#at++;
    }
    this.#at++;
  }

  #array(tree: Exclude<RawTree, "raw">, value: unknown[]): void {
    this.#at++;
    for (let index = 0; ; index++) {
      this.#space();
      if (this.#text.charCodeAt(this.#at) === closeBracket) break;
      this.#member("elements" in tree ? tree.elements : undefined, value, index);
      this.#space();
      if (this.#text.charCodeAt(this.#at) === comma) this.#at++;
    }
    this.#at++;
  }

  /** A repeated key overwrites the earlier value, as `JSON.parse` does. A raw `null` stays null, which means absent. */
  #member(tree: RawTree | undefined, holder: object, key: string | number): void {
    this.#space();
    if (tree === undefined) {
      this.#skip();
    } else if (tree === "raw") {
      const start = this.#at;
      this.#skip();
      const text = this.#text.slice(start, this.#at);
      // A repeated outer key can make this text longer than the value that won; then there is nothing to set.
      if (Object.hasOwn(holder, key)) {
        setMember(holder, key, text === "null" ? null : new RawJson(text));
      }
    } else {
      // Own members only: `constructor` in a losing duplicate must not lead into the prototype.
      const own = Object.hasOwn(holder, key);
      this.walk(tree, own ? (holder as Record<string | number, unknown>)[key] : undefined);
    }
  }

  /** Moves past a key. It is only taken out of the text when its length is one of those asked for, which saves most of the work. */
  #keyIn(lengths: number): string | undefined {
    const text = this.#text;
    const start = this.#at + 1;
    let at = start;
    for (let code = text.charCodeAt(at); code !== quote; code = text.charCodeAt(++at)) {
      if (code === backslash) return this.#key();
      assert(at < text.length, "the walk only sees valid JSON");
    }
    this.#at = at + 1;
    const length = at - start;
    if (length < 31 && (lengths & (1 << length)) === 0) return undefined;
    return text.slice(start, at);
  }

  #key(): string {
    const start = this.#at;
    this.#at = skipString(this.#text, start);
    const inner = this.#text.slice(start + 1, this.#at - 1);
    return inner.includes("\\") ? (JSON.parse(`"${inner}"`) as string) : inner;
  }

  #space(): void {
    for (;;) {
      const code = this.#text.charCodeAt(this.#at);
      if (code !== 0x20 && code !== 0x0a && code !== 0x0d && code !== 0x09) return;
      this.#at++;
    }
  }

  /** Moves past one value of any kind. */
  #skip(): void {
    const code = this.#text.charCodeAt(this.#at);
    if (code === quote) {
      this.#at = skipString(this.#text, this.#at);
    } else if (code === openBrace || code === openBracket) {
      this.#skipNested();
    } else {
      this.#skipScalar();
    }
  }

  #skipNested(): void {
    let depth = 0;
    const text = this.#text;
    for (;;) {
      const code = text.charCodeAt(this.#at);
      if (code === quote) {
        this.#at = skipString(text, this.#at);
        continue;
      }
      this.#at++;
      if (code === openBrace || code === openBracket) depth++;
      else if (code === closeBrace || code === closeBracket) {
        depth--;
        if (depth === 0) return;
      }
      assert(this.#at <= text.length, "the walk only sees valid JSON");
    }
  }

  #skipScalar(): void {
    const text = this.#text;
    for (; this.#at < text.length; this.#at++) {
      const code = text.charCodeAt(this.#at);
      if (code === comma || code === closeBrace || code === closeBracket || code <= 0x20) return;
    }
  }
}

const anyLength = -1;
const lengthsOf = new WeakMap<object, number>();

/** One bit for each length below 31 that a name has. */
function keyLengths(members: Readonly<Record<string, RawTree>>): number {
  let lengths = lengthsOf.get(members);
  if (lengths === undefined) {
    lengths = 0;
    for (const name of Object.keys(members)) if (name.length < 31) lengths |= 1 << name.length;
    lengthsOf.set(members, lengths);
  }
  return lengths;
}

function memberOf(members: Readonly<Record<string, RawTree>>, key: string): RawTree | undefined {
  return Object.hasOwn(members, key) ? members[key] : undefined;
}

/** `__proto__` must become an own member, as `JSON.parse` makes it. */
function setMember(holder: object, key: string | number, value: unknown): void {
  if (key === "__proto__") {
    Object.defineProperty(holder, key, {
      value,
      enumerable: true,
      configurable: true,
      writable: true,
    });
  } else {
    (holder as Record<string | number, unknown>)[key] = value;
  }
}
