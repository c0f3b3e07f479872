/**
 * Shapes: what a value must be at run time to be what its type says. A shape is tied to its type both ways, so a table of
 * members that lacks one, has one too many, or checks one for another type does not compile.
 *
 * A shape accepts only what JSON gives back as it was: no undefined, NaN or -0, no number beyond 2^53, no class instance, no
 * half of a surrogate pair. Accepting costs one pass and no allocation.
 */

export interface Problem {
  /** Where in the value; empty for the whole of it. */
  readonly path: string;
  readonly value: unknown;
  /** What is expected there, for a sentence that begins with "expected". */
  readonly wanted: string;
}

declare const shaped: unique symbol;

/** What is wrong with a value; undefined when nothing is. */
export interface Shape<T> {
  (value: unknown): Problem | undefined;
  readonly [shaped]?: (value: T) => T;
}

/** Of a member that may be absent. */
interface Optional<T> {
  readonly optional: Shape<T>;
}

type Given<T> = Exclude<T, undefined>;

/** A shape for each member, wrapped by `optional` where the type lets it be absent. */
export type Rows<T> = {
  readonly [Key in keyof Required<T>]: Record<never, never> extends Pick<T, Key>
    ? Optional<Given<T[Key]>>
    : Shape<T[Key]>;
};

export function optional<T>(shape: Shape<T>): Optional<T> {
  return { optional: shape };
}

/** A member that has no place here. */
export function absent<T>(why: string): Optional<T> {
  return { optional: (value) => ({ path: "", value, wanted: `nothing: ${why}` }) };
}

export function integer(min: number, max: number): Shape<number> {
  return (value) =>
    typeof value === "number" &&
    Number.isSafeInteger(value) &&
    value >= min &&
    value <= max &&
    !Object.is(value, -0)
      ? undefined
      : { path: "", value, wanted: `a whole number from ${min} to ${max}` };
}

/** 0 to 1, whole or not. */
export const share: Shape<number> = (value) =>
  typeof value === "number" && value >= 0 && value <= 1 && !Object.is(value, -0)
    ? undefined
    : { path: "", value, wanted: "a number from 0 to 1" };

export const flag: Shape<boolean> = (value) =>
  typeof value === "boolean" ? undefined : { path: "", value, wanted: "true or false" };

export function text(min: number, max: number): Shape<string> {
  return (value) =>
    typeof value === "string" && value.length >= min && value.length <= max && value.isWellFormed()
      ? undefined
      : { path: "", value, wanted: `text of ${min} to ${max} characters` };
}

/** One of a set of words, or of one value; the table has each of them. */
export function word<T extends string>(words: Readonly<Record<T, true>>): Shape<T> {
  const known = new Set(Object.keys(words));
  const wanted = [...known].map((one) => `"${one}"`).join(", ");
  return (value) =>
    typeof value === "string" && known.has(value) ? undefined : { path: "", value, wanted };
}

export const yes: Shape<true> = (value) =>
  value === true ? undefined : { path: "", value, wanted: "true" };

export function list<T>(item: Shape<T>, min: number, max: number): Shape<readonly T[]> {
  return (value) => {
    if (!Array.isArray(value) || value.length < min || value.length > max) {
      return { path: "", value, wanted: `a list of ${min} to ${max}` };
    }
    for (let i = 0; i < value.length; i++) {
      const problem = item(value[i]);
      if (problem !== undefined) return within(`[${i}]`, problem);
    }
    return undefined;
  };
}

export function pair<A, B>(first: Shape<A>, second: Shape<B>): Shape<readonly [A, B]> {
  return (value) => {
    if (!Array.isArray(value) || value.length !== 2) return { path: "", value, wanted: "a pair" };
    for (const [i, shape] of [first, second].entries()) {
      const problem = shape(value[i]);
      if (problem !== undefined) return within(`[${i}]`, problem);
    }
    return undefined;
  };
}

/** An object of any names. */
export function map<T>(
  name: Shape<string>,
  item: Shape<T>,
  max: number,
): Shape<Readonly<Record<string, T>>> {
  return (value) => {
    if (!isPlain(value)) return { path: "", value, wanted: "an object" };
    const entries = Object.entries(value);
    if (entries.length > max) return { path: "", value, wanted: `at most ${max} members` };
    for (const [key, member] of entries) {
      const problem = name(key) ?? item(member);
      if (problem !== undefined) return within(`[${JSON.stringify(key.slice(0, 40))}]`, problem);
    }
    return undefined;
  };
}

