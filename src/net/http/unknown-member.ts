/**
 * Members that a call does not know. To ignore one would be to promise what it asks for, so they are refused, with the name
 * that was meant; where clients of 0.3 send some, the table of operations says so.
 */
import type { TSchema } from "@sinclair/typebox";
import { CorvoError } from "../../base/errors.ts";
import { RawJson } from "../../base/json.ts";
import { nearest } from "../../base/suggest.ts";
import { findProblem, isRecord, memberPath } from "./check.ts";

/** More names than this are no help. */
const listedMax = 12;

/** Continues a sentence that begins with the name. */
export function unknownName(name: string, known: readonly string[]): string {
  const near = nearest(name, known);
  if (near !== undefined) return `is not known here; did you mean ${near}?`;
  const all = known.length === 0 ? "there are none" : `there are ${known.join(", ")}`;
  return known.length > listedMax ? "is not known here" : `is not known here; ${all}`;
}

/** The first member anywhere in a value that its schema does not have. */
export function unknownMember(schema: TSchema, value: unknown): CorvoError | undefined {
  const found = findUnknown(schema, value, "");
  if (found === undefined) return undefined;
  const { path, name, known } = found;
  return new CorvoError("VALIDATION_ERROR", `${path} ${unknownName(name, known)}`, {
    details: { path },
  });
}

interface Unknown {
  readonly path: string;
  readonly name: string;
  readonly known: readonly string[];
}

/** Of a value that the schema allows. */
function findUnknown(schema: TSchema, value: unknown, path: string): Unknown | undefined {
  if (Array.isArray(value)) {
    const items = shapeOf(schema, value, path)["items"] as TSchema | undefined;
    if (items === undefined) return undefined;
    for (let index = 0; index < value.length; index++) {
      const found = findUnknown(items, value[index], `${path}[${index}]`);
      if (found !== undefined) return found;
    }
    return undefined;
  }
  if (!isRecord(value) || value instanceof RawJson) return undefined;
  const shape = shapeOf(schema, value, path);
  const each = Object.values((shape["patternProperties"] ?? {}) as Record<string, TSchema>)[0];
  const properties = shape["properties"] as Record<string, TSchema> | undefined;
  if (each === undefined && properties === undefined) return undefined;
  for (const [name, member] of Object.entries(value)) {
    const at = memberPath(path, name);
    const inner = each ?? (Object.hasOwn(properties ?? {}, name) ? properties?.[name] : undefined);
    if (inner === undefined) return { path: at, name, known: Object.keys(properties ?? {}) };
    const found = findUnknown(inner, member, at);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** The variant of a union that the value is. */
function shapeOf(schema: TSchema, value: unknown, path: string): TSchema {
  const variants = schema["anyOf"] as TSchema[] | undefined;
  const fitting = variants?.find((variant) => findProblem(variant, value, path) === undefined);
  return fitting === undefined ? schema : shapeOf(fitting, value, path);
}
