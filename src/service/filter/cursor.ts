/**
 * Reads the text of a filter character by character: names, operators, values, and what went wrong where. Positions are
 * those of characters, from 1, as people count.
 */
import { CorvoError } from "../../base/errors.ts";

const operators = [
  "!=",
  "!~",
  ">=",
  "<=",
  "^=",
  "#!=",
  "#>=",
  "#<=",
  "#>",
  "#<",
  "#=",
  "#:",
  ":",
  "=",
  ">",
  "<",
  "~",
  "*=",
] as const;

export type Operator = (typeof operators)[number];

/** What was written as a value; what stood between quotes is text whatever it looks like. */
export interface Written {
  readonly text: string;
  readonly isQuoted: boolean;
  readonly at: number;
}

export class TextCursor {
  readonly #text: string;
  at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  get isAtEnd(): boolean {
    return this.at >= this.#text.length;
  }

  get next(): string {
    return this.#text[this.at] ?? "";
  }

  skipBlanks(): void {
    while (/\s/.test(this.next)) this.at++;
  }

  /** Goes past the text when it stands here. */
  take(text: string): boolean {
    if (!this.#text.startsWith(text, this.at)) return false;
    this.at += text.length;
    return true;
  }

  /** A word in capitals that joins conditions. */
  takeKeyword(word: string): boolean {
    const after = this.#text[this.at + word.length];
    if (after !== undefined && !/[\s("-]/.test(after)) return false;
    return this.take(word);
  }

  match(pattern: RegExp): string | undefined {
    const sticky = new RegExp(pattern.source, `${pattern.flags}y`);
    sticky.lastIndex = this.at;
    const found = sticky.exec(this.#text)?.[0];
    if (found !== undefined) this.at += found.length;
    return found;
  }

  operator(): Operator | undefined {
    return operators.find((one) => this.take(one));
  }

  /** Quoted, or up to a blank, a bracket or a comma; undefined when nothing stands here. */
  value(): Written | undefined {
    const at = this.at;
    if (this.next === '"') return { text: this.quoted(), isQuoted: true, at };
    const text = this.match(/[^\s(),"]+/);
    return text === undefined ? undefined : { text, isQuoted: false, at };
  }

  /** Quoted, or up to a blank or a bracket. */
  word(): Written | undefined {
    const at = this.at;
    if (this.next === '"') return { text: this.quoted(), isQuoted: true, at };
    const text = this.match(/[^\s()"]+/);
    return text === undefined ? undefined : { text, isQuoted: false, at };
  }

  /** Text between quotes, with the escapes of JSON. */
  quoted(): string {
    const at = this.at;
    const literal = this.match(/"(?:[^"\\]|\\.)*"/s);
    if (literal === undefined) throw this.wrong("the quote is not closed", at);
    try {
      // A line break or a tab may stand there as it is.
      return JSON.parse(literal.replace(/\p{Cc}/gu, escaped)) as string;
    } catch {
      throw this.wrong("in quotes, \\ begins an escape as in JSON; write \\\\ for a backslash", at);
    }
  }

  /** What is said of an error: where, and what stands there. */
  wrong(what: string, at: number, hint?: string): CorvoError {
    const shown = this.#text.slice(at, at + 24);
    const found = shown === "" ? "its end" : JSON.stringify(shown);
    return new CorvoError("SEARCH_ERROR", `filter, position ${at + 1} (${found}): ${what}`, {
      details: { position: at + 1 },
      hint: hint ?? "docs/reference/filters.md has all fields and operators.",
    });
  }
}

function escaped(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
}
