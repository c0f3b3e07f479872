/**
 * The tree of commands as plain data, for completion scripts and reference pages: whoever prints it needs neither the
 * commands nor their modules. Loading all commands is cheap, since their heavy imports stand inside `run`.
 */
import { type Arguments, type Flag, spellingsOf } from "./args.ts";
import type { CommandSpec } from "./command.ts";
import { globalArgs } from "./globals.ts";
import { commandsBelow, type Entry, type Group, isGroup } from "./table.ts";

export interface FlagDescription {
  /** Every spelling, with dashes. */
  readonly names: readonly string[];
  readonly description: string;
  readonly takesValue: boolean;
  /** The only values there are; empty when anything goes. */
  readonly values: readonly string[];
  readonly takesFile: boolean;
}

export interface CommandDescription {
  /** Words after `corvo`; none for the root. */
  readonly path: readonly string[];
  readonly summary: string;
  readonly flags: readonly FlagDescription[];
  readonly subcommands: readonly { readonly name: string; readonly summary: string }[];
}

export interface LoadedCommand {
  readonly path: readonly string[];
  readonly summary: string;
  readonly spec: CommandSpec;
}

/** Loads every command below an entry, in the order of the table. */
export async function loadAll(
  parent: Entry,
  path: readonly string[] = [],
): Promise<readonly LoadedCommand[]> {
  const loaded: LoadedCommand[] = [];
  for (const [name, entry] of Object.entries(commandsBelow(parent))) {
    const inner = [...path, name];
    if (!isGroup(entry)) {
      const { spec } = (await entry.load()).default;
      loaded.push({ path: inner, summary: entry.summary, spec });
    }
    loaded.push(...(await loadAll(entry, inner)));
  }
  return loaded;
}

/** Groups and commands, each with all flags that it takes. */
export function describeTree(
  root: Group,
  loaded: readonly LoadedCommand[],
): readonly CommandDescription[] {
  const described: CommandDescription[] = [];
  const visit = (path: readonly string[], entry: Entry) => {
    const key = path.join(" ");
    const spec = loaded.find((one) => one.path.join(" ") === key)?.spec;
    const children = Object.entries(commandsBelow(entry));
    described.push({
      path,
      summary: entry.summary,
      flags: [...flagsOf(spec?.args ?? {}), ...flagsOf(globalArgs)],
      subcommands: children.map(([name, child]) => ({ name, summary: child.summary })),
    });
    for (const [name, child] of children) visit([...path, name], child);
  };
  visit([], root);
  return described;
}

function flagsOf(args: Arguments): readonly FlagDescription[] {
  const flags: FlagDescription[] = [];
  for (const [name, argument] of Object.entries(args)) {
    if (argument.type !== "positional") flags.push(flagOf(name, argument));
  }
  return flags;
}

function flagOf(name: string, flag: Flag): FlagDescription {
  return {
    names: spellingsOf(name, flag),
    description: flag.description,
    takesValue: flag.type !== "boolean",
    values: flag.type === "enum" ? flag.options : [],
    takesFile: flag.type === "string" && (flag.valueHint === "FILE" || flag.valueHint === "DIR"),
  };
}
