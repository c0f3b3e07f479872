/**
 * The text of `--help`: what the command is for, then examples, then the details. All of it is made from the definition of
 * the command; a test compares it with golden texts and reads every example with the parser.
 */
import { type Argument, type Arguments, type Flag, labelOf, spellingsOf } from "./args.ts";
import type { Style } from "./colors.ts";
import type { CommandSpec } from "./command.ts";
import { globalArgs } from "./globals.ts";
import { commandsBelow, type Entry, type Group } from "./table.ts";

type Row = readonly [string, string];

const widthMax = 100;

export function commandHelp(
  path: readonly string[],
  entry: Entry,
  spec: CommandSpec,
  style: Style,
): string {
  const line = ["corvo", ...path].join(" ");
  const flags = Object.entries(spec.args).filter(([, argument]) => argument.type !== "positional");
  const positionals = Object.entries(spec.args).filter(([, one]) => one.type === "positional");
  const usage = [
    line,
    ...positionals.map(usageOf),
    ...(flags.length > 0 ? ["[FLAGS]"] : []),
    ...(spec.takesCommand === true ? ["[-- COMMAND...]"] : []),
  ];
  return sections(style, [
    [
      "",
      [
        ...wrap(`${entry.summary}.`, 0),
        ...(spec.details === undefined ? [] : ["", ...paragraphs(spec.details)]),
      ],
    ],
    ["Examples", spec.examples.flatMap((one) => [style.dim(`# ${one.says}`), one.line])],
    ["Usage", [usage.join(" ")]],
    [
      "Arguments",
      table(
        positionals.map(
          ([name, one]): Row => [
            one.type === "positional" ? labelOf(name, one) : name,
            one.description,
          ],
        ),
      ),
    ],
    [
      "Commands",
      table(
        Object.entries(commandsBelow(entry)).map(
          ([name, one]): Row => [`${line} ${name}`, one.summary],
        ),
      ),
    ],
    ["Flags", table(flagRows(spec.args))],
    ["Global flags", table(flagRows(globalArgs))],
  ]);
}

export function groupHelp(path: readonly string[], group: Group, style: Style): string {
  const line = ["corvo", ...path].join(" ");
  const rows = Object.entries(group.commands).map(([name, entry]): Row => [name, entry.summary]);
  return sections(style, [
    ["", wrap(`${group.summary}.`, 0)],
    ["Examples", (group.examples ?? []).flatMap((one) => [style.dim(`# ${one.says}`), one.line])],
    ["Usage", [`${line} COMMAND`]],
    ["Commands", table(rows)],
    ["Global flags", table(flagRows(globalArgs))],
    ["", [`\`${line} COMMAND --help\` shows what a command does.`]],
  ]);
}

function sections(style: Style, parts: readonly (readonly [string, readonly string[]])[]): string {
  const texts = parts
    .filter(([, lines]) => lines.length > 0)
    .map(([title, lines]) =>
      title === ""
        ? lines.join("\n")
        : [style.bold(`${title}:`), ...lines.map((line) => (line === "" ? "" : `  ${line}`))].join(
            "\n",
          ),
    );
  return `${texts.join("\n\n")}\n`;
}

function usageOf([name, argument]: readonly [string, Argument]): string {
  if (argument.type !== "positional") return "";
  const label = labelOf(name, argument);
  const text = argument.rest === true ? `${label}...` : label;
  return argument.required === false ? `[${text}]` : text;
}

function flagRows(args: Arguments): readonly Row[] {
  const rows: Row[] = [];
  for (const [name, argument] of Object.entries(args)) {
    if (argument.type !== "positional")
      rows.push([flagLabel(name, argument), descriptionOf(argument)]);
  }
  return rows;
}

/** The default is added, unless the description speaks of it itself. */
function descriptionOf(flag: Flag): string {
  if (flag.type !== "string" || flag.default === undefined) return flag.description;
  if (/\bdefault\b/i.test(flag.description)) return flag.description;
  return `${flag.description} Default ${flag.default}.`;
}

/** `-q, --quiet`; long aliases are accepted but not shown, they are older or shorter spellings. */
function flagLabel(name: string, flag: Flag): string {
  const short = spellingsOf(name, flag).filter((spelling) => !spelling.startsWith("--"));
  const label = [...short, `--${name}`].join(", ");
  if (flag.type === "boolean") return label;
  if (flag.type === "string") return `${label} ${flag.valueHint}`;
  return `${label} ${flag.options.join(flag.repeatable === true ? "," : "|")}`;
}

/** Two columns; a label that is too wide stands on a line of its own. */
function table(rows: readonly Row[]): readonly string[] {
  const labelMax = 30;
  const width = Math.min(labelMax, Math.max(0, ...rows.map(([label]) => label.length)));
  return rows.flatMap(([label, text]) => {
    const lines = wrap(text, width + 4);
    const head = lines[0] ?? "";
    const rest = lines.slice(1).map((line) => " ".repeat(width + 2) + line);
    if (label.length > width) return [label, " ".repeat(width + 2) + head, ...rest];
    return [`${label.padEnd(width)}  ${head}`.trimEnd(), ...rest];
  });
}

function paragraphs(text: string): readonly string[] {
  return text.split("\n").flatMap((paragraph) => wrap(paragraph, 0));
}

function wrap(text: string, indent: number): readonly string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    if (line !== "" && indent + line.length + 1 + word.length > widthMax) {
      lines.push(line);
      line = word;
    } else {
      line = line === "" ? word : `${line} ${word}`;
    }
  }
  return [...lines, line];
}
