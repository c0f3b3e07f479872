/**
 * Checks a value against a schema of the table and says in one sentence what is wrong with it.
 *
 * The compiled check answers yes or no, fast. Only after a no, `findProblem` walks schema and value together and
 * words the first problem: its path, what was expected, and the value seen, shortened. Both know the same schemas; a
 * property test holds them to the same verdict.
 */
import type { TSchema } from "@sinclair/typebox";
import { type TypeCheck, TypeCompiler } from "@sinclair/typebox/compiler";
import { CorvoError, type ErrorCode } from "../../base/errors.ts";

interface Problem {
  readonly code: ErrorCode;
  readonly path: string;
  /** Continues a sentence that begins with the path. */
  readonly text: string;
}

export type Check = (value: unknown) => CorvoError | undefined;

/** A check of one schema. `root` names the checked thing in messages about the whole of it. Compiles at first use. */
export function createCheck(schema: TSchema, root: string): Check {
  let compiled: TypeCheck<TSchema> | undefined;
  return (value) => {
    compiled ??= TypeCompiler.Compile(schema);
    if (compiled.Check(value)) return undefined;
    const problem = findProblem(schema, value, "") ?? {
      code: "VALIDATION_ERROR",
      path: "",
      text: "does not have the form that /openapi.json describes",
    };
    const where = problem.path === "" ? root : problem.path;
    return new CorvoError(problem.code, `${where}: ${problem.text}`, {
      details: { path: problem.path },
    });
  };
}

/** The first thing about `value` that breaks the schema, or undefined when nothing does. */
export function findProblem(schema: TSchema, value: unknown, path: string): Problem | undefined {
  if (schema["anyOf"] !== undefined) return unionProblem(schema, value, path);
  if (schema["const"] !== undefined) {
    return value === schema["const"] ? undefined : unexpected(schema, value, path);
  }
  switch (schema["type"]) {
    case "object":
      return isRecord(value) ? objectProblem(schema, value, path) : unexpected(schema, value, path);
    case "array":
      return Array.isArray(value)
        ? arrayProblem(schema, value, path)
        : unexpected(schema, value, path);
    case "string":
      return typeof value === "string"
        ? stringProblem(schema, value, path)
        : unexpected(schema, value, path);
    case "integer":
    case "number":
      return numberProblem(schema, value, path);
    case "boolean":
      return typeof value === "boolean" ? undefined : unexpected(schema, value, path);
    case "null":
      return value === null ? undefined : unexpected(schema, value, path);
    default:
      return undefined;
  }
}

/** A union is explained by its variant of the value's own kind, where there is just one; else by all it allows. */
function unionProblem(schema: TSchema, value: unknown, path: string): Problem | undefined {
  const variants = schema["anyOf"] as TSchema[];
  const problems: Problem[] = [];
  let sameKind: Problem | undefined;
  for (const variant of variants) {
    const problem = findProblem(variant, value, path);
    if (problem === undefined) return undefined;
    if (variant["type"] !== "null") problems.push(problem);
    if (variant["const"] === undefined && kindOf(value) === variant["type"]) sameKind = problem;
  }
  if (sameKind !== undefined) return sameKind;
  if (problems.length === 1) return problems[0];
  return unexpected(schema, value, path);
}

function objectProblem(
  schema: TSchema,
  value: Readonly<Record<string, unknown>>,
  path: string,
): Problem | undefined {
  if (schema["patternProperties"] !== undefined) return mapProblem(schema, value, path);
  const properties = schema["properties"] as Record<string, TSchema>;
  for (const name of (schema["required"] ?? []) as string[]) {
    if (!Object.hasOwn(value, name)) {
      return invalid(memberPath(path, name), "is required and was not sent");
    }
  }
  for (const [name, inner] of Object.entries(properties)) {
    if (!Object.hasOwn(value, name)) continue;
    const problem = findProblem(inner, value[name], memberPath(path, name));
    if (problem !== undefined) return problem;
  }
  return undefined;
}

function mapProblem(
  schema: TSchema,
  value: Readonly<Record<string, unknown>>,
  path: string,
): Problem | undefined {
  const names = Object.keys(value);
  const countMax = schema["maxProperties"] as number | undefined;
  if (countMax !== undefined && names.length > countMax) {
    return overLimit(path, `at most ${countMax} members (maxProperties)`, names.length);
  }
  const [pattern, inner] =
    Object.entries(schema["patternProperties"] as Record<string, TSchema>)[0] ?? [];
  if (pattern === undefined || inner === undefined) return undefined;
  const expression = new RegExp(pattern);
  for (const name of names) {
    if (!expression.test(name)) {
      const lengthMax = /\{0,(\d+)\}\$$/.exec(pattern)?.[1];
      const allowed = lengthMax === undefined ? pattern : `at most ${lengthMax} characters`;
      return invalid(path, `expected names of ${allowed}, got ${seen(name)}`);
    }
    const problem = findProblem(inner, value[name], memberPath(path, name));
    if (problem !== undefined) return problem;
  }
  return undefined;
}

