/**
 * The shape of a command's arguments, and the strict parser that reads them.
 *
 * An argument definition is a citty definition with three things that citty lacks: `read` gives the value a type,
 * `repeatable` keeps every value of a flag, `rest` takes all remaining positionals. Unknown flags are errors with the
 * nearest name; global flags are accepted anywhere on the line before `--`.
 */

import { nearest } from "../../base/suggest.ts";
import { UsageError } from "./exit.ts";
import { BadValue, type Reader } from "./readers.ts";

export interface Positional {
  readonly type: "positional";
  readonly description: string;
  /** Default true. */
  readonly required?: boolean;
  /** Takes all positionals that are left. */
  readonly rest?: true;
  /** How help calls it. Default: its name in capitals. */
  readonly label?: string;
  readonly read?: Reader<unknown>;
  /** An empty text is mostly a variable of a script that was never set, and then not what was meant. */
  readonly mayBeEmpty?: true;
}

interface BooleanFlag {
  readonly type: "boolean";
  readonly description: string;
  readonly alias?: readonly string[];
}

interface TextFlag {
  readonly type: "string";
  readonly description: string;
  readonly valueHint: string;
  readonly alias?: readonly string[];
  readonly read?: Reader<unknown>;
  readonly repeatable?: true;
  readonly default?: string;
  readonly mayBeEmpty?: true;
}

interface EnumFlag {
  readonly type: "enum";
  readonly description: string;
  readonly options: readonly string[];
  readonly alias?: readonly string[];
  /** Takes several values, by commas or by repeating the flag. */
  readonly repeatable?: true;
}

export type Flag = BooleanFlag | TextFlag | EnumFlag;
export type Argument = Positional | Flag;
export type Arguments = Readonly<Record<string, Argument>>;

type Single<A> = A extends { read: Reader<infer T> } ? T : string;

/** The value of one argument, from its definition. */
type ValueOf<A extends Argument> = A extends { type: "boolean" }
  ? boolean | undefined
  : A extends { type: "enum"; options: readonly (infer O)[] }
    ? A extends { repeatable: true }
      ? readonly O[]
      : O | undefined
    : A extends { repeatable: true } | { rest: true }
      ? readonly Single<A>[]
      : A extends { type: "positional"; required: false }
        ? Single<A> | undefined
        : A extends { type: "positional" } | { default: string }
          ? Single<A>
          : Single<A> | undefined;

export type ValuesOf<A extends Arguments> = { readonly [Name in keyof A]: ValueOf<A[Name]> };

export interface Parsed {
  readonly values: Readonly<Record<string, unknown>>;
  /** What follows `--`, for a command that takes another command there; undefined without a `--`. */
  readonly trailing: readonly string[] | undefined;
}

/** What a parser has to know of a command. */
export interface Grammar {
  readonly args: Arguments;
  /** Is what follows `--` a command of its own? Otherwise it is positionals that may begin with a dash. */
  readonly takesCommand: boolean;
  /** Said with a usage error: where to read how it is done. */
  readonly help: string;
}

/** All names that a flag answers to, with their dashes. */
export function spellingsOf(name: string, flag: Flag): readonly string[] {
  return [name, ...(flag.alias ?? [])].map((text) =>
    text.length === 1 ? `-${text}` : `--${text}`,
  );
}

interface Named {
  readonly name: string;
  readonly flag: Flag;
}

/** Flags by spelling. */
export function flagIndex(args: Arguments): Map<string, Named> {
  const index = new Map<string, Named>();
  for (const [name, argument] of Object.entries(args)) {
    if (argument.type === "positional") continue;
    for (const spelling of spellingsOf(name, argument)) {
      if (!index.has(spelling)) index.set(spelling, { name, flag: argument });
    }
  }
  return index;
}

export function labelOf(name: string, argument: Positional): string {
  return argument.label ?? name.toUpperCase();
}

/** Is this token a flag? `-` is standard input, and `-5` a number. */
export function isFlagToken(token: string): boolean {
  return token.length > 1 && token.startsWith("-") && !/^-\d/.test(token);
}

export function parseArguments(tokens: readonly string[], grammar: Grammar): Parsed {
  return new Parser(grammar).parse(tokens);
}

class Parser {
  readonly #args: Arguments;
  readonly #index: Map<string, Named>;
  readonly #takesCommand: boolean;
  readonly #help: string;
  readonly #texts = new Map<string, string[]>();
  readonly #booleans = new Map<string, boolean>();
  readonly #positionals: string[] = [];
  #trailing: string[] | undefined;

  constructor(grammar: Grammar) {
    this.#args = grammar.args;
    this.#index = flagIndex(grammar.args);
    this.#takesCommand = grammar.takesCommand;
    this.#help = grammar.help;
  }

