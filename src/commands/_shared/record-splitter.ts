/**
 * Cuts a growing text into the records of an import, without ever holding more than one: either one JSON document per
 * line, or the elements of one JSON array, told apart by the first character. Each record knows its first line.
 *
 * The splitter does not judge: a record may be malformed, and then it is the reader of the record who says so. Only
 * what makes further cutting impossible is a problem here.
 */
import { UsageError } from "./exit.ts";

export interface TextRecord {
  readonly line: number;
  readonly text: string;
}

/** Characters of one record; the whole of it is in memory once. */
export const recordLengthMax = 16 * 1024 * 1024;

type Mode = "unknown" | "lines" | "array" | "after";

export class RecordSplitter {
  #mode: Mode = "unknown";
  /** Text of which no record has been made yet. */
  #rest = "";
  /** Line of the first character of `#rest`. */
  #line = 1;
  /** How far `#rest` has been read in array mode, and what was open there. */
  #at = 0;
  #depth = 0;
  #inString = false;

  /** Takes the next piece; returns the records that it completes. */
  push(piece: string): TextRecord[] {
    this.#rest += piece;
    if (this.#mode === "unknown") this.#decide();
    const records =
      this.#mode === "lines" ? this.#lines() : this.#mode === "array" ? this.#elements() : [];
    if (this.#mode === "after") this.#expectNothing();
    if (this.#rest.length > recordLengthMax) {
      throw new UsageError(
        `the record on line ${this.#line} has more than ${recordLengthMax} characters`,
        "Is it one JSON object per line, or a JSON array?",
      );
    }
    return records;
  }

  /** The text is over; returns the last record, if one was left. */
  end(): TextRecord[] {
    if (this.#mode === "array") {
      throw new UsageError(
        `the JSON array is not closed; it ends in line ${this.#line + newlines(this.#rest)}`,
        "The file seems to be cut off, or a quote or bracket is missing.",
      );
    }
    return this.#mode === "lines" ? this.#record(this.#rest) : [];
  }

  #decide(): void {
    this.#dropSpace();
    if (this.#rest === "") return;
    this.#mode = this.#rest.startsWith("[") ? "array" : "lines";
    if (this.#mode === "array") this.#drop(1);
  }

  #lines(): TextRecord[] {
    const records: TextRecord[] = [];
    let start = 0;
    for (;;) {
      const end = this.#rest.indexOf("\n", start);
      if (end === -1) break;
      records.push(...this.#record(this.#rest.slice(start, end)));
      this.#line++;
      start = end + 1;
    }
    this.#rest = this.#rest.slice(start);
    return records;
  }

  #record(text: string): TextRecord[] {
    const trimmed = text.trim();
    return trimmed === "" ? [] : [{ line: this.#line, text: trimmed }];
  }

  /** Reads on in the array; a comma or the closing bracket outside of everything ends an element. */
  #elements(): TextRecord[] {
    const records: TextRecord[] = [];
    while (this.#at < this.#rest.length) {
      const char = this.#rest[this.#at];
      if (this.#inString) {
        if (char === "\\") this.#at++;
        else if (char === '"') this.#inString = false;
      } else if (char === '"') {
        this.#inString = true;
      } else if (char === "{" || char === "[") {
        this.#depth++;
      } else if (this.#depth === 0 && (char === "," || char === "]")) {
        records.push(...this.#element(char));
        if (char === "]") return records;
        continue;
      } else if (char === "}" || char === "]") {
        this.#depth = Math.max(0, this.#depth - 1);
      }
      this.#at++;
    }
    return records;
  }

  #element(end: "," | "]"): TextRecord[] {
    const text = this.#rest.slice(0, this.#at);
    const blank = text.length - text.trimStart().length;
    const record = { line: this.#line + newlines(text.slice(0, blank)), text: text.trim() };
    this.#drop(this.#at + 1);
    this.#at = 0;
    if (end === "]") this.#mode = "after";
    // `[]` has no element; `[1,]` and `[,1]` have an empty one, which its reader refuses.
    return record.text === "" && end === "]" ? [] : [record];
  }

  #expectNothing(): void {
    this.#dropSpace();
    if (this.#rest === "") return;
    throw new UsageError(
      `something follows the JSON array in line ${this.#line}: ${JSON.stringify(this.#rest.slice(0, 20))}`,
      "Write one array, or one JSON object per line.",
    );
  }

  #dropSpace(): void {
    this.#drop(this.#rest.length - this.#rest.trimStart().length);
  }

  #drop(length: number): void {
    this.#line += newlines(this.#rest.slice(0, length));
    this.#rest = this.#rest.slice(length);
  }
}

function newlines(text: string): number {
  let found = 0;
  for (let at = text.indexOf("\n"); at !== -1; at = text.indexOf("\n", at + 1)) found++;
  return found;
}
