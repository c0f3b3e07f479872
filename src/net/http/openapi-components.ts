/**
 * What the OpenAPI document says once and refers to: the schemas that have names, and the failures of operations. TypeBox
 * schemas already are JSON Schema, so the work is to name the shared ones and to turn unions with null into nullable types.
 */
import type { TSchema } from "@sinclair/typebox";
import { Batch } from "../../api/batches.ts";
import { BulkOperation } from "../../api/bulk.ts";
import { Event } from "../../api/events.ts";
import { Cause } from "../../api/explaining.ts";
import { Limit } from "../../api/limiting.ts";
import { Queue } from "../../api/queue-schema.ts";
import { Schedule } from "../../api/schedules.ts";
import * as shared from "../../api/schemas.ts";
import { Filter } from "../../api/search.ts";
import { Delivery, Webhook } from "../../api/webhooks.ts";
import { AckItem, FailItem, SnoozeItem } from "../../api/worker.ts";
import { Worker } from "../../api/workers.ts";
import { type ErrorCode, errorTable } from "../../base/errors.ts";

export type Json = Record<string, unknown>;

/** Schemas that appear once, under these names, and by reference everywhere else. */
const named: Readonly<Record<string, TSchema>> = {
  AckItem,
  Attempt: shared.Attempt,
  Batch,
  BulkOperation,
  Cause,
  Chain: shared.Chain,
  ChainStep: shared.ChainStep,
  ClaimedJob: shared.ClaimedJob,
  Delivery,
  EnqueueResult: shared.EnqueueResult,
  Event,
  FailItem,
  Filter,
  ItemResult: shared.ItemResult,
  Job: shared.Job,
  JobState: shared.State,
  JobSummary: shared.JobSummary,
  Limit,
  NewBatch: shared.NewBatch,
  NewJob: shared.NewJob,
  Priority: shared.Priority,
  Queue,
  QueueDefaults: shared.QueueDefaults,
  Schedule,
  SnoozeItem,
  Status: shared.Status,
  Tags: shared.Tags,
  Webhook,
  Worker,
};

// Equal text means the same schema: optional members are copies, so identity would miss them.
const names = new Map(Object.entries(named).map(([name, inner]) => [keyOf(inner), name]));

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

export function namedSchemas(): Json {
  const schemas: Json = { Error: bodySchema };
  for (const [name, inner] of Object.entries(named)) schemas[name] = expand(inner);
  return schemas;
}

/** What operations answer when they fail: one response for each set of codes, under a name made of them. */
export class Failures {
  readonly responses: Json = {};

  refer(codes: readonly ErrorCode[]): Json {
    const sorted = [...codes].sort();
    const name = sorted.map(inPascalCase).join("Or");
    this.responses[name] ??= failureObject(sorted);
    return { $ref: `#/components/responses/${name}` };
  }
}

function inPascalCase(code: ErrorCode): string {
  return code.toLowerCase().replace(/(?:^|_)([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

function failureObject(codes: readonly ErrorCode[]): Json {
  const retryAfter = { description: "Seconds, with a fraction.", schema: { type: "number" } };
  const isRetryable = errorTable[codes[0] ?? "INTERNAL_ERROR"].retryable;
  return {
    description: `${codes.join(", ")}.`,
    ...(isRetryable ? { headers: { "Retry-After": retryAfter } } : {}),
    content: jsonContent({ $ref: "#/components/schemas/Error" }),
  };
}

/** A body of this schema. */
export function jsonContent(schema: Json): Json {
  return { "application/json": { schema } };
}

/** A schema as it stands in the document: by reference where it has a name, which may be described anew in its place. */
export function toSchema(schema: TSchema): Json {
  const name = names.get(keyOf(schema));
  if (name === undefined) return expand(schema);
  const { description } = schema;
  const isOwn = description !== undefined && description !== named[name]?.description;
  return { $ref: `#/components/schemas/${name}`, ...(isOwn ? { description } : {}) };
}

function expand(schema: TSchema): Json {
  const {
    "x-json-text": _,
    "x-pieces": __,
    anyOf,
    ...rest
  } = JSON.parse(JSON.stringify(schema)) as Json;
  if (anyOf !== undefined) return { ...expandUnion(schema), ...rest };
  const out: Json = rest;
  for (const key of ["properties", "patternProperties"]) {
    if (schema[key] === undefined) continue;
    const members = Object.entries(schema[key] as Record<string, TSchema>);
    out[key] = Object.fromEntries(members.map(([name, inner]) => [name, toSchema(inner)]));
  }
  if (schema["items"] !== undefined) out["items"] = toSchema(schema["items"] as TSchema);
  return out;
}

/** Literals become an enum, one variant beside null becomes a nullable type, the rest stays a union. */
function expandUnion(schema: TSchema): Json {
  const variants = schema["anyOf"] as TSchema[];
  const others = variants.filter((variant) => variant["type"] !== "null");
  const nullable = others.length < variants.length;
  if (others.every((variant) => typeof variant["const"] === "string")) {
    const values: unknown[] = others.map((variant) => variant["const"]);
    return nullable
      ? { type: ["string", "null"], enum: [...values, null] }
      : { type: "string", enum: values };
  }
  const schemas = others.map((variant) => toSchema(variant));
  const [only] = schemas;
  if (!nullable) return { anyOf: schemas };
  if (schemas.length > 1 || only === undefined) return { anyOf: [...schemas, { type: "null" }] };
  if (only["$ref"] !== undefined) return { anyOf: [only, { type: "null" }] };
  // Without a type it is a union, which gets one more member, or any JSON value, of which null is one.
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

/** What a schema allows, whatever is said about it. */
function keyOf(schema: TSchema): string {
  return JSON.stringify({ ...schema, description: undefined });
}
