/**
 * The OpenAPI 3.1 document, made from the operations table. TypeBox schemas already are JSON Schema, so the work is to
 * name the shared ones (`$ref` components), turn unions with null into nullable types, and list per operation what it
 * takes and which errors it answers.
 */
import type { TSchema } from "@sinclair/typebox";
import { type BytesOperation, bytesOperations } from "../../api/bytes.ts";
import { Event, EventsQuery, eventsPath } from "../../api/events.ts";
import type { Operation } from "../../api/operation.ts";
import { operations } from "../../api/operations.ts";
import { Queue } from "../../api/queue-schema.ts";
import * as shared from "../../api/schemas.ts";
import { Filter } from "../../api/search.ts";
import { apiVersion } from "../../api/version.ts";
import { AckItem, FailItem } from "../../api/worker.ts";
import { type ErrorCode, errorTable } from "../../base/errors.ts";

type Json = Record<string, unknown>;

/** Schemas that appear once, under these names, and by reference everywhere else. */
const named: Readonly<Record<string, TSchema>> = {
  AckItem,
  Attempt: shared.Attempt,
  ClaimedJob: shared.ClaimedJob,
  EnqueueResult: shared.EnqueueResult,
  Event,
  FailItem,
  Filter,
  ItemResult: shared.ItemResult,
  Job: shared.Job,
  JobState: shared.State,
  JobSummary: shared.JobSummary,
  NewJob: shared.NewJob,
  Priority: shared.Priority,
  Queue,
  Status: shared.Status,
  Tags: shared.Tags,
};

const bodySchema: Json = {
  type: "object",
  description: "What every failure answers.",
  required: ["error", "code"],
  properties: {
    error: { type: "string", description: "What happened, with the value seen." },
    code: { type: "string", enum: Object.keys(errorTable) },
    details: { description: "More about the cause; its form depends on the code." },
    hint: { type: "string", description: "What to do next." },
    retry_after_ms: { type: "integer", description: "Wait this long before sending it again." },
  },
};

/** Failures that any operation may answer, besides those its row names. */
const generalErrors: readonly ErrorCode[] = ["OVERLOADED", "UNAVAILABLE", "INTERNAL_ERROR"];
const inputErrors: readonly ErrorCode[] = ["VALIDATION_ERROR", "LIMIT_EXCEEDED"];
const bodyErrors: readonly ErrorCode[] = ["PARSE_ERROR", "PAYLOAD_TOO_LARGE"];

export function openApiDocument(): Json {
  // Equal text means the same schema: optional members are copies, so identity would miss them.
  const names = new Map(Object.entries(named).map(([name, inner]) => [keyOf(inner), name]));
  const paths: Record<string, Json> = {};
  for (const [name, operation] of Object.entries(operations)) {
    const path = paths[operation.path] ?? {};
    path[operation.method.toLowerCase()] = operationObject(name, operation, names);
    paths[operation.path] = path;
  }
  for (const [name, operation] of Object.entries<BytesOperation>(bytesOperations)) {
    const path = paths[operation.path] ?? {};
    path[operation.method.toLowerCase()] = bytesOperationObject(name, operation, names);
    paths[operation.path] = path;
  }
  paths[eventsPath] = { get: eventStreamObject(names) };
  const schemas: Json = { Error: bodySchema };
  for (const [name, inner] of Object.entries(named)) schemas[name] = expand(inner, names);
  return {
    openapi: "3.1.0",
    info: {
      title: "Corvo",
      version: apiVersion,
      description: "Durable background jobs over HTTP. Unknown members of a body are ignored.",
      license: { name: "MIT", identifier: "MIT" },
    },
    tags: [...new Set(allOperations().map(({ tag }) => tag))].map((tag) => ({ name: tag })),
    paths,
    components: { schemas },
  };
}

function allOperations(): readonly { readonly tag: string }[] {
  return [...Object.values(operations), ...Object.values(bytesOperations)];
}

/** Whatever their type is, the document can only say that they are bytes. */
const bytesContent: Json = { "*/*": { schema: { type: "string", format: "binary" } } };

function bytesOperationObject(
  name: string,
  operation: BytesOperation,
  names: ReadonlyMap<string, string>,
): Json {
  const parameters = [
    ...parametersOf("path", operation.params, names),
    ...parametersOf("query", operation.query, names),
  ];
  const { result, status, errors } = operation;
  const content = result === undefined ? bytesContent : jsonContent(toSchema(result, names));
  const codes = [...errors, ...inputErrors, ...generalErrors];
  return {
    operationId: name,
    tags: [operation.tag],
    summary: operation.summary,
    ...(parameters.length === 0 ? {} : { parameters }),
    ...(operation.takesBytes ? { requestBody: { required: true, content: bytesContent } } : {}),
    responses: { [status]: { description: "Success.", content }, ...failuresOf(codes) },
  };
}

function operationObject(
  name: string,
  operation: Operation,
  names: ReadonlyMap<string, string>,
): Json {
  const parameters = [
    ...parametersOf("path", operation.params, names),
    ...parametersOf("query", operation.query, names),
  ];
  const hasBody = Object.keys(operation.body["properties"] ?? {}).length > 0;
  return {
    operationId: name,
    tags: [operation.tag],
    summary: operation.summary,
    ...(parameters.length === 0 ? {} : { parameters }),
    ...(hasBody
      ? {
          requestBody: {
            required: !operation.bodyOptional,
            content:
              operation.takes === "raw"
                ? { "*/*": { schema: { type: "string" } } }
                : jsonContent(toSchema(operation.body, names)),
          },
        }
      : {}),
    responses: responsesOf(operation, parameters.length > 0, hasBody, names),
  };
}

