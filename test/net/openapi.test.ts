/** The OpenAPI document is generated, complete, self-contained, and the one in the docs. */
import { expect, test } from "bun:test";
import { bytesOperations } from "../../src/api/bytes.ts";
import { eventsPath } from "../../src/api/events.ts";
import type { Operation } from "../../src/api/operation.ts";
import { operations } from "../../src/api/operations.ts";
import { errorTable } from "../../src/base/errors.ts";
import { openApiDocument } from "../../src/net/http/openapi.ts";
import { httpFixture } from "../support/http-app.ts";

interface OperationObject {
  readonly operationId: string;
  readonly parameters?: readonly { readonly name: string; readonly in: string }[];
  readonly requestBody?: { readonly required: boolean };
  readonly responses: Readonly<Record<string, ResponseObject>>;
}
type ResponseObject = { readonly description: string } | { readonly $ref: string };
interface Document {
  readonly openapi: string;
  readonly paths: Readonly<Record<string, Readonly<Record<string, OperationObject>>>>;
  readonly components: {
    readonly schemas: Readonly<Record<string, unknown>>;
    readonly responses: Readonly<Record<string, { readonly description: string }>>;
  };
}

const document = openApiDocument() as unknown as Document;
const text = JSON.stringify(document);

function descriptionOf(response: ResponseObject | undefined): string | undefined {
  if (response === undefined || "description" in response) return response?.description;
  return document.components.responses[response.$ref.split("/").at(-1) ?? ""]?.description;
}

test("the document in the docs is the one the table gives (bun scripts/generate-openapi.ts writes it)", async () => {
  const golden = Bun.file(new URL("../../docs/reference/openapi.json", import.meta.url));

  expect(await golden.json()).toEqual(document);
});

test("the server answers with the same document", async () => {
  const reply = await httpFixture().app.handle(new Request("http://localhost/openapi.json"));

  expect(await reply.json()).toEqual(document);
});

test("every operation is in it, with its parameters, its body and every error it names", () => {
  for (const [name, operation] of Object.entries(operations) as [string, Operation][]) {
    const object = document.paths[operation.path]?.[operation.method.toLowerCase()];

    expect(object?.operationId).toBe(name);
    const parameters = object?.parameters?.map((parameter) => parameter.name) ?? [];
    expect(parameters).toEqual([
      ...Object.keys(operation.params.properties),
      ...Object.keys(operation.query.properties),
    ]);
    expect(Object.keys(operation.params.properties)).toEqual(
      [...operation.path.matchAll(/\{(\w+)\}/g)].map((match) => match[1] ?? ""),
    );
    const hasBody = Object.keys((operation.body["properties"] ?? {}) as object).length > 0;
    expect(object?.requestBody?.required).toBe(hasBody ? !operation.bodyOptional : undefined);
    for (const code of operation.errors) {
      expect(descriptionOf(object?.responses[errorTable[code].status])).toContain(code);
    }
  }
  const described = Object.values(document.paths).flatMap((path) => Object.values(path));
  const all = { ...operations, ...bytesOperations };
  // And the stream of events, which is no operation.
  expect(described).toHaveLength(Object.keys(all).length + 1);
  expect(document.paths[eventsPath]?.["get"]?.operationId).toBe("events");
});

test("every reference leads to a component, and every component is used", () => {
  const used = new Set([...text.matchAll(/"#\/components\/(\w+\/\w+)"/g)].map((match) => match[1]));

  const there = Object.entries(document.components).flatMap(([kind, components]) =>
    Object.keys(components).map((name) => `${kind}/${name}`),
  );
  expect([...used].sort()).toEqual(there.sort());
});

test("what has a name is written out once: operations and their answers refer to it", () => {
  const written = new Map<string, number>();
  const look = (part: unknown): void => {
    if (typeof part !== "object" || part === null) return;
    const key = JSON.stringify({ ...part, description: undefined });
    written.set(key, (written.get(key) ?? 0) + 1);
    for (const member of Object.values(part)) look(member);
  };
  look(document);

  for (const [name, schema] of Object.entries(document.components.schemas)) {
    const key = JSON.stringify({ ...(schema as object), description: undefined });
    expect([name, written.get(key)]).toEqual([name, 1]);
  }
});

test("nothing internal is left in it", () => {
  expect(document.openapi).toBe("3.1.0");
  expect(text).not.toContain("x-json-text");
  expect(text).not.toContain('"anyOf":[]');
  expect(text).not.toMatch(/"anyOf":\[\{[^{}]*\},\{"type":"null"\}\],"type"/);
});

test("a member that may be null has a nullable type", () => {
  const job = document.components.schemas["NewJob"] as {
    readonly properties: Readonly<Record<string, unknown>>;
  };

  expect(job.properties["unique_period"]).toEqual({
    type: ["integer", "null"],
    description: "Seconds the key is held at most.",
    minimum: 1,
    maximum: 315_360_000,
  });
  expect(job.properties["retry_backoff"]).toMatchObject({
    type: ["string", "null"],
    enum: ["none", "fixed", "linear", "exponential", null],
  });
  expect(job.properties["tags"]).toEqual({
    anyOf: [{ $ref: "#/components/schemas/Tags" }, { type: "null" }],
  });
  expect(job.properties["payload"]).toEqual({
    description: "Any JSON value; comes back byte for byte. Default `{}`.",
  });
});
