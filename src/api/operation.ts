/**
 * What an operation is: one row of the table from which the HTTP route, its validation, the OpenAPI document, the typed
 * client and the flags of the command line are made. Nothing else in the program lists routes.
 */
import { type Static, type TObject, type TSchema, type TUnsafe, Type } from "@sinclair/typebox";
import type { ErrorCode } from "../base/errors.ts";
import type { RawJson, RawTree } from "../base/json.ts";

export type Method = "GET" | "POST" | "PUT" | "DELETE";

/**
 * Where the jobs are that a call is about, on a server with several shards (`base/placement.ts`):
 *
 * - `queue`: all of them in the queue that `params.name` or `body.queue` names;
 * - `job`: the one job that `params.job_id` names, or the group of jobs that `params.chain_id` or `params.batch_id` does;
 * - `parts`: in several shards; the call is split and its answers are merged, by a function of its own in `service/shards`;
 * - `global`: in no queue: what concerns the cluster as a whole stands in shard 0;
 * - `node`: nowhere: the node that was asked answers from what it is.
 */
export type Placement = "queue" | "job" | "parts" | "global" | "node";

export interface Operation<
  Params extends TObject = TObject,
  Query extends TObject = TObject,
  Body extends TSchema = TSchema,
  Result extends TSchema = TSchema,
  Where extends Placement = Placement,
> {
  readonly method: Method;
  /** Path with `{name}` placeholders, from the root. */
  readonly path: string;
  readonly tag:
    | "worker"
    | "workers"
    | "jobs"
    | "flow"
    | "queues"
    | "limits"
    | "schedules"
    | "webhooks"
    | "search"
    | "events"
    | "system"
    | "cluster";
  readonly summary: string;
  readonly params: Params;
  readonly query: Query;
  readonly body: Body;
  /**
   * `raw`: the body may be anything, and is taken with the headers of the call; the members of `body` are `text` and
   * `headers` then.
   */
  readonly takes: "json" | "raw";
  /** May the body be left out? Then an empty object stands for it; with `or null`, for a body of null as well. */
  readonly bodyOptional: boolean | "or null";
  /**
   * Members and parameters that the call does not know are ignored instead of refused: clients of 0.3 send some, and so do
   * nodes of later versions.
   */
  readonly ignoresUnknown: boolean;
  readonly result: Result;
  /** Content type of success. */
  readonly produces: string;
  /** Status of success; a handler may answer another one through `Reply`. */
  readonly status: number;
  /** Further statuses of success, with what each means. 204 has no body. */
  readonly otherStatuses: Readonly<Record<number, string>>;
  readonly errors: readonly ErrorCode[];
  /** Which node of a cluster answers: the leader, to which others pass the call on, or the one that was asked. */
  readonly answeredBy: "leader" | "any";
  readonly placement: Where;
  /** Changes nothing, and `?consistency` chooses who answers. Made by `readOperation`. */
  readonly read: boolean;
  /** While there is no leader, the node that was asked answers with what it has, and says so. */
  readonly answersAlone: boolean;
  /** May be held open until something happens; a server that stops ends it at once. */
  readonly waits: boolean;
  /** Gives out work: refused by a node that drains. */
  readonly claims: boolean;
}

type Draft<P, Q, B, R, W> = Pick<Operation, "method" | "path" | "tag" | "summary"> & {
  readonly placement: W;
  readonly params?: P;
  readonly query?: Q;
  readonly body?: B;
  readonly takes?: Operation["takes"];
  readonly bodyOptional?: Operation["bodyOptional"];
  readonly ignoresUnknown?: boolean;
  readonly result: R;
  readonly produces?: string;
  readonly status?: number;
  readonly otherStatuses?: Readonly<Record<number, string>>;
  readonly errors?: readonly ErrorCode[];
  readonly answeredBy?: Operation["answeredBy"];
  readonly answersAlone?: boolean;
  readonly waits?: boolean;
  readonly claims?: boolean;
};

type Empty = TObject<Record<never, never>>;
const empty: Empty = Type.Object({});

/** Fills in what a row leaves out. */
export function operation<
  R extends TSchema,
  W extends Placement,
  P extends TObject = Empty,
  Q extends TObject = Empty,
  B extends TSchema = Empty,
>(draft: Draft<P, Q, B, R, W>): Operation<P, Q, B, R, W> {
  return {
    method: draft.method,
    path: draft.path,
    tag: draft.tag,
    summary: draft.summary,
    params: (draft.params ?? empty) as P,
    query: (draft.query ?? empty) as Q,
    body: (draft.body ?? empty) as B,
    takes: draft.takes ?? "json",
    bodyOptional: draft.bodyOptional ?? draft.body === undefined,
    ignoresUnknown: draft.ignoresUnknown ?? false,
    result: draft.result,
    produces: draft.produces ?? "application/json",
    status: draft.status ?? 200,
    otherStatuses: draft.otherStatuses ?? {},
    errors: draft.errors ?? [],
    answeredBy: draft.answeredBy ?? "leader",
    placement: draft.placement,
    read: false,
    answersAlone: draft.answersAlone ?? false,
    waits: draft.waits ?? false,
    claims: draft.claims ?? false,
  };
}

/**
 * `strong` sees every write that was acknowledged before the call, and needs the leader. `stale` is answered from what the
 * asked node has, and works without one.
 */
export function consistencyWith(byDefault: "strong" | "stale") {
  return Type.Optional(
    Type.Union([Type.Literal("strong"), Type.Literal("stale")], {
      description: `Default ${byDefault}. strong: the leader answers, with every acknowledged write. stale: the asked node answers with what it has.`,
    }),
  );
}

const ReadQuery = Type.Object({ consistency: consistencyWith("strong") });

/** An operation that changes nothing; a query of its own has to take `consistency` as well. */
export function readOperation<
  R extends TSchema,
  W extends Placement,
  P extends TObject = Empty,
  Q extends TObject<{ consistency: typeof ReadQuery.properties.consistency }> = typeof ReadQuery,
  B extends TSchema = Empty,
>(draft: Draft<P, Q, B, R, W>): Operation<P, Q, B, R, W> {
  const query = draft.query ?? (ReadQuery as TObject as Q);
  return { ...operation<R, W, P, Q, B>({ ...draft, query }), read: true };
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

/**
 * An answer that comes in pieces, for as long as there are more. A reader that goes away ends the iteration; a failure is seen by
 * the reader as a cut.
 */
export class Streamed {
  readonly chunks: AsyncIterable<string | Uint8Array>;
  constructor(chunks: AsyncIterable<string | Uint8Array>) {
    this.chunks = chunks;
  }
}

const piecesKey = "x-pieces";

/** The result of an operation that is answered in pieces. */
export function Pieces(description: string): TUnsafe<Streamed> {
  return Type.String({ description, [piecesKey]: true }) as unknown as TUnsafe<Streamed>;
}

export function comesInPieces({ result }: Operation): boolean {
  return result[piecesKey] === true;
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