export function members<T extends object>(rows: Rows<T>): Shape<T> {
  const table = tableOf(rows);
  return (value) => membersProblem(table, value);
}

/** Only these members of a table; the others may not be given. */
export function only<T extends object>(
  rows: Rows<T>,
  names: readonly (keyof T & string)[],
): Shape<T> {
  const chosen = Object.entries(rows).filter(([name]) =>
    (names as readonly string[]).includes(name),
  );
  const table = tableOf(Object.fromEntries(chosen));
  return (value) => membersProblem(table, value);
}

type Variants<T extends { readonly kind: string }> = {
  readonly [Kind in T["kind"]]: Rows<Omit<Extract<T, { readonly kind: Kind }>, "kind">>;
};

/** Objects whose member `kind` says which members they have besides. */
export function variants<T extends { readonly kind: string }>(kinds: Variants<T>): Shape<T> {
  const tables = new Map<unknown, Table>();
  for (const [kind, rows] of Object.entries<object>(kinds)) {
    // Which kind it is has been seen when a member is looked at.
    tables.set(kind, tableOf({ kind: known, ...rows }));
  }
  const wanted = `one of ${[...tables.keys()].join(", ")}`;
  return (value) => {
    if (!isPlain(value)) return { path: "", value, wanted: "an object" };
    const table = tables.get(value["kind"]);
    if (table === undefined) return { path: "kind", value: value["kind"], wanted };
    return membersProblem(table, value);
  };
}

const known: Shape<unknown> = () => undefined;

/** Text that is one of some words, or an object. */
export function either<A extends string, B extends object>(
  words: Shape<A>,
  object: Shape<B>,
): Shape<A | B> {
  return (value) => (typeof value === "string" ? words(value) : object(value));
}

/** A shape with a rule about the whole of the value: `rule` gives what is expected instead. */
export function checked<T>(shape: Shape<T>, rule: (value: T) => string | undefined): Shape<T> {
  return (value) => {
    const problem = shape(value);
    if (problem !== undefined) return problem;
    const wanted = rule(value as T);
    return wanted === undefined ? undefined : { path: "", value, wanted };
  };
}

/** The value of a problem, short enough for a message. */
export function shown(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(value.slice(0, 80).toWellFormed());
  if (Array.isArray(value)) return `a list of ${value.length}`;
  if (Object.is(value, -0)) return "-0";
  if (typeof value !== "object" || value === null) return String(value);
  const made = Object.getPrototypeOf(value)?.constructor?.name;
  return made === undefined || made === "Object" ? "an object" : `an object of class ${made}`;
}

interface Row {
  readonly shape: Shape<unknown>;
  readonly isRequired: boolean;
}

interface Table {
  readonly rows: Map<string, Row>;
  required: number;
}

function tableOf(rows: object): Table {
  const table: Table = { rows: new Map(), required: 0 };
  for (const [name, row] of Object.entries<Shape<unknown> | Optional<unknown>>({ ...rows })) {
    const isRequired = typeof row === "function";
    if (isRequired) table.required++;
    table.rows.set(name, { shape: isRequired ? row : row.optional, isRequired });
  }
  return table;
}

function membersProblem(table: Table, value: unknown): Problem | undefined {
  if (!isPlain(value)) return { path: "", value, wanted: "an object" };
  let required = 0;
  for (const name in value) {
    const member = value[name];
    const row = table.rows.get(name);
    if (row === undefined) {
      return { path: memberPath(name), value: member, wanted: "no member of this name" };
    }
    const problem = row.shape(member);
    if (problem !== undefined) return within(memberPath(name), problem);
    if (row.isRequired) required++;
  }
  if (required === table.required) return undefined;
  const missing = [...table.rows].find(
    ([name, row]) => row.isRequired && !Object.hasOwn(value, name),
  );
  return { path: missing?.[0] ?? "", value: undefined, wanted: "a value" };
}

/** An object that JSON gives back: of no class. */
function isPlain(value: unknown): value is Readonly<Record<string, unknown>> {
  if (typeof value !== "object" || value === null) return false;
  const prototype = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

function memberPath(name: string): string {
  return /^[A-Za-z]\w{0,63}$/.test(name) ? name : `[${JSON.stringify(name.slice(0, 40))}]`;
}

function within(path: string, problem: Problem): Problem {
  const joint = problem.path === "" || problem.path.startsWith("[") ? "" : ".";
  return { ...problem, path: path + joint + problem.path };
}