function arrayProblem(
  schema: TSchema,
  value: readonly unknown[],
  path: string,
): Problem | undefined {
  const countMin = schema["minItems"] as number | undefined;
  const countMax = schema["maxItems"] as number | undefined;
  if (countMax !== undefined && value.length > countMax) {
    return overLimit(path, `at most ${countMax} items (maxItems)`, value.length);
  }
  if (countMin !== undefined && value.length < countMin) {
    return invalid(
      path,
      `expected at least ${countMin} item${countMin === 1 ? "" : "s"}, got ${value.length}`,
    );
  }
  for (let index = 0; index < value.length; index++) {
    const problem = findProblem(schema["items"] as TSchema, value[index], `${path}[${index}]`);
    if (problem !== undefined) return problem;
  }
  return undefined;
}

function stringProblem(schema: TSchema, value: string, path: string): Problem | undefined {
  const lengthMin = schema["minLength"] as number | undefined;
  const lengthMax = schema["maxLength"] as number | undefined;
  const pattern = schema["pattern"] as string | undefined;
  const tooShort = lengthMin !== undefined && value.length < lengthMin;
  const tooLong = lengthMax !== undefined && value.length > lengthMax;
  const mismatch = pattern !== undefined && !new RegExp(pattern).test(value);
  return tooShort || tooLong || mismatch ? unexpected(schema, value, path) : undefined;
}

function numberProblem(schema: TSchema, value: unknown, path: string): Problem | undefined {
  if (typeof value !== "number" || !Number.isFinite(value)) return unexpected(schema, value, path);
  if (schema["type"] === "integer" && !Number.isInteger(value)) {
    return unexpected(schema, value, path);
  }
  const minimum = schema["minimum"] as number | undefined;
  const maximum = schema["maximum"] as number | undefined;
  const outside =
    (minimum !== undefined && value < minimum) || (maximum !== undefined && value > maximum);
  return outside ? unexpected(schema, value, path) : undefined;
}

function unexpected(schema: TSchema, value: unknown, path: string): Problem {
  return invalid(path, `expected ${describe(schema)}, got ${seen(value)}`);
}

function invalid(path: string, text: string): Problem {
  return { code: "VALIDATION_ERROR", path, text };
}

function overLimit(path: string, allowed: string, count: number): Problem {
  return { code: "LIMIT_EXCEEDED", path, text: `${allowed} in one call, got ${count}` };
}

/** What a schema allows, in words. */
function describe(schema: TSchema): string {
  if (schema["anyOf"] !== undefined) {
    const variants = (schema["anyOf"] as TSchema[]).filter((variant) => variant["type"] !== "null");
    return variants.map(describe).join(" or ");
  }
  if (schema["const"] !== undefined) return JSON.stringify(schema["const"]);
  const minimum = (schema["minimum"] ?? schema["minLength"]) as number | undefined;
  const maximum = (schema["maximum"] ?? schema["maxLength"]) as number | undefined;
  const unit = schema["type"] === "string" ? " characters" : "";
  const range =
    minimum !== undefined && maximum !== undefined
      ? ` of ${minimum} to ${maximum}${unit}`
      : maximum !== undefined
        ? ` of at most ${maximum}${unit}`
        : minimum !== undefined
          ? ` of at least ${minimum}${unit}`
          : "";
  const pattern = schema["pattern"] === undefined ? "" : ` matching ${String(schema["pattern"])}`;
  const article = /^[aeio]/.test(String(schema["type"])) ? "an" : "a";
  return `${article} ${String(schema["type"])}${range}${pattern}`;
}

/** The value, short enough for a message. Objects and arrays are only counted: they may be large or private. */
export function seen(value: unknown): string {
  if (typeof value === "string") {
    const short = value.length <= 48 ? value : `${value.slice(0, 48)}…`;
    const text = JSON.stringify(short.toWellFormed());
    return value.length <= 48 ? text : `${text} (${value.length} characters)`;
  }
  if (Array.isArray(value)) return `an array of ${value.length}`;
  return value !== null && typeof value === "object" ? "an object" : String(value);
}

function kindOf(value: unknown): string {
  if (Number.isInteger(value)) return "integer";
  return Array.isArray(value) ? "array" : typeof value;
}

export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** `jobs[3].queue`, `tags["a b"]`; a long name is cut, since it comes from the caller. */
export function memberPath(path: string, name: string): string {
  if (/^[A-Za-z_][A-Za-z0-9_]{0,63}$/.test(name)) return path === "" ? name : `${path}.${name}`;
  return `${path}[${JSON.stringify(name.slice(0, 48).toWellFormed())}]`;
}