  parse(tokens: readonly string[]): Parsed {
    for (let at = 0; at < tokens.length; at++) {
      const token = tokens[at] ?? "";
      if (token === "--") {
        if (this.#takesCommand) this.#trailing = tokens.slice(at + 1);
        else this.#positionals.push(...tokens.slice(at + 1));
        break;
      }
      if (!isFlagToken(token)) this.#positionals.push(token);
      else at += this.#flag(token, tokens[at + 1]);
    }
    return { values: this.#values(), trailing: this.#trailing };
  }

  /** Takes one flag; returns how many further tokens it used. */
  #flag(token: string, next: string | undefined): number {
    const equals = token.indexOf("=");
    const spelling = equals === -1 ? token : token.slice(0, equals);
    const inline = equals === -1 ? undefined : token.slice(equals + 1);
    const negated = spelling.startsWith("--no-")
      ? this.#index.get(`--${spelling.slice(5)}`)
      : undefined;
    const named = this.#index.get(spelling) ?? negated;
    if (named === undefined) throw this.#unknown(spelling);
    const positive = this.#index.has(spelling);
    if (named.flag.type === "boolean") {
      this.#booleans.set(named.name, positive === booleanOf(spelling, inline));
      return 0;
    }
    if (!positive) throw this.#unknown(spelling);
    const value = inline ?? next;
    if (value === undefined || (inline === undefined && next?.startsWith("--") === true)) {
      throw new UsageError(
        `${spelling} needs a value`,
        next === undefined ? this.#help : `If ${next} is the value, write ${spelling}=${next}.`,
      );
    }
    const texts = this.#texts.get(named.name) ?? [];
    if (texts.length > 0 && named.flag.repeatable !== true) {
      throw new UsageError(`${spelling} is given twice`, "Give it once.");
    }
    this.#texts.set(named.name, [...texts, value]);
    return inline === undefined ? 1 : 0;
  }

  #unknown(spelling: string): UsageError {
    const known = [...this.#index.keys()].filter((name) => name.startsWith("--"));
    const near = nearest(spelling, known);
    return new UsageError(
      `unknown flag ${spelling}`,
      near === undefined ? this.#help : `Did you mean ${near}? ${this.#help}`,
    );
  }

  #values(): Record<string, unknown> {
    const values: Record<string, unknown> = {};
    const waiting = [...this.#positionals];
    for (const [name, argument] of Object.entries(this.#args)) {
      if (argument.type === "positional") values[name] = this.#positional(name, argument, waiting);
      else if (argument.type === "boolean") values[name] = this.#booleans.get(name);
      else values[name] = this.#flagValue(name, argument);
    }
    const surplus = waiting[0];
    if (surplus !== undefined) {
      const quoted = JSON.stringify(surplus);
      throw new UsageError(
        `unexpected argument ${quoted}`,
        `Quote what belongs together. ${this.#help}`,
      );
    }
    return values;
  }

  #positional(name: string, argument: Positional, waiting: string[]): unknown {
    const label = labelOf(name, argument);
    const texts = waiting.splice(0, argument.rest === true ? waiting.length : 1);
    if (texts.length === 0 && argument.required !== false) {
      throw new UsageError(`${label} is missing`, this.#help);
    }
    const read = texts.map((text) => readWith(label, argument, text));
    return argument.rest === true ? read : read[0];
  }

  #flagValue(name: string, flag: TextFlag | EnumFlag): unknown {
    const spelling = `--${name}`;
    const texts = this.#texts.get(name) ?? [];
    if (flag.type === "enum") {
      const words = flag.repeatable === true ? texts.flatMap((text) => text.split(",")) : texts;
      const read = words.map((word) => readEnum(spelling, flag.options, word.trim()));
      return flag.repeatable === true ? read : read[0];
    }
    if (texts.length === 0 && flag.default !== undefined) texts.push(flag.default);
    const read = texts.map((text) => readWith(spelling, flag, text));
    return flag.repeatable === true ? read : read[0];
  }
}

function booleanOf(spelling: string, inline: string | undefined): boolean {
  if (inline === undefined || inline === "true") return true;
  if (inline === "false") return false;
  throw new UsageError(
    `${spelling} is a switch: ${JSON.stringify(inline)} is neither true nor false`,
  );
}

function readEnum(label: string, options: readonly string[], text: string): string {
  if (options.includes(text)) return text;
  const near = nearest(text, options);
  throw new UsageError(
    `${label}: ${JSON.stringify(text)} is not one of ${options.join(", ")}`,
    near === undefined ? undefined : `Did you mean ${near}?`,
  );
}

function readWith(label: string, argument: Positional | TextFlag, text: string): unknown {
  const { read, mayBeEmpty } = argument;
  if (text === "" && mayBeEmpty !== true) {
    throw new UsageError(`${label}: the value is empty`, "Leave it out, or say what is meant.");
  }
  if (read === undefined) return text;
  try {
    return read(text);
  } catch (error) {
    if (error instanceof BadValue) throw new UsageError(`${label}: ${error.message}`, error.hint);
    throw error;
  }
}
