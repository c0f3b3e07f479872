/**
 * Where a JSON document is wrong. The runtime's parser says what, not where, and a person who typed a payload at a
 * shell needs the place. Only run on text that did not parse, or may not; it accepts exactly what `JSON.parse` accepts.
 */

export interface JsonProblem {
  readonly message: string;
  /** Position from 0 in UTF-16 units. */
  readonly offset: number;
  readonly line: number;
  readonly column: number;
}

/** Undefined when the text is one JSON document. */
export function jsonProblem(text: string): JsonProblem | undefined {
  try {
    JSON.parse(text);
    return undefined;
  } catch {
    const { offset, expected } = new Scan(text).document();
    const before = text.slice(0, offset);
    const line = before.split("\n").length;
    const column = offset - before.lastIndexOf("\n");
    const seen = offset < text.length ? `found ${JSON.stringify(charAt(text, offset))}` : "it ends";
    const place = line === 1 ? `at position ${column}` : `on line ${line}, position ${column}`;
    return { message: `expected ${expected}, ${seen} ${place}`, offset, line, column };
  }
}

/** One whole character, which may be two units. */
function charAt(text: string, offset: number): string {
  return String.fromCodePoint(text.codePointAt(offset) ?? 0x20);
}

class Stop extends Error {
  readonly expected: string;
  constructor(expected: string) {
    super(expected);
    this.expected = expected;
  }
}

class Scan {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  document(): { offset: number; expected: string } {
    try {
      this.#value();
      this.#space();
      return { offset: this.#at, expected: "the end" };
    } catch (error) {
      if (error instanceof Stop) return { offset: this.#at, expected: error.expected };
      // Nesting deeper than the stack; the parser gave up at the same place.
      if (error instanceof RangeError) return { offset: this.#at, expected: "less nesting" };
      throw error;
    }
  }

  #value(): void {
    this.#space();
    const char = this.#text[this.#at];
    if (char === "{") this.#members();
    else if (char === "[") this.#elements();
    else if (char === '"') this.#string();
    else if (char === "t") this.#word("true");
    else if (char === "f") this.#word("false");
    else if (char === "n") this.#word("null");
    else if (char === "-" || isDigit(char)) this.#number();
    else throw new Stop("a value");
  }

  #members(): void {
    this.#at++;
    this.#space();
    if (this.#take("}")) return;
    for (;;) {
      this.#space();
      if (this.#text[this.#at] !== '"') throw new Stop('a name in double quotes (")');
      this.#string();
      this.#space();
      if (!this.#take(":")) throw new Stop('":"');
      this.#value();
      this.#space();
      if (this.#take("}")) return;
      if (!this.#take(",")) throw new Stop('"," or "}"');
    }
  }

  #elements(): void {
    this.#at++;
    this.#space();
    if (this.#take("]")) return;
    for (;;) {
      this.#value();
      this.#space();
      if (this.#take("]")) return;
      if (!this.#take(",")) throw new Stop('"," or "]"');
    }
  }

  #string(): void {
    this.#at++;
    for (;;) {
      const char = this.#text[this.#at];
      if (char === undefined) throw new Stop("a closing quote");
      if (char < " ") throw new Stop("an escape for this control character");
      this.#at++;
      if (char === '"') return;
      if (char === "\\") this.#escape();
    }
  }

  #escape(): void {
    const char = this.#text[this.#at] ?? "";
    if (char === "u") {
      for (let i = 0; i < 4; i++) {
        this.#at++;
        if (!/^[0-9a-fA-F]$/.test(this.#text[this.#at] ?? "")) throw new Stop("a hex digit");
      }
    } else if (char === "" || !'"\\/bfnrt'.includes(char)) {
      throw new Stop('one of " \\ / b f n r t u');
    }
    this.#at++;
  }

  #number(): void {
    this.#take("-");
    if (!this.#take("0")) this.#digits();
    if (this.#take(".")) this.#digits();
    if (this.#take("e") || this.#take("E")) {
      if (!this.#take("+")) this.#take("-");
      this.#digits();
    }
  }

  #digits(): void {
    if (!isDigit(this.#text[this.#at])) throw new Stop("a digit");
    while (isDigit(this.#text[this.#at])) this.#at++;
  }

  #word(word: string): void {
    if (!this.#text.startsWith(word, this.#at)) throw new Stop("a value");
    this.#at += word.length;
  }

  #take(char: string): boolean {
    if (this.#text[this.#at] !== char) return false;
    this.#at++;
    return true;
  }

  #space(): void {
    while (" \n\r\t".includes(this.#text[this.#at] ?? "x")) this.#at++;
  }
}

function isDigit(char: string | undefined): boolean {
  return char !== undefined && char >= "0" && char <= "9";
}
