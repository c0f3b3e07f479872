/**
 * What a condition on a member of a payload means.
 *
 * - The path names members of objects; a number also names an element of an array. What is not there is null.
 * - `=` and `!=` compare values of one type; values of two types differ. Objects and arrays equal nothing.
 * - The other comparisons hold between two numbers or two strings, and for nothing else. Strings go by code unit.
 * - `startsWith` holds for strings. `contains` holds for strings by substring and for arrays by an equal element.
 * - The length is that of a string in characters, of an array in elements, of an object in members; null has length 0,
 *   anything else has none.
 *
 * A payload that is no JSON satisfies no condition. Numbers beyond 2^53 are compared as JavaScript rounds them.
 */
import type { PayloadComparison, PayloadCondition } from "./query.ts";

export function satisfiesAll(json: string, conditions: readonly PayloadCondition[]): boolean {
  let payload: unknown;
  try {
    payload = JSON.parse(json);
  } catch {
    return false;
  }
  return conditions.every((condition) => satisfies(payload, condition));
}

function satisfies(payload: unknown, condition: PayloadCondition): boolean {
  const found = valueAt(payload, condition.path);
  const value = condition.of === "length" ? lengthOf(found) : found;
  if (value === undefined) return false;
  const { operator, value: wanted } = condition;
  switch (operator) {
    case "startsWith":
      return typeof value === "string" && typeof wanted === "string" && value.startsWith(wanted);
    case "contains":
      if (Array.isArray(value)) return value.includes(wanted);
      return typeof value === "string" && typeof wanted === "string" && value.includes(wanted);
    default:
      return compares(value, operator, wanted);
  }
}

function compares(
  value: unknown,
  operator: PayloadComparison,
  wanted: PayloadCondition["value"],
): boolean {
  if (operator === "=") return value === wanted;
  if (operator === "!=") return value !== wanted;
  const areOrdered =
    (typeof value === "number" && typeof wanted === "number") ||
    (typeof value === "string" && typeof wanted === "string");
  if (!areOrdered) return false;
  const one = value as number;
  const other = wanted as number;
  switch (operator) {
    case "<":
      return one < other;
    case "<=":
      return one <= other;
    case ">":
      return one > other;
    default:
      return one >= other;
  }
}

function valueAt(payload: unknown, path: readonly string[]): unknown {
  let value = payload;
  for (const name of path) {
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, name)) return null;
    if (Array.isArray(value) && !/^\d+$/.test(name)) return null;
    value = (value as Readonly<Record<string, unknown>>)[name];
  }
  return value;
}

function lengthOf(value: unknown): number | undefined {
  if (value === null) return 0;
  if (typeof value === "string") return [...value].length;
  if (Array.isArray(value)) return value.length;
  return typeof value === "object" && value !== undefined ? Object.keys(value).length : undefined;
}
