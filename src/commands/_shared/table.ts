/**
 * The tree of commands, and how a line finds its place in it. Loading a command is left to the caller: a line that is
 * wrong, or asks for the help of a group, loads none.
 */

import { nearest } from "../../base/suggest.ts";
import { type Arguments, flagIndex, isFlagToken } from "./args.ts";
import type { Command, Example } from "./command.ts";
import { UsageError } from "./exit.ts";

export interface Leaf {
  readonly summary: string;
  load(): Promise<{ readonly default: Command }>;
  /** Commands whose name follows right after this one's, which is a command all the same: `server` and `server drain`. */
  readonly below?: Readonly<Record<string, Leaf>>;
}

export interface Group {
  readonly summary: string;
  readonly examples?: readonly Example[];
  readonly commands: Readonly<Record<string, Leaf | Group>>;
}

export type Entry = Leaf | Group;

/** Another name for a command, not shown in help: its path, and flags that it stands for. */
export type Aliases = Readonly<Record<string, readonly string[]>>;

export interface Located {
  readonly path: readonly string[];
  readonly entry: Entry;
  /** The line without the words of the path. */
  readonly rest: readonly string[];
}

export function isGroup(entry: Entry): entry is Group {
  return "commands" in entry;
}

/** The command that the line names. Global flags may stand before and between its words. */
export function locate(
  argv: readonly string[],
  root: Group,
  aliases: Aliases,
  globals: Arguments,
): Located {
  const flags = flagIndex(globals);
  const rest: string[] = [];
  const path: string[] = [];
  let entry: Entry = root;
  let at = 0;
  for (; at < argv.length && isGroup(entry); at++) {
    const token = argv[at] ?? "";
    if (token === "--") break;
    if (isFlagToken(token)) {
      rest.push(token);
      const takesValue = flags.get(token)?.flag.type === "string";
      if (takesValue && at + 1 < argv.length) rest.push(argv[++at] ?? "");
      continue;
    }
    if (token === "help") {
      // `corvo help jobs list` is another way to say `corvo jobs list --help`.
      rest.push("--help");
      continue;
    }
    const alias = path.length === 0 ? own(aliases, token) : undefined;
    if (alias !== undefined && own(entry.commands, token) === undefined) {
      const target = locate(alias, root, {}, globals);
      path.push(...target.path);
      rest.push(...target.rest);
      entry = target.entry;
      continue;
    }
    const next: Entry | undefined = own(entry.commands, token);
    if (next === undefined) throw unknownCommand(token, path, entry, root);
    path.push(token);
    entry = next;
  }
  // Only the very next word: behind a flag it may be that flag's value.
  const inner = isGroup(entry) ? undefined : own(entry.below ?? {}, argv[at] ?? "");
  if (inner !== undefined) {
    path.push(argv[at++] ?? "");
    entry = inner;
  }
  return { path, entry, rest: [...rest, ...argv.slice(at)] };
}

/** The commands that stand below an entry, by name. */
export function commandsBelow(entry: Entry): Readonly<Record<string, Entry>> {
  return isGroup(entry) ? entry.commands : (entry.below ?? {});
}

function own<T>(record: Readonly<Record<string, T>>, key: string): T | undefined {
  return Object.hasOwn(record, key) ? record[key] : undefined;
}

function unknownCommand(
  typed: string,
  path: readonly string[],
  group: Group,
  root: Group,
): UsageError {
  const line = (words: readonly string[]) => ["corvo", ...words].join(" ");
  const help = `\`${line([...path, "--help"])}\` lists the commands.`;
  const near = nearest(typed, Object.keys(group.commands));
  const elsewhere = Object.entries(root.commands)
    .filter(([, entry]) => isGroup(entry) && Object.hasOwn(entry.commands, typed))
    .map(([name]) => `\`${line([name, typed])}\``);
  // A name that is right in another place says more than one that is nearly right in this.
  const guesses =
    near === undefined || elsewhere.length > 0 ? elsewhere : [`\`${line([...path, near])}\``];
  return new UsageError(
    `unknown command ${JSON.stringify(line([...path, typed]))}`,
    guesses.length === 0 ? help : `Did you mean ${guesses.join(" or ")}? ${help}`,
  );
}
