/**
 * The OpenAPI 3.1 document, made from the operations table: what each operation takes and which errors it answers. What
 * several of them share is said once (`openapi-components.ts`).
 */
import type { TSchema } from "@sinclair/typebox";
import { type BytesOperation, bytesOperations } from "../../api/bytes.ts";
import { Event, EventsQuery, eventsPath } from "../../api/events.ts";
import type { Operation } from "../../api/operation.ts";
import { operations } from "../../api/operations.ts";
import { apiVersion } from "../../api/version.ts";
import { type ErrorCode, errorTable } from "../../base/errors.ts";
import { Failures, type Json, jsonContent, namedSchemas, toSchema } from "./openapi-components.ts";

/** Failures that any operation may answer, besides those its row names. */
const generalErrors: readonly ErrorCode[] = ["OVERLOADED", "UNAVAILABLE", "INTERNAL_ERROR"];
const inputErrors: readonly ErrorCode[] = ["VALIDATION_ERROR", "LIMIT_EXCEEDED"];
const bodyErrors: readonly ErrorCode[] = ["PARSE_ERROR", "PAYLOAD_TOO_LARGE"];

export function openApiDocument(): Json {
  const failures = new Failures();
  const paths: Record<string, Json> = {};
  for (const [name, operation] of Object.entries(operations)) {
    const path = paths[operation.path] ?? {};
    path[operation.method.toLowerCase()] = operationObject(name, operation, failures);
    paths[operation.path] = path;
  }
  for (const [name, operation] of Object.entries<BytesOperation>(bytesOperations)) {
    const path = paths[operation.path] ?? {};
    path[operation.method.toLowerCase()] = bytesOperationObject(name, operation, failures);
    paths[operation.path] = path;
  }
  paths[eventsPath] = { get: eventStreamObject(failures) };
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
    components: { schemas: namedSchemas(), responses: failures.responses },
  };
}

function allOperations(): readonly { readonly tag: string }[] {
  return [...Object.values(operations), ...Object.values(bytesOperations)];
}

/** Whatever their type is, the document can only say that they are bytes. */
const bytesContent: Json = { "*/*": { schema: { type: "string", format: "binary" } } };

function bytesOperationObject(name: string, operation: BytesOperation, failures: Failures): Json {
  const parameters = [
    ...parametersOf("path", operation.params),
    ...parametersOf("query", operation.query),
  ];
  const { result, status, errors } = operation;
  const content = result === undefined ? bytesContent : jsonContent(toSchema(result));
  const codes = [...errors, ...inputErrors, ...generalErrors];
  return {
    operationId: name,
    tags: [operation.tag],
    summary: operation.summary,
    ...(parameters.length === 0 ? {} : { parameters }),
    ...(operation.takesBytes ? { requestBody: { required: true, content: bytesContent } } : {}),
    responses: { [status]: { description: "Success.", content }, ...failuresOf(codes, failures) },
  };
}

function operationObject(name: string, operation: Operation, failures: Failures): Json {
  const parameters = [
    ...parametersOf("path", operation.params),
    ...parametersOf("query", operation.query),
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
                : jsonContent(toSchema(operation.body)),
          },
        }
      : {}),
    responses: responsesOf(operation, failures, { hasParameters: parameters.length > 0, hasBody }),
  };
}

/** The one path that answers without an end; it is no row of the table. */
function eventStreamObject(failures: Failures): Json {
  return {
    operationId: "events",
    tags: ["events"],
    summary:
      "Life-cycle events as they happen: server-sent events, or the same as JSON messages of a WebSocket",
    parameters: parametersOf("query", EventsQuery),
    responses: {
      200: {
        description: "An endless stream; the data of each event is one Event.",
        content: { "text/event-stream": { schema: toSchema(Event) } },
      },
      400: failures.refer(inputErrors),
    },
  };
}

function parametersOf(place: "path" | "query", schema: TSchema): Json[] {
  const required = new Set((schema["required"] ?? []) as string[]);
  return Object.entries(schema["properties"] as Record<string, TSchema>).map(([name, inner]) => {
    const { description, ...rest } = toSchema(inner);
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
  failures: Failures,
  { hasParameters, hasBody }: { hasParameters: boolean; hasBody: boolean },
): Json {
  const content = { [operation.produces]: { schema: toSchema(operation.result) } };
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
  return { ...responses, ...failuresOf(codes, failures) };
}

function failuresOf(codes: Iterable<ErrorCode>, failures: Failures): Json {
  const responses: Json = {};
  const byStatus = new Map<number, ErrorCode[]>();
  for (const code of new Set(codes)) {
    const { status } = errorTable[code];
    byStatus.set(status, [...(byStatus.get(status) ?? []), code]);
  }
  for (const [status, list] of [...byStatus].sort(([a], [b]) => a - b)) {
    responses[status] = failures.refer(list);
  }
  return responses;
}
