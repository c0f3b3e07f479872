/**
 * What a command says. Data goes to stdout, talk to stderr, so that a pipe only ever sees data. Text that came from a
 * server is shown with its control characters written out: a payload must not be able to steer a terminal.
 */
import type { Logger } from "../../base/ports.ts";
import { type Style, styleOf } from "./colors.ts";
import type { Globals } from "./globals.ts";
import type { System } from "./system.ts";

export interface Output {
  readonly json: boolean;
  readonly quiet: boolean;
  /** For stdout. */
  readonly style: Style;
  /** Columns of the terminal on stdout; undefined when it is a pipe or a file. */
  readonly columns: number | undefined;
  /** A line of data. */
  line(text: string): void;
  /** A remark for the person; left out with --quiet. */
  note(text: string): void;
  warn(text: string): void;
}

export function createOutput(system: System, globals: Globals, log: Logger): Output {
  return {
    json: globals.json,
    quiet: globals.quiet,
    style: styleOf(system.stdout, system.env, globals.noColor),
    columns: system.stdout.isTty ? system.stdout.columns : undefined,
    line: (text) => system.stdout.write(`${text}\n`),
    note: (text) => {
      if (!globals.quiet) log.info(text);
    },
    warn: (text) => log.warn(text),
  };
}

/** The text with control characters written as escapes, so that it takes one line and steers nothing. */
export function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Zl}\p{Zp}\u202a-\u202e\u2066-\u2069]/gu, escapeOf);
}

/** Like `printable`, for text of several lines such as a backtrace. */
export function printableBlock(text: string): string {
  return text
    .split("\n")
    .map((line) => printable(line.replace(/\r$/, "").replaceAll("\t", "    ")))
    .join("\n");
}

function escapeOf(char: string): string {
  if (char === "\n") return "\\n";
  if (char === "\r") return "\\r";
  if (char === "\t") return "\\t";
  return `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`;
}

/** At most `widthMax` columns of the text, ending in `…` when some is missing. */
export function shorten(text: string, widthMax: number): string {
  if (Bun.stringWidth(text) <= widthMax) return text;
  let short = "";
  let width = 0;
  for (const char of text) {
    width += Bun.stringWidth(char);
    if (width > widthMax - 1) break;
    short += char;
  }
  return `${short}…`;
}

/** How long ago, in its largest unit: `42s`, `5m`, `3h`, `12d`. */
export function formatAge(ageMs: number): string {
  const seconds = Math.max(0, Math.floor(ageMs / 1000));
  if (seconds < 120) return `${seconds}s`;
  if (seconds < 2 * 3600) return `${Math.floor(seconds / 60)}m`;
  if (seconds < 2 * 86_400) return `${Math.floor(seconds / 3600)}h`;
  return `${Math.floor(seconds / 86_400)}d`;
}

/** `1 job`, `1,234 jobs`. */
export function count(number: number, noun: string): string {
  return `${number.toLocaleString("en-US")} ${noun}${number === 1 ? "" : "s"}`;
}
