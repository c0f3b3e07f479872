/**
 * Checks a value against the parts of JSON Schema that the operations table uses, with messages for the person who typed
 * the value. The server decides in the end; this only spares the way there and names the line of a file.
 */
import { Duration, Time } from "../../api/schemas.ts";
import { RawJson } from "../../base/json.ts";
import { nearest } from "../../base/suggest.ts";
import { parseDuration, parseTime } from "../../base/time.ts";

export type Schema = Readonly<Record<string, unknown>>;

/** The schema without the `null` that may stand for an absent member. */
export function withoutNull(schema: Schema): Schema {
  const choices = choicesOf(schema).filter((choice) => choice["type"] !== "null");
  const only = choices[0];
  return choices.length === 1 && only !== undefined ? only : schema;
}

export function choicesOf(schema: Schema): readonly Schema[] {
  const choices = schema["anyOf"];
  return Array.isArray(choices) ? (choices as Schema[]) : [];
}

export function propertiesOf(schema: Schema): Readonly<Record<string, Schema>> {
  return (schema["properties"] ?? {}) as Record<string, Schema>;
}

/** The words of a union of literals; undefined when the schema is none. */
export function wordsOf(schema: Schema): readonly string[] | undefined {
  const words = choicesOf(schema).map((choice) => choice["const"]);
  return words.length > 0 && words.every((word) => typeof word === "string") ? words : undefined;
}

export function isRaw(schema: Schema): boolean {
  return schema["x-json-text"] === true;
}

/** What is wrong with the value, as a sentence that names the member; undefined when nothing is. */
export function problemOf(schema: Schema, value: unknown, name: string): string | undefined {
  if (isRaw(schema)) return value instanceof RawJson ? undefined : `${name} is not JSON`;
  const choices = choicesOf(schema);
  if (choices.length > 0) return choiceProblem(schema, choices, value, name);
  if ("const" in schema) {
    return value === schema["const"] ? undefined : `${name} is ${show(value)}`;
  }
  switch (schema["type"]) {
    case "string":
      return typeof value === "string"
        ? textProblem(schema, value, name)
        : wrong(name, value, "a text");
    case "integer":
      return Number.isSafeInteger(value)
        ? rangeProblem(schema, Number(value), name)
        : wrong(name, value, "a whole number");
    case "number":
      return typeof value === "number"
        ? rangeProblem(schema, value, name)
        : wrong(name, value, "a number");
    case "boolean":
      return typeof value === "boolean" ? undefined : wrong(name, value, "true or false");
    case "null":
      return value === null ? undefined : wrong(name, value, "null");
    case "array":
      return arrayProblem(schema, value, name);
    case "object":
      return objectProblem(schema, value, name);
    default:
      return undefined;
  }
}

function choiceProblem(
  schema: Schema,
  choices: readonly Schema[],
  value: unknown,
  name: string,
): string | undefined {
  const problems = choices.map((choice) => problemOf(choice, value, name));
  if (problems.includes(undefined)) return undefined;
  const real = choices.filter((choice) => choice["type"] !== "null");
  const only = real[0];
  if (real.length === 1 && only !== undefined) return problemOf(only, value, name);
  const words = wordsOf(schema);
  if (words !== undefined)
    return `${name} is ${show(value)}, which is not one of ${words.join(", ")}`;
  const description = schema["description"];
  return `${name} is ${show(value)}${typeof description === "string" ? `; it must be ${description}` : ""}`;
}

function textProblem(schema: Schema, value: string, name: string): string | undefined {
  const { minLength, maxLength, pattern } = schema;
  if (typeof minLength === "number" && value.length < minLength) {
    if (value === "") return `${name} is empty`;
    return `${name} has ${value.length} characters; at least ${minLength} are needed`;
  }
  if (typeof maxLength === "number" && value.length > maxLength) {
    return `${name} has ${value.length} characters; at most ${maxLength} are allowed`;
  }
  if (schema === Duration && parseDuration(value) === undefined) {
    return `${name} is ${show(value)}, not a duration such as 90s or 1h30m`;
  }
  if (schema === Time && parseTime(value) === undefined) {
    return `${name} is ${show(value)}, not a time such as 2026-11-21T08:00:00Z`;
  }
  if (typeof pattern === "string" && !new RegExp(pattern, "u").test(value)) {
    return `${name} is ${show(value)}, which has characters that are not allowed there`;
  }
  return undefined;
}

function rangeProblem(schema: Schema, value: number, name: string): string | undefined {
  const { minimum, maximum } = schema;
  if (typeof minimum === "number" && value < minimum)
    return `${name} is ${value}, less than ${minimum}`;
  if (typeof maximum === "number" && value > maximum)
    return `${name} is ${value}, more than ${maximum}`;
  return undefined;
}

function arrayProblem(schema: Schema, value: unknown, name: string): string | undefined {
  if (!Array.isArray(value)) return wrong(name, value, "a list");
  const { maxItems, items } = schema;
  if (typeof maxItems === "number" && value.length > maxItems) {
    return `${name} has ${value.length} entries; at most ${maxItems} are allowed`;
  }
  for (const [index, item] of value.entries()) {
    const problem = problemOf((items ?? {}) as Schema, item, `${name}[${index}]`);
    if (problem !== undefined) return problem;
  }
  return undefined;
}

function objectProblem(schema: Schema, value: unknown, name: string): string | undefined {
  if (
    typeof value !== "object" ||
    value === null ||
    Array.isArray(value) ||
    value instanceof RawJson
  ) {
    return wrong(name, value, "an object");
  }
  const members = Object.values((schema["patternProperties"] ?? {}) as Record<string, Schema>)[0];
  const properties = propertiesOf(schema);
  const prefix = name === "" ? "" : `${name}.`;
  for (const [key, member] of Object.entries(value)) {
    const inner = members ?? (Object.hasOwn(properties, key) ? properties[key] : undefined);
    if (inner === undefined) return unknownMember(prefix + key, key, Object.keys(properties));
    const problem = problemOf(inner, member, prefix + key);
    if (problem !== undefined) return problem;
  }
  for (const key of (schema["required"] ?? []) as string[]) {
    if (!Object.hasOwn(value, key)) return `${prefix + key} is missing`;
  }
  return undefined;
}

function unknownMember(label: string, key: string, known: readonly string[]): string {
  const near = nearest(key, known);
  return `${label} is not a known field${near === undefined ? "" : `; did you mean ${near}?`}`;
}

function wrong(name: string, value: unknown, wanted: string): string {
  return `${name === "" ? "the value" : name} is ${show(value)}, not ${wanted}`;
}

function show(value: unknown): string {
  const text = value instanceof RawJson ? value.text : (JSON.stringify(value) ?? String(value));
  return text.length > 60 ? `${text.slice(0, 60)}…` : text;
}
