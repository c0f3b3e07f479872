/**
 * The transcript format: directives, each with the output that it is expected to produce.
 *
 *   # A comment, at the start of a line between directives.
 *   directive argument key=value key=(a,b)
 *   input lines, if any
 *   ----
 *   expected output, up to a blank line
 *
 * A backslash at the end of a directive's line continues it. The input of a directive that takes none
 * is further directives, one per line: their outputs follow one another in the one expected output.
 * Output that contains blank lines stands between doubled separators. Parsing keeps every other line as it is, so that a file can be
 * rewritten with new outputs and otherwise unchanged.
 */
export interface Argument {
  readonly key: string;
  /** Empty for a bare word. */
  readonly values: readonly string[];
}

export interface Directive {
  readonly line: number;
  readonly command: string;
  readonly args: readonly Argument[];
  readonly input: string;
  /** Without the last line break. */
  readonly expected: string;
  /** Everything in the file from the end of the previous directive to the separator. */
  readonly preamble: string;
}

export interface Transcript {
  readonly directives: readonly Directive[];
  /** What follows the last directive. */
  readonly rest: string;
}

const separator = "----";

export function parseTranscript(text: string): Transcript {
  const lines = text.split("\n");
  const directives: Directive[] = [];
  let position = 0;
  let start = 0;
  while (position < lines.length) {
    const line = lines[position] ?? "";
    if (line.trim() === "" || line.startsWith("#")) {
      position += 1;
      continue;
    }
    const at = position + 1;
    let head = line;
    while (head.endsWith("\\") && position + 1 < lines.length) {
      position += 1;
      head = `${head.slice(0, -1)} ${lines[position] ?? ""}`;
    }
    const inputStart = position + 1;
    const stop = lines.indexOf(separator, inputStart);
    if (stop < 0) throw new Error(`line ${at}: no ${separator} follows the directive "${head}"`);
    const output = readOutput(lines, stop + 1);
    const { command, args } = parseHead(head.trim());
    directives.push({
      line: at,
      command,
      args,
      input: lines.slice(inputStart, stop).join("\n"),
      expected: output.text,
      preamble: lines.slice(start, stop).join("\n"),
    });
    position = output.next;
    start = position;
  }
  return { directives, rest: lines.slice(start).join("\n") };
}

/** The directive, and those that its input lines are. */
export function withFollowing(directive: Directive): Directive[] {
  const following = directive.input.split("\n").filter((line) => line.trim() !== "");
  const heads = following.map((line) => ({ ...directive, ...parseHead(line.trim()), input: "" }));
  return [{ ...directive, input: "" }, ...heads];
}

/** Whether a text has a directive with its expected output at all. */
export function isTranscript(text: string): boolean {
  return text.split("\n").includes(separator);
}

function readOutput(lines: readonly string[], from: number): { text: string; next: number } {
  if (lines[from] === separator) {
    let stop = from + 1;
    while (stop < lines.length && !(lines[stop] === separator && lines[stop + 1] === separator)) {
      stop += 1;
    }
    return { text: lines.slice(from + 1, stop).join("\n"), next: stop + 2 };
  }
  let stop = from;
  while (stop < lines.length && lines[stop] !== "") stop += 1;
  return { text: lines.slice(from, stop).join("\n"), next: stop };
}

function parseHead(head: string): { command: string; args: Argument[] } {
  const [command = "", ...rest] = head.match(/[^\s=]+(=\([^)]*\)|=\S*)?/g) ?? [];
  const args = rest.map((word): Argument => {
    const equals = word.indexOf("=");
    if (equals < 0) return { key: word, values: [] };
    const key = word.slice(0, equals);
    const value = word.slice(equals + 1);
    if (!value.startsWith("(")) return { key, values: [value] };
    const inner = value.slice(1, -1).trim();
    return { key, values: inner === "" ? [] : inner.split(/\s*,\s*|\s+/) };
  });
  return { command, args };
}

/** The file again, with `outputs` in place of what was expected. */
export function renderTranscript(transcript: Transcript, outputs: readonly string[]): string {
  const parts = transcript.directives.map(({ preamble }, position) => {
    const output = outputs[position] ?? "";
    const wrapped = /^$/m.test(output) || output.startsWith(separator);
    const body = wrapped ? `${separator}\n${output}\n${separator}\n${separator}` : output;
    return `${preamble}\n${separator}\n${body}\n`;
  });
  return parts.join("") + transcript.rest;
}
