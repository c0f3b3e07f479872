/**
 * The part of jq that 0.3 takes for conditions on payloads:
 *
 *   .a.b OP LITERAL            OP is == != > >= < <=; the literal a number, a string, true, false, or null with == and !=
 *   .p | startswith("x")
 *   .p | contains("x")
 *   .p | length OP NUMBER
 */
import { CorvoError } from "../../base/errors.ts";
import type { PayloadComparison, PayloadCondition } from "../../engine/query.ts";

const path = String.raw`((?:\.\w+)+)`;
const operator = "(==|!=|>=|<=|>|<)";
const literal = String.raw`("(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null)`;
const text = String.raw`("(?:[^"\\]|\\.)*")`;
const number = String.raw`(\d+(?:\.\d+)?)`;

const comparison = new RegExp(`^\\s*${path}\\s*${operator}\\s*${literal}\\s*$`);
const call = new RegExp(
  `^\\s*${path}\\s*\\|\\s*(startswith|contains)\\s*\\(\\s*${text}\\s*\\)\\s*$`,
);
const length = new RegExp(`^\\s*${path}\\s*\\|\\s*length\\s*${operator}\\s*${number}\\s*$`);

export function parseJq(expression: string): PayloadCondition {
  const compared = comparison.exec(expression);
  if (compared !== null) {
    const [, names = "", sign = "", wanted = ""] = compared;
    const isEquality = sign === "==" || sign === "!=";
    if (wanted === "null" && !isEquality) throw refused(expression);
    return {
      path: namesOf(names),
      operator: operatorOf(sign),
      value: literalOf(wanted, expression) as PayloadCondition["value"],
    };
  }
  const called = call.exec(expression);
  if (called !== null) {
    const [, names = "", name, wanted = ""] = called;
    return {
      path: namesOf(names),
      operator: name === "contains" ? "contains" : "startsWith",
      value: literalOf(wanted, expression) as string,
    };
  }
  const measured = length.exec(expression);
  if (measured === null) throw refused(expression);
  const [, names = "", sign = "", wanted = ""] = measured;
  return {
    path: namesOf(names),
    operator: operatorOf(sign),
    of: "length",
    value: Number(wanted),
  };
}

function namesOf(names: string): string[] {
  return names.split(".").slice(1);
}

function operatorOf(sign: string): PayloadComparison {
  return (sign === "==" ? "=" : sign) as PayloadComparison;
}

function literalOf(literalText: string, expression: string): unknown {
  try {
    const value: unknown = JSON.parse(literalText);
    return Object.is(value, -0) ? 0 : value;
  } catch {
    throw refused(expression);
  }
}

function refused(expression: string): CorvoError {
  return new CorvoError(
    "SEARCH_ERROR",
    `payload_jq: ${JSON.stringify(expression.slice(0, 80))} is beyond the part of jq that is understood here`,
    {
      hint: 'Write .a.b == 5, .a | startswith("x"), .a | contains("x") or .a | length > 2, and one only; q takes more: payload.a=5 payload.b^=x.',
    },
  );
}
