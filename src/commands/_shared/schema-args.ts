/**
 * Flags made from the schema of a request: one per member, in kebab case, with the description of the schema. An option
 * that is added to `api/schemas.ts` is a flag of the command line without a further line of code.
 */
import { Duration, Time } from "../../api/schemas.ts";
import { formatDuration } from "../../base/time.ts";
import type { Flag } from "./args.ts";
import {
  BadValue,
  type Reader,
  readCounts,
  readDuration,
  readInteger,
  readJson,
  readNumber,
  readPairs,
  readText,
  readTime,
} from "./readers.ts";
import {
  choicesOf,
  isRaw,
  problemOf,
  propertiesOf,
  type Schema,
  withoutNull,
  wordsOf,
} from "./schema-check.ts";

export interface SchemaFlagOptions {
  /** Members that the command fills in another way. */
  readonly omit?: readonly string[];
  /** Further names, by member. */
  readonly alias?: Readonly<Record<string, readonly string[]>>;
  /** Members for which an empty text means something. */
  readonly mayBeEmpty?: readonly string[];
  /** How times are read; by default only as RFC 3339. */
  readonly readTime?: Reader<string>;
}

function flagName(member: string): string {
  return member.replaceAll("_", "-");
}

export function schemaFlags(
  schema: Schema,
  options: SchemaFlagOptions = {},
): Readonly<Record<string, Flag>> {
  const flags: Record<string, Flag> = {};
  for (const [member, inner] of Object.entries(propertiesOf(schema))) {
    if (options.omit?.includes(member)) continue;
    const alias = options.alias?.[member];
    const flag = flagOf(inner, member, options);
    flags[flagName(member)] = alias === undefined ? flag : { ...flag, alias };
  }
  return flags;
}

/** The members of a request that the flags of `schemaFlags` gave; absent ones are left out. */
export function schemaValues(
  schema: Schema,
  values: Readonly<Record<string, unknown>>,
): Record<string, unknown> {
  const body: Record<string, unknown> = {};
  for (const [member, inner] of Object.entries(propertiesOf(schema))) {
    const value = values[flagName(member)];
    if (value === undefined || (Array.isArray(value) && value.length === 0)) continue;
    // Pairs are put together from entries, since a tag may be called `__proto__`.
    body[member] =
      Array.isArray(value) && !isList(withoutNull(inner))
        ? Object.fromEntries(value.flatMap((pairs: object) => Object.entries(pairs)))
        : value;
  }
  return body;
}

function isList(schema: Schema): boolean {
  return schema["type"] === "array";
}

function flagOf(outer: Schema, member: string, options: SchemaFlagOptions): Flag {
  const schema = withoutNull(outer);
  const description = descriptionOf(outer, schema, member);
  const words = wordsOf(schema);
  if (words !== undefined) return { type: "enum", options: words, description };
  if (schema["type"] === "boolean") return { type: "boolean", description };
  if (isList(schema)) return listFlag(schema, member, description);
  // What has members of its own is written as JSON; the server checks it.
  if (schema["properties"] !== undefined) {
    return { type: "string", valueHint: "JSON", description, read: readJson };
  }
  if (schema["type"] === "object") {
    const isCounted = hasWholeNumbers(schema);
    return {
      type: "string",
      valueHint: isCounted ? "NAME=N" : "NAME=VALUE",
      description,
      repeatable: true,
      read: isCounted ? readCounts : readPairs,
    };
  }
  const { read, valueHint } = scalarOf(schema, options);
  return {
    type: "string",
    valueHint,
    description,
    ...(options.mayBeEmpty?.includes(member) === true ? { mayBeEmpty: true } : {}),
    read: (text) => {
      const value = read(text);
      const problem = problemOf(schema, value, "the value");
      if (problem !== undefined) throw new BadValue(problem);
      return value;
    },
  };
}

/** Are the values of the object whole numbers? */
function hasWholeNumbers(schema: Schema): boolean {
  const patterns = Object.values((schema["patternProperties"] ?? {}) as Record<string, Schema>);
  return patterns.length > 0 && patterns.every((inner) => inner["type"] === "integer");
}

function listFlag(schema: Schema, member: string, description: string): Flag {
  const words = wordsOf((schema["items"] ?? {}) as Schema);
  if (words !== undefined) return { type: "enum", options: words, description, repeatable: true };
  return {
    type: "string",
    valueHint: flagName(member).toUpperCase(),
    description,
    repeatable: true,
  };
}

/** How the text of a flag with one value is read. */
function scalarOf(
  schema: Schema,
  options: SchemaFlagOptions,
): { read: Reader<unknown>; valueHint: string } {
  if (schema === Duration) {
    return { read: (text) => formatDuration(readDuration(text)), valueHint: "DURATION" };
  }
  if (schema === Time) return { read: options.readTime ?? readTime, valueHint: "TIME" };
  if (isRaw(schema)) return { read: readJson, valueHint: "JSON" };
  if (schema["type"] === "integer") return { read: readInteger, valueHint: "N" };
  if (schema["type"] === "number") return { read: readNumber, valueHint: "NUMBER" };
  // A union with a text alternative is written as text; the alternatives are checked afterwards.
  const types = [schema, ...choicesOf(schema)].map((choice) => choice["type"]);
  return types.includes("string")
    ? { read: readText, valueHint: "TEXT" }
    : { read: readNumber, valueHint: "NUMBER" };
}

/** The member's own description, else that of its type, unless the type is one of many members. */
function descriptionOf(outer: Schema, schema: Schema, member: string): string {
  const items = schema["items"] as Schema | undefined;
  const ofType = schema === Duration || schema === Time ? undefined : schema["description"];
  const found = outer["description"] ?? ofType ?? items?.["description"];
  const words = member.replaceAll("_", " ");
  return typeof found === "string" ? found : `${words.charAt(0).toUpperCase()}${words.slice(1)}.`;
}
