/**
 * Operations whose body or answer are bytes and not JSON: a table of its own, because they are streamed. What they have to
 * do with jobs goes through the operations of the other table, in JSON: `enqueueBytes` through `enqueueJob`, `getPayload` and
 * `getResult` through `getJob`. So they are passed on, placed, refused and checked as those are.
 */
import { type TObject, type TSchema, Type } from "@sinclair/typebox";
import type { ErrorCode } from "../base/errors.ts";
import type { Method } from "./operation.ts";
import { BlobHash } from "./payload-fields.ts";
import { EnqueueResult, IdempotencyKey, JobId, NewJob, QueueName } from "./schemas.ts";

export interface BytesOperation {
  readonly method: Method;
  readonly path: string;
  readonly tag: "blobs" | "jobs" | "worker";
  readonly summary: string;
  readonly params: TObject;
  readonly query: TObject;
  /** Is the body of the call bytes? Otherwise it has none. */
  readonly takesBytes: boolean;
  /** Schema of a JSON answer; undefined when bytes are the answer. */
  readonly result: TSchema | undefined;
  readonly status: number;
  readonly errors: readonly ErrorCode[];
}

const JobParams = Type.Object({ job_id: JobId });
const none = Type.Object({});

/** Options of a job that one word says; what takes more goes by `enqueueJob`, with `payload_blob`. */
const scalarOptions = Object.fromEntries(
  Object.entries({ ...NewJob.properties, idempotency_key: IdempotencyKey })
    .filter(([name]) => !/^(?:queue|payload|payload_base64|payload_blob|content_type)$/.test(name))
    .flatMap(([name, schema]) => {
      const scalar = scalarOf(schema);
      return scalar === undefined ? [] : [[name, Type.Optional(scalar)]];
    }),
);

/** The schema of a member that may be null, where its values are single words. */
function scalarOf(schema: TSchema): TSchema | undefined {
  const variants = (schema["anyOf"] ?? [schema]) as TSchema[];
  const others = variants.filter((variant) => variant["type"] !== "null");
  const [only] = others;
  const { description } = schema;
  const says = description === undefined ? {} : { description };
  if (others.length === 1 && only !== undefined) {
    if (only["anyOf"] !== undefined) return scalarOf({ ...only, ...says });
    const isScalar = ["string", "integer", "number", "boolean"].includes(String(only["type"]));
    return isScalar ? { ...only, ...says } : undefined;
  }
  const words = others.every((variant) => ["string", "integer"].includes(String(variant["type"])));
  return words ? Type.String(says) : undefined;
}

export const bytesOperations = {
  uploadBlob: {
    method: "POST",
    path: "/api/v1/blobs",
    tag: "blobs",
    summary: "Keep bytes on this node, to be the payload or result of a job; answers their SHA-256",
    params: none,
    query: none,
    takesBytes: true,
    result: Type.Object({ hash: Type.String(), bytes: Type.Integer() }),
    status: 201,
    errors: ["PAYLOAD_TOO_LARGE", "OVERLOADED", "DISK_BUDGET"],
  },
  getBlob: {
    method: "GET",
    path: "/api/v1/blobs/{hash}",
    tag: "blobs",
    summary: "The bytes of a blob, from whichever node has it",
    params: Type.Object({ hash: BlobHash }),
    query: none,
    takesBytes: false,
    result: undefined,
    status: 200,
    errors: ["BLOB_NOT_FOUND"],
  },
  enqueueBytes: {
    method: "POST",
    path: "/api/v1/queues/{name}/jobs",
    tag: "worker",
    summary:
      "Add a job whose payload is the body, as it is, with its Content-Type; JSON becomes a JSON payload, and what is large a blob",
    params: Type.Object({ name: QueueName }),
    query: Type.Object(scalarOptions),
    takesBytes: true,
    result: EnqueueResult,
    status: 201,
    errors: ["PAYLOAD_TOO_LARGE", "DISK_BUDGET", "QUEUE_FULL_BYTES", "CONFLICT", "READ_ONLY"],
  },
  getPayload: {
    method: "GET",
    path: "/api/v1/jobs/{job_id}/payload",
    tag: "jobs",
    summary: "The payload of a job alone, as it was sent, with its content type",
    params: JobParams,
    query: none,
    takesBytes: false,
    result: undefined,
    status: 200,
    errors: ["NOT_FOUND", "BLOB_NOT_FOUND"],
  },
  getResult: {
    method: "GET",
    path: "/api/v1/jobs/{job_id}/result",
    tag: "jobs",
    summary: "The result of a job alone, as it was sent, with its content type",
    params: JobParams,
    query: none,
    takesBytes: false,
    result: undefined,
    status: 200,
    errors: ["NOT_FOUND", "BLOB_NOT_FOUND"],
  },
} as const satisfies Record<string, BytesOperation>;

export type BytesOperationName = keyof typeof bytesOperations;
