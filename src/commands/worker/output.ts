/**
 * What a handler writes: the last part of it is kept with the attempt, marked lines are taken out of stdout, and lines are
 * shown with the job they belong to. Works on bytes as they come, with bounded memory, however long a line is.
 */
import { RawJson } from "../../base/json.ts";
import { parseDuration } from "../../base/time.ts";

const newline = 0x0a;

/** The last bytes of a stream of chunks. */
export class ByteTail {
  readonly #bytesMax: number;
  #chunks: Uint8Array[] = [];
  #bytes = 0;
  /** Bytes that were given up at the front. */
  droppedBytes = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  add(chunk: Uint8Array): void {
    // Copied, because the reader may use its buffer again and a small part must not keep a large buffer alive.
    this.#chunks.push(chunk.slice(Math.max(0, chunk.length - this.#bytesMax)));
    this.droppedBytes += Math.max(0, chunk.length - this.#bytesMax);
    this.#bytes += Math.min(chunk.length, this.#bytesMax);
    for (;;) {
      const first = this.#chunks[0];
      if (first === undefined || this.#bytes - first.length < this.#bytesMax) return;
      this.#chunks.shift();
      this.#bytes -= first.length;
      this.droppedBytes += first.length;
    }
  }

  /** At most `bytesMax` bytes of UTF-8; what is not UTF-8 appears as U+FFFD. */
  text(): string {
    const joined = Buffer.concat(this.#chunks);
    let start = Math.max(0, joined.length - this.#bytesMax);
    if (start > 0 || this.droppedBytes > 0) {
      for (let skipped = 0; skipped < 3 && isContinuation(joined[start]); skipped++) start++;
    }
    let text = new TextDecoder().decode(joined.subarray(start));
    // A replacement character is three bytes where there was one.
    while (Buffer.byteLength(text) > this.#bytesMax) {
      text = text.slice(Math.max(1, Math.ceil((Buffer.byteLength(text) - this.#bytesMax) / 3)));
      if (isLowSurrogate(text.charCodeAt(0))) text = text.slice(1);
    }
    return text;
  }

  bytes(): Uint8Array {
    return Buffer.concat(this.#chunks);
  }
}

function isContinuation(byte: number | undefined): boolean {
  return byte !== undefined && (byte & 0xc0) === 0x80;
}

function isLowSurrogate(code: number): boolean {
  return code >= 0xdc00 && code <= 0xdfff;
}

/** The last lines of a text, without trailing white space. */
export function lastLines(text: string, countMax: number, charsMax: number): string {
  const lines = text.trimEnd().split("\n").slice(-countMax).join("\n");
  if (lines.length <= charsMax) return lines;
  const cut = lines.slice(-charsMax);
  return isLowSurrogate(cut.charCodeAt(0)) ? cut.slice(1) : cut;
}

const progressPattern =
  /^::corvo progress (\d+(?:\.\d+)?)(?:\/(\d+(?:\.\d+)?))?(?:[ \t]+(.*?))?[ \t\r]*$/;
const messageCharsMax = 1000;

/** What a marked line says about the job. */
export type Mark =
  | { readonly kind: "progress"; readonly value: RawJson }
  | { readonly kind: "snooze"; readonly delayMs: number }
  | { readonly kind: "errorClass"; readonly name: string };

const snoozePattern = /^::corvo snooze (\S+)[ \t\r]*$/;
const errorClassPattern = /^::corvo error-class (\S.*?)[ \t\r]*$/;

/** Reads `::corvo …`. Undefined when the line is something else. */
function parseMark(line: string): Mark | undefined {
  const delayMs = parseDuration(snoozePattern.exec(line)?.[1] ?? "");
  if (delayMs !== undefined) return { kind: "snooze", delayMs };
  const name = errorClassPattern.exec(line)?.[1];
  if (name !== undefined) return { kind: "errorClass", name: name.toWellFormed() };
  const value = parseProgress(line);
  return value === undefined ? undefined : { kind: "progress", value };
}

/** Reads `::corvo progress 3/10 text`. */
function parseProgress(line: string): RawJson | undefined {
  const match = progressPattern.exec(line);
  if (match === null) return undefined;
  const message = (match[3] ?? "").slice(0, messageCharsMax).toWellFormed();
  return new RawJson(
    JSON.stringify({
      current: Number(match[1]),
      total: match[2] === undefined ? undefined : Number(match[2]),
      message: message === "" ? undefined : message,
    }),
  );
}

const marker = new TextEncoder().encode("::corvo ");
const markedLineBytesMax = 8 * 1024;

/**
 * Splits stdout into marked lines and everything else. A line is only held back while it may still become a marked one, so
 * that other output is passed on as it comes.
 */
export class MarkFilter {
  readonly #onMark: (mark: Mark) => void;
  readonly #onRest: (bytes: Uint8Array) => void;
  /** Start of the current line, while it may be a marked one. */
  #held: number[] | undefined = [];

  constructor(onMark: (mark: Mark) => void, onRest: (bytes: Uint8Array) => void) {
    this.#onMark = onMark;
    this.#onRest = onRest;
  }

  add(chunk: Uint8Array): void {
    let at = 0;
    while (at < chunk.length) {
      if (this.#held === undefined) {
        const end = chunk.indexOf(newline, at);
        const next = end === -1 ? chunk.length : end + 1;
        this.#onRest(chunk.subarray(at, next));
        at = next;
        if (end !== -1) this.#held = [];
        continue;
      }
      const byte = chunk[at] ?? newline;
      at++;
      this.#held.push(byte);
      if (byte === newline) this.end();
      else if (!this.#mayBeMarked(this.#held)) this.#passHeld();
    }
  }

  /** The stream is over, or the line is. */
  end(): void {
    const held = this.#held ?? [];
    this.#held = [];
    if (held.length === 0) return;
    const bytes = Uint8Array.from(held);
    const mark = parseMark(new TextDecoder().decode(bytes).replace(/\n$/, ""));
    if (mark === undefined) this.#onRest(bytes);
    else this.#onMark(mark);
  }

  #mayBeMarked(held: readonly number[]): boolean {
    if (held.length > markedLineBytesMax) return false;
    const last = held.length - 1;
    return last >= marker.length || held[last] === marker[last];
  }

  #passHeld(): void {
    this.#onRest(Uint8Array.from(this.#held ?? []));
    this.#held = undefined;
  }
}

const shownLineBytesMax = 16 * 1024;

/** Cuts a stream of chunks into lines; one longer than the bound is cut into pieces. */
export class LineSplitter {
  readonly #onLine: (line: string, isWhole: boolean) => void;
  readonly #bytesMax: number;
  #parts: Uint8Array[] = [];
  #bytes = 0;

  constructor(onLine: (line: string, isWhole: boolean) => void, bytesMax = shownLineBytesMax) {
    this.#onLine = onLine;
    this.#bytesMax = bytesMax;
  }

  add(chunk: Uint8Array): void {
    let at = 0;
    while (at < chunk.length) {
      const found = chunk.indexOf(newline, at);
      const end = found === -1 ? chunk.length : found;
      const part = chunk.slice(at, Math.min(end, at + this.#bytesMax - this.#bytes));
      this.#parts.push(part);
      this.#bytes += part.length;
      at += part.length;
      if (at === found) {
        at++;
        this.#emit(true);
      } else if (this.#bytes >= this.#bytesMax) {
        this.#emit(false);
      }
    }
  }

  end(): void {
    if (this.#bytes > 0) this.#emit(true);
  }

  #emit(isWhole: boolean): void {
    const line = new TextDecoder().decode(Buffer.concat(this.#parts));
    this.#parts = [];
    this.#bytes = 0;
    this.#onLine(line, isWhole);
  }
}
