/** The payload argument: JSON as typed, `-` for standard input, `@path` for a file. It is sent byte for byte. */
import { requestLimits } from "../../api/limits.ts";
import { RawJson } from "../../base/json.ts";
import { UsageError } from "./exit.ts";
import { openInput, readText } from "./input.ts";
import { jsonProblem } from "./json-position.ts";
import { shellQuote } from "./shell.ts";
import type { System } from "./system.ts";

export async function readPayload(system: System, argument: string): Promise<RawJson> {
  const source = argument === "-" ? "-" : argument.startsWith("@") ? argument.slice(1) : undefined;
  if (source === undefined) return parsePayload(argument);
  const name = source === "-" ? "standard input" : source;
  const text = await readText(openInput(system, source), name, requestLimits.bodyBytesMax);
  return parsePayload(text, name);
}

/** Without a `name` the text was typed, and a shell may have had a hand in it. */
function parsePayload(text: string, name?: string): RawJson {
  const problem = jsonProblem(text);
  if (problem === undefined) return new RawJson(text.trim());
  throw new UsageError(
    `${name ?? "the payload"} is not valid JSON: ${problem.message}${pointAt(text, problem.line, problem.column)}`,
    name === undefined ? quotingHint(text) : undefined,
  );
}

/** The line at fault, with a mark under the place. */
function pointAt(text: string, line: number, column: number): string {
  const whole = text.split("\n")[line - 1] ?? "";
  const start = Math.max(0, column - 40);
  const piece = whole.slice(start, start + 72);
  if (piece.trim() === "") return "";
  return `\n  ${piece.replaceAll("\t", " ")}\n  ${" ".repeat(column - 1 - start)}^`;
}

function quotingHint(text: string): string {
  if (/^[\p{L}\p{N}_ .@:/+-]+$/u.test(text)) {
    return `A JSON text needs double quotes, and the shell single ones around them: ${shellQuote(JSON.stringify(text))}`;
  }
  if (/^[[{]/.test(text) && !text.includes('"')) {
    return `The shell has taken the double quotes away; put single quotes around the whole: '{"key":"value"}'`;
  }
  return `Put single quotes around the whole, as in '{"key":"value"}', or read it from a file with @FILE or -.`;
}