/** The one path that answers without an end; it is no row of the table. */
function eventStreamObject(names: ReadonlyMap<string, string>): Json {
  return {
    operationId: "events",
    tags: ["events"],
    summary:
      "Life-cycle events as they happen: server-sent events, or the same as JSON messages of a WebSocket",
    parameters: parametersOf("query", EventsQuery, names),
    responses: {
      200: {
        description: "An endless stream; the data of each event is one Event.",
        content: { "text/event-stream": { schema: toSchema(Event, names) } },
      },
      400: {
        description: `${[...inputErrors].sort().join(", ")}.`,
        content: jsonContent({ $ref: "#/components/schemas/Error" }),
      },
    },
  };
}

function parametersOf(
  place: "path" | "query",
  schema: TSchema,
  names: ReadonlyMap<string, string>,
): Json[] {
  const required = new Set((schema["required"] ?? []) as string[]);
  return Object.entries(schema["properties"] as Record<string, TSchema>).map(([name, inner]) => {
    const { description, ...rest } = toSchema(inner, names);
    return {
      name,
      in: place,
      required: required.has(name),
      ...(description === undefined ? {} : { description }),
      schema: rest,
    };
  });
}

function responsesOf(
  operation: Operation,
  hasParameters: boolean,
  hasBody: boolean,
  names: ReadonlyMap<string, string>,
): Json {
  const content = { [operation.produces]: { schema: toSchema(operation.result, names) } };
  const responses: Json = { [operation.status]: { description: "Success.", content } };
  for (const [status, description] of Object.entries(operation.otherStatuses)) {
    responses[status] = status === "204" ? { description } : { description, content };
  }
  const codes = new Set<ErrorCode>([
    ...operation.errors,
    ...(hasParameters || hasBody ? inputErrors : []),
    ...(hasBody ? bodyErrors : []),
    ...generalErrors,
  ]);
  return { ...responses, ...failuresOf(codes) };
}

function failuresOf(codes: Iterable<ErrorCode>): Json {
  const responses: Json = {};
  const byStatus = new Map<number, ErrorCode[]>();
  for (const code of new Set(codes)) {
    const { status } = errorTable[code];
    byStatus.set(status, [...(byStatus.get(status) ?? []), code]);
  }
  for (const [status, list] of [...byStatus].sort(([a], [b]) => a - b)) {
    responses[status] = {
      description: `${list.sort().join(", ")}.`,
      ...(errorTable[list[0] ?? "INTERNAL_ERROR"].retryable
        ? {
            headers: {
              "Retry-After": {
                description: "Seconds, with a fraction.",
                schema: { type: "number" },
              },
            },
          }
        : {}),
      content: jsonContent({ $ref: "#/components/schemas/Error" }),
    };
  }
  return responses;
}

function jsonContent(schema: Json): Json {
  return { "application/json": { schema } };
}

/** A schema as it stands in the document: by reference where it has a name. */
function toSchema(schema: TSchema, names: ReadonlyMap<string, string>): Json {
  const name = names.get(keyOf(schema));
  return name === undefined ? expand(schema, names) : { $ref: `#/components/schemas/${name}` };
}

function expand(schema: TSchema, names: ReadonlyMap<string, string>): Json {
  const {
    "x-json-text": _,
    "x-pieces": __,
    anyOf,
    ...rest
  } = JSON.parse(JSON.stringify(schema)) as Json;
  if (anyOf !== undefined) return { ...expandUnion(schema, names), ...rest };
  const out: Json = rest;
  for (const key of ["properties", "patternProperties"]) {
    if (schema[key] === undefined) continue;
    const members = Object.entries(schema[key] as Record<string, TSchema>);
    out[key] = Object.fromEntries(members.map(([name, inner]) => [name, toSchema(inner, names)]));
  }
  if (schema["items"] !== undefined) out["items"] = toSchema(schema["items"] as TSchema, names);
  return out;
}

/** Literals become an enum, one variant beside null becomes a nullable type, the rest stays a union. */
function expandUnion(schema: TSchema, names: ReadonlyMap<string, string>): Json {
  const variants = schema["anyOf"] as TSchema[];
  const others = variants.filter((variant) => variant["type"] !== "null");
  const nullable = others.length < variants.length;
  if (others.every((variant) => typeof variant["const"] === "string")) {
    const values: unknown[] = others.map((variant) => variant["const"]);
    return nullable
      ? { type: ["string", "null"], enum: [...values, null] }
      : { type: "string", enum: values };
  }
  const schemas = others.map((variant) => toSchema(variant, names));
  const [only] = schemas;
  if (!nullable) return { anyOf: schemas };
  if (schemas.length > 1 || only === undefined) return { anyOf: [...schemas, { type: "null" }] };
  if (only["$ref"] !== undefined) return { anyOf: [only, { type: "null" }] };
  // A schema without a type, such as any JSON value, takes null already.
  if (only["type"] === undefined) {
    return Array.isArray(only["anyOf"])
      ? { ...only, anyOf: [...(only["anyOf"] as Json[]), { type: "null" }] }
      : only;
  }
  return {
    ...only,
    type: [only["type"], "null"],
    ...(Array.isArray(only["enum"]) ? { enum: [...only["enum"], null] } : {}),
  };
}

function keyOf(schema: TSchema): string {
  return JSON.stringify(schema);
}
