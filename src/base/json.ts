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

/**
 * Parses a document; values that `tree` marks become `RawJson`. Nesting deeper than `depthMax` is refused, for the sake
 * of whoever walks the value recursively; the native parser itself does not mind.
 */
export function parseJson(text: string, tree: RawTree | undefined, depthMax: number): Parsed {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    return { ok: false, problem: "syntax", message: error instanceof Error ? error.message : "" };
  }
  const walk = new RawWalk(text, depthMax);
  if (tree === undefined || tree === "raw") walk.skipAll();
  else walk.walk(tree, value);
  if (walk.tooDeep) {
    return { ok: false, problem: "depth", message: `nested deeper than ${depthMax} levels` };
  }
  return { ok: true, value: tree === "raw" ? new RawJson(text.trim()) : value };
}

/** Writes a value as JSON; `RawJson` appears as its text, undefined members are left out. */
export function stringifyJson(value: unknown): string {
  if (typeof value === "string") return quoted(value);
  if (typeof value === "number") return Number.isFinite(value) ? String(value) : "null";
  if (value === null || value === undefined) return "null";
  if (typeof value !== "object") return String(value);
  if (value instanceof RawJson) return value.text;
  if (Array.isArray(value)) {
    let text = "[";
    for (let i = 0; i < value.length; i++) text += (i === 0 ? "" : ",") + stringifyJson(value[i]);
    return `${text}]`;
  }
  let text = "{";
  const members = value as Readonly<Record<string, unknown>>;
  for (const key of Object.keys(members)) {
    const member = members[key];
    if (member === undefined) continue;
    text += `${text.length === 1 ? "" : ","}${quoted(key)}:${stringifyJson(member)}`;
  }
  return `${text}}`;
}

const plainText = /^[ !#-[\]-~]{0,40}$/;

/** Text as JSON. Short texts of plain characters need no escapes, and quoting them here is faster than the native call. */
export function quoted(text: string): string {
  return plainText.test(text) ? `"${text}"` : JSON.stringify(text);
}

const quote = 0x22;
const backslash = 0x5c;
const openBrace = 0x7b;
const closeBrace = 0x7d;
const openBracket = 0x5b;
const closeBracket = 0x5d;
const comma = 0x2c;

/** Strings up to this length are scanned by hand, which is faster than a call of `indexOf`. */
const shortString = 24;

/** The position after the closing quote of the string that opens at `start`. */
function skipString(text: string, start: number): number {
  let at = start + 1;
  for (const handEnd = at + shortString; at < handEnd; at++) {
    const code = text.charCodeAt(at);
    if (code === quote) return at + 1;
    if (code === backslash) at++;
  }
  for (;;) {
    const end = text.indexOf('"', at);
    if (end === -1) return text.length;
    let slashes = 0;
    while (end - 1 - slashes >= at && text.charCodeAt(end - 1 - slashes) === backslash) slashes++;
    if (slashes % 2 === 0) return end + 1;
    at = end + 1;
  }
}

/** One pass over valid JSON text beside its parsed value, replacing marked values by their text. */
class RawWalk {
  tooDeep = false;
  #at = 0;
  #depth = 0;
  readonly #text: string;
  readonly #depthMax: number;

  constructor(text: string, depthMax: number) {
    this.#text = text;
    this.#depthMax = depthMax;
  }

  /** Only measures the depth. */
  skipAll(): void {
    this.#space();
    this.#skip();
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
    this.#enter();
    for (;;) {
      this.#space();
      if (this.#text.charCodeAt(this.#at) === closeBrace) break;
      const key = "elements" in tree ? this.#key() : this.#keyAmong(tree.members);
      this.#space();
      this.#at++; // the colon
      if (key === undefined) {
        this.#space();
        this.#skip();
      } else {
        this.#member("elements" in tree ? tree.elements : tree.members[key], value, key);
      }
      this.#space();
      if (this.#text.charCodeAt(this.#at) === comma) this.#at++;
    }
    this.#leave();
  }

  #array(tree: Exclude<RawTree, "raw">, value: unknown[]): void {
    this.#enter();
    for (let index = 0; ; index++) {
      this.#space();
      if (this.#text.charCodeAt(this.#at) === closeBracket) break;
      this.#member("elements" in tree ? tree.elements : undefined, value, index);
      this.#space();
      if (this.#text.charCodeAt(this.#at) === comma) this.#at++;
    }
    this.#leave();
  }

  #enter(): void {
    this.#at++;
    this.#depth++;
    if (this.#depth > this.#depthMax) this.tooDeep = true;
  }

  #leave(): void {
    this.#at++;
    this.#depth--;
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

  #key(): string {
    const start = this.#at;
    this.#at = skipString(this.#text, start);
    const inner = this.#text.slice(start + 1, this.#at - 1);
    return inner.includes("\\") ? (JSON.parse(`"${inner}"`) as string) : inner;
  }

  /** The key, if it is one of these; made into a string of its own only then. */
  #keyAmong(members: Readonly<Record<string, RawTree>>): string | undefined {
    const text = this.#text;
    const start = this.#at + 1;
    for (const name in members) {
      if (text.charCodeAt(start + name.length) === quote && text.startsWith(name, start)) {
        this.#at = start + name.length + 1;
        return name;
      }
    }
    this.#at = skipString(text, this.#at);
    // Most keys are none of these, so nothing is cut out of the text to see that.
    for (let at = start; at < this.#at; at++) {
      if (text.charCodeAt(at) === backslash) return this.#escapedKey(start - 1, members);
    }
    return undefined;
  }

  #escapedKey(start: number, members: Readonly<Record<string, RawTree>>): string | undefined {
    const key = JSON.parse(this.#text.slice(start, this.#at)) as string;
    return Object.hasOwn(members, key) ? key : undefined;
  }

  #space(): void {
    for (;;) {
      const code = this.#text.charCodeAt(this.#at);
      // Between the tokens of valid JSON nothing else is this low. At the end of the text the code is NaN.
      if (!(code <= 0x20)) return;
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
    const text = this.#text;
    const outside = this.#depth;
    let depth = outside;
    let at = this.#at;
    do {
      const code = text.charCodeAt(at);
      if (code === quote) {
        at = skipString(text, at);
        continue;
      }
      at++;
      if (code === openBrace || code === openBracket) {
        depth++;
        if (depth > this.#depthMax) this.tooDeep = true;
      } else if (code === closeBrace || code === closeBracket) {
        depth--;
      }
      assert(at <= text.length, "the walk only sees valid JSON");
    } while (depth > outside);
    this.#at = at;
  }

  #skipScalar(): void {
    const text = this.#text;
    for (; this.#at < text.length; this.#at++) {
      const code = text.charCodeAt(this.#at);
      if (code === comma || code === closeBrace || code === closeBracket || code <= 0x20) return;
    }
  }
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
