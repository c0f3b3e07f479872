/**
 * What an operation is: one row of the table from which the HTTP route, its validation, the OpenAPI document, the typed
 * client and the flags of the command line are made. Nothing else in the program lists routes.
 */
import { type Static, type TObject, type TSchema, type TUnsafe, Type } from "@sinclair/typebox";
import type { ErrorCode } from "../base/errors.ts";
import type { RawJson, RawTree } from "../base/json.ts";

export type Method = "GET" | "POST" | "PUT" | "DELETE";

export interface Operation<
  Params extends TObject = TObject,
  Query extends TObject = TObject,
  Body extends TSchema = TSchema,
  Result extends TSchema = TSchema,
> {
  readonly method: Method;
  /** Path with `{name}` placeholders, from the root. */
  readonly path: string;
  readonly tag: "worker" | "jobs" | "queues" | "search" | "system";
  readonly summary: string;
  readonly params: Params;
  readonly query: Query;
  readonly body: Body;
  /** May the body be left out? Then an empty object stands for it. */
  readonly bodyOptional: boolean;
  readonly result: Result;
  /** Status of success; a handler may answer another one through `Reply`. */
  readonly status: number;
  /** Further statuses of success, with what each means. 204 has no body. */
  readonly otherStatuses: Readonly<Record<number, string>>;
  readonly errors: readonly ErrorCode[];
}

type Draft<P, Q, B, R> = Pick<Operation, "method" | "path" | "tag" | "summary"> & {
  readonly params?: P;
  readonly query?: Q;
  readonly body?: B;
  readonly bodyOptional?: boolean;
  readonly result: R;
  readonly status?: number;
  readonly otherStatuses?: Readonly<Record<number, string>>;
  readonly errors?: readonly ErrorCode[];
};

type Empty = TObject<Record<never, never>>;
const empty: Empty = Type.Object({});

/** Fills in what a row leaves out. */
export function operation<
  R extends TSchema,
  P extends TObject = Empty,
  Q extends TObject = Empty,
  B extends TSchema = Empty,
>(draft: Draft<P, Q, B, R>): Operation<P, Q, B, R> {
  return {
    method: draft.method,
    path: draft.path,
    tag: draft.tag,
    summary: draft.summary,
    params: (draft.params ?? empty) as P,
    query: (draft.query ?? empty) as Q,
    body: (draft.body ?? empty) as B,
    bodyOptional: draft.bodyOptional ?? draft.body === undefined,
    result: draft.result,
    status: draft.status ?? 200,
    otherStatuses: draft.otherStatuses ?? {},
    errors: draft.errors ?? [],
  };
}

export type ParamsOf<O extends Operation> = Static<O["params"]>;
export type QueryOf<O extends Operation> = Static<O["query"]>;
export type BodyOf<O extends Operation> = Static<O["body"]>;
export type ResultOf<O extends Operation> = Static<O["result"]>;

export interface InputOf<O extends Operation> {
  readonly params: ParamsOf<O>;
  readonly query: QueryOf<O>;
  readonly body: BodyOf<O>;
}

const rawKey = "x-json-text";

/** Any JSON value, kept as the exact text that was sent. */
export function Json(description: string): TUnsafe<RawJson> {
  return Type.Any({ description, [rawKey]: true }) as unknown as TUnsafe<RawJson>;
}

/** Which values of a document with this schema stay raw; undefined when none do. */
export function rawTreeOf(schema: TSchema): RawTree | undefined {
  if (schema[rawKey] === true) return "raw";
  // An optional member is a union with null; no union has two different shapes with raw values in them.
  for (const variant of (schema["anyOf"] ?? []) as TSchema[]) {
    const tree = rawTreeOf(variant);
    if (tree !== undefined) return tree;
  }
  if (schema["type"] === "array" && schema["items"] !== undefined) {
    return wrapElements(rawTreeOf(schema["items"] as TSchema));
  }
  const pattern = schema["patternProperties"] as Record<string, TSchema> | undefined;
  if (pattern !== undefined) {
    const inner = Object.values(pattern)[0];
    return inner === undefined ? undefined : wrapElements(rawTreeOf(inner));
  }
  const properties = schema["properties"] as Record<string, TSchema> | undefined;
  if (properties === undefined) return undefined;
  const members: Record<string, RawTree> = {};
  for (const [key, inner] of Object.entries(properties)) {
    const tree = rawTreeOf(inner);
    if (tree !== undefined) members[key] = tree;
  }
  return Object.keys(members).length === 0 ? undefined : { members };
}

function wrapElements(tree: RawTree | undefined): RawTree | undefined {
  return tree === undefined ? undefined : { elements: tree };
}
