/** Lines as documents and help show them, read by the program's own parser without being run. */
import { parseArguments } from "../../src/commands/_shared/args.ts";
import { globalArgs } from "../../src/commands/_shared/globals.ts";
import { isGroup, locate } from "../../src/commands/_shared/table.ts";
import { aliases, commands } from "../../src/commands/index.ts";

/** The words of each `corvo …` in a line for a shell. */
export function commandLines(line: string): readonly (readonly string[])[] {
  const words: { text: string; isOperator: boolean }[] = [];
  const token = /\s*(?:([|<>()]|\$\(|"\$\()|((?:'[^']*'|"(?:[^"\\$]|\\.|\$\{)*"|[^\s|<>()'"])+))/gy;
  for (let match = token.exec(line); match !== null; match = token.exec(line)) {
    const text = match[1] ?? (match[2] ?? "").replace(/'([^']*)'|"([^"]*)"/g, "$1$2");
    words.push({ text, isOperator: match[1] !== undefined });
  }
  const lines: string[][] = [];
  let current: string[] | undefined;
  for (const { text, isOperator } of words) {
    if (text === "corvo") {
      current = [];
      lines.push(current);
    } else if (isOperator) {
      current = undefined;
    } else {
      current?.push(text);
    }
  }
  return lines;
}

/** Throws the program's own usage error when it would not understand the words. */
export async function parseLine(argv: readonly string[]): Promise<void> {
  if (argv.includes("--version") || argv.includes("--help")) return;
  const located = locate(argv, commands, aliases, globalArgs);
  if (isGroup(located.entry)) throw new Error(`corvo ${argv.join(" ")}: a command is missing`);
  const { spec } = (await located.entry.load()).default;
  const args = { ...globalArgs, ...spec.args };
  parseArguments(located.rest, { args, takesCommand: spec.takesCommand === true, help: "" });
}
