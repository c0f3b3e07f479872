/** Some clients send what they leave out as `null`: it is absent, in every call and at any depth. */
import { expect, test } from "bun:test";
import type { TSchema } from "@sinclair/typebox";
import type { Operation } from "../../src/api/operation.ts";
import { operations } from "../../src/api/operations.ts";
import { ClientFrame } from "../../src/api/stream.ts";
import { codeqRows } from "../../src/net/adapters/codeq/calls.ts";
import { codeqSubscriptionRows } from "../../src/net/adapters/codeq/subscriptions.ts";
import { rivetqRows } from "../../src/net/adapters/rivetq/calls.ts";

/** Sent by nodes, which send none. */
const ofNodes = new Set<Operation>([operations.joinCluster, operations.meetNode]);

const variantsOf = (schema: TSchema): TSchema[] =>
  (schema["anyOf"] as TSchema[] | undefined)?.flatMap(variantsOf) ?? [schema];

/** Paths of the members that may be left out, and may not be `null`. */
function strictMembers(schema: TSchema, path: string): string[] {
  return variantsOf(schema).flatMap((variant) => {
    if (variant["type"] === "array") return strictMembers(variant["items"], `${path}[]`);
    const maps = Object.values((variant["patternProperties"] ?? {}) as Record<string, TSchema>);
    const required = (variant["required"] ?? []) as string[];
    const members = Object.entries((variant["properties"] ?? {}) as Record<string, TSchema>);
    return [
      ...maps.flatMap((inner) => strictMembers(inner, `${path}.*`)),
      ...members.flatMap(([name, inner]) => [
        ...(required.includes(name) || allowsNull(inner) ? [] : [`${path}.${name}`]),
        ...strictMembers(inner, `${path}.${name}`),
      ]),
    ];
  });
}

/** A schema without a type is any JSON. */
function allowsNull(schema: TSchema): boolean {
  return variantsOf(schema).some(({ type }) => type === "null" || type === undefined);
}

test("[A2] whatever may be left out may be null, in calls of other systems too", () => {
  const rows: Operation[] = [operations, rivetqRows, codeqRows, codeqSubscriptionRows].flatMap(
    (table) => Object.values(table) as Operation[],
  );
  const strict = rows
    .filter((row) => !ofNodes.has(row))
    .flatMap(({ method, path, body }) => strictMembers(body, `${method} ${path} `));
  expect([...strict, ...strictMembers(ClientFrame, "a frame ")]).toEqual([]);
});
