/**
 * The typed client. It has one method per row of the operations table, made at run time: a new operation is callable
 * the moment the table has it, and a wrong field does not compile.
 *
 * Payloads, results and checkpoints stay `RawJson` in both directions. A call is sent again only where that cannot do
 * harm: the server said that it did not accept it, the connection was never made, or the call may be repeated (a read,
 * or one with an idempotency key).
 */
import { requestLimits } from "../api/limits.ts";
import {
  type BodyOf,
  comesInPieces,
  type Operation,
  type ParamsOf,
  type QueryOf,
  type ResultOf,
  rawTreeOf,
  Streamed,
} from "../api/operation.ts";
import { type OperationName, type Operations, operations } from "../api/operations.ts";
import { shardHeader } from "../api/shard-header.ts";
import { CorvoError } from "../base/errors.ts";
import { parseJson, type RawTree, stringifyJson } from "../base/json.ts";
import type { Random, Timers } from "../base/ports.ts";
import { errorOfNetwork, errorOfResponse, piecesOf } from "./errors.ts";
import { abortReason, defaultRetry, pause, type RetryPolicy, retryDelayMs } from "./retry.ts";
import { ServerList } from "./servers.ts";

export type Fetch = (request: Request) => Promise<Response>;

export interface ClientOptions {
  /**
   * Such as `http://127.0.0.1:8080`; a path before `/api` is kept. Several nodes of one cluster are separated by commas: when
   * one cannot be reached or refuses to serve, the next is asked.
   */
  readonly server: string;
  readonly apiKey?: string;
  readonly fetch: Fetch;
  readonly timers: Timers;
  readonly random: Random;
  readonly retry?: Partial<RetryPolicy>;
  /** Longest wait for one answer, on top of the time that the call itself asks the server to wait. Default 60 s. */
  readonly timeoutMs?: number;
}

export interface CallOptions {
  readonly signal?: AbortSignal;
  readonly timeoutMs?: number;
  readonly headers?: Readonly<Record<string, string>>;
  /**
   * Does it do no harm when the call is carried out twice? By default that is so for a GET and for a call with an idempotency
   * key; then a connection that breaks is told as UNAVAILABLE.
   */
  readonly mayRepeat?: boolean;
  /** Hears the status of the successful answer. */
  readonly onStatus?: (status: number) => void;
}

type Part<Key extends string, T> =
  Record<never, never> extends T
    ? { readonly [K in Key]?: T | undefined }
    : { readonly [K in Key]: T };

/** What a call needs; a part without a required member may be left out. */
export type CallInput<O extends Operation> = Part<"params", ParamsOf<O>> &
  Part<"query", QueryOf<O>> &
  Part<"body", BodyOf<O>>;

/** Only a claim is answered by 204, which is undefined here. */
type Answer<Name extends OperationName> =
  | ResultOf<Operations[Name]>
  | (Name extends "fetchJob" ? undefined : never);

type Method<Name extends OperationName, Result> =
  Record<never, never> extends CallInput<Operations[Name]>
    ? (input?: CallInput<Operations[Name]>, options?: CallOptions) => Promise<Result>
    : (input: CallInput<Operations[Name]>, options?: CallOptions) => Promise<Result>;

export type Client = {
  readonly [Name in OperationName]: Method<Name, Answer<Name>>;
} & {
  /** The answer as the text that the server sent. */
  text<Name extends OperationName>(
    name: Name,
    ...rest: Parameters<Method<Name, string>>
  ): Promise<string>;
};

interface LooseInput {
  readonly params?: unknown;
  readonly query?: unknown;
  readonly body?: unknown;
}

/** An answer may hold a payload of the deepest allowed nesting some levels down. */
const answerDepthMax = requestLimits.jsonDepthMax + 16;
const defaultTimeoutMs = 60_000;

export function createClient(options: ClientOptions): Client {
  const caller = new Caller(options);
  const methods: Record<string, unknown> = {
    text: (name: OperationName, input: LooseInput = {}, call: CallOptions = {}) =>
      caller.send(operations[name], input, call),
  };
  for (const [name, operation] of Object.entries<Operation>(operations)) {
    const tree = rawTreeOf(operation.result);
    methods[name] = comesInPieces(operation)
      ? (input: LooseInput = {}, call: CallOptions = {}) => caller.open(operation, input, call)
      : async (input: LooseInput = {}, call: CallOptions = {}) =>
          readAnswer(await caller.send(operation, input, call), tree, options.server);
  }
  // The loop above covers every key of the table; the type cannot follow it.
  return methods as Client;
}

function readAnswer(text: string, tree: RawTree | undefined, server: string): unknown {
  if (text === "") return undefined;
  const parsed = parseJson(text, tree, answerDepthMax);
  if (parsed.ok) return parsed.value;
  throw new CorvoError("UNAVAILABLE", `${server} sent an answer that is not JSON`, {
    retryable: false,
    hint: "Is this the address of a Corvo server, and of no proxy before it?",
    details: { problem: parsed.message },
  });
}

class Caller {
  readonly #options: ClientOptions;
  readonly #servers: ServerList;
  readonly #retry: RetryPolicy;
  readonly #headers: Readonly<Record<string, string>>;

  constructor(options: ClientOptions) {
    this.#options = options;
    this.#servers = new ServerList(options.server);
    this.#retry = { ...defaultRetry, ...options.retry };
    this.#headers = {
      accept: "application/json",
      ...(options.apiKey === undefined ? {} : { "x-api-key": options.apiKey }),
    };
  }

  /** Sends the call, again where that is safe, and returns the text of the successful answer. */
  send(operation: Operation, input: LooseInput, call: CallOptions): Promise<string> {
    return this.#call(operation, { input, call, read: (response) => response.text() });
  }

  /** The same for an answer in pieces, which may take any time once it has begun. */
  open(operation: Operation, input: LooseInput, call: CallOptions): Promise<Streamed> {
    const read = async ({ body }: Response) =>
      new Streamed(piecesOf(body ?? new ReadableStream(), this.#servers.current, call.signal));
    return this.#call(operation, { input, call, read });
  }

  async #call<T>(operation: Operation, { input, call, read }: Calling<T>): Promise<T> {
    const path = pathOf(operation, input);
    const hasBody = operation.method === "POST" || operation.method === "PUT";
    const raw = rawBodyOf(operation, input, call);
    const body = raw?.text ?? (hasBody ? stringifyJson(input.body ?? {}) : undefined);
    const headers = raw?.headers ?? {};
    const mayRepeat =
      call.mayRepeat ?? (operation.method === "GET" || hasIdempotencyKey(input.body));
    const prepared = { path, body, headers, mayRepeat, waitMs: askedWaitMs(input), read };
    await this.#servers.findAwake(this.#options, call.signal);
    let askedLeftMs = this.#retry.askedMsMax ?? 0;
    for (let attempt = 1; ; attempt++) {
      const outcome = await this.#round(operation, prepared, call);
      if (outcome.kind === "answer") return outcome.value;
      if (outcome.isSilent && this.#retry.endsAtSilence === true) throw outcome.error;
      const { retryAfterMs } = outcome.error;
      // Somebody between may ask for no pause at all, each time.
      const askedMs = Math.max(retryAfterMs ?? Number.POSITIVE_INFINITY, this.#retry.baseDelayMs);
      let delayMs: number | undefined;
      if (outcome.mayRetry && askedMs <= askedLeftMs) {
        askedLeftMs -= askedMs;
        delayMs = askedMs;
      } else if (outcome.mayRetry) {
        delayMs = retryDelayMs(this.#retry, this.#options.random, attempt, retryAfterMs);
      }
      if (delayMs === undefined) throw outcome.error;
      if (shouldMove(outcome)) this.#servers.moveOn();
      await pause(this.#options.timers, delayMs, call.signal);
    }
  }

  /** The other servers are asked at once: a pause is for when all of them failed. */
  async #round<T>(
    operation: Operation,
    prepared: Prepared<T>,
    call: CallOptions,
  ): Promise<Outcome<T>> {
    let asked: Outcome<T> | undefined;
    let outcome = await this.#attempt(operation, prepared, call);
    for (let others = this.#servers.count - 1; others > 0 && shouldMove(outcome); others--) {
      if (isAsked(outcome)) asked = outcome;
      this.#servers.moveOn();
      outcome = await this.#attempt(operation, prepared, call);
    }
    // A server that says when to come back knows more than one that is not there.
    return shouldMove(outcome) && !isAsked(outcome) ? (asked ?? outcome) : outcome;
  }

  async #attempt<T>(
    operation: Operation,
    prepared: Prepared<T>,
    call: CallOptions,
  ): Promise<Outcome<T>> {
    const { path, body, headers, mayRepeat, waitMs, read } = prepared;
    const server = this.#servers.current;
    const url = server + path;
    const timeoutMs = waitMs + (call.timeoutMs ?? this.#options.timeoutMs ?? defaultTimeoutMs);
    const timeout = new AbortController();
    const stop = this.#options.timers.after(timeoutMs, () =>
      timeout.abort(new Error(`no answer within ${timeoutMs} ms`)),
    );
    const signals = call.signal === undefined ? [timeout.signal] : [timeout.signal, call.signal];
    let response: Response;
    let answer: { readonly value: T } | { readonly error: string };
    try {
      const request = new Request(url, {
        method: operation.method,
        headers: {
          ...this.#headers,
          ...call.headers,
          ...(body === undefined ? {} : { "content-type": "application/json" }),
          ...headers,
        },
        ...(body === undefined ? {} : { body }),
        // Another server must not get the key and the payload because this one says so.
        redirect: "manual",
        signal: AbortSignal.any(signals),
      });
      response = await this.#options.fetch(request);
      answer = response.ok ? { value: await read(response) } : { error: await response.text() };
    } catch (cause) {
      if (call.signal?.aborted) throw abortReason(call.signal);
      const reason = timeout.signal.aborted ? timeout.signal.reason : cause;
      const isSilent = timeout.signal.aborted;
      return { kind: "failed", ...errorOfNetwork(reason, server, mayRepeat), isSilent };
    } finally {
      stop();
    }
    if ("value" in answer) {
      call.onStatus?.(response.status);
      return { kind: "answer", value: answer.value };
    }
    const error = errorOfResponse(response, answer.error, url);
    const mayRetry = error.retryable || (error.code === "OUTCOME_UNKNOWN" && mayRepeat);
    return { kind: "failed", error, mayRetry, isSilent: false };
  }
}

type Read<T> = (response: Response) => Promise<T>;

interface Calling<T> {
  readonly input: LooseInput;
  readonly call: CallOptions;
  readonly read: Read<T>;
}

interface Prepared<T> {
  readonly read: Read<T>;
  readonly path: string;
  readonly body: string | undefined;
  readonly headers: Readonly<Record<string, string>>;
  readonly mayRepeat: boolean;
  readonly waitMs: number;
}

type Outcome<T> =
  | { readonly kind: "answer"; readonly value: T }
  | {
      readonly kind: "failed";
      readonly error: CorvoError;
      readonly mayRetry: boolean;
      /** No answer came in the time for it. */
      readonly isSilent: boolean;
    };

/** Did the server say when to come back? */
function isAsked(outcome: Outcome<unknown>): boolean {
  return outcome.kind === "failed" && outcome.error.retryAfterMs !== undefined;
}

/** Would another server of the same cluster do better? Also when it is of no use to ask this one again, which is none of ours. */
function shouldMove(outcome: Outcome<unknown>): boolean {
  return outcome.kind === "failed" && outcome.error.code === "UNAVAILABLE";
}

function pathOf(operation: Operation, input: LooseInput): string {
  const params = recordOf(input.params);
  const path = operation.path.replace(/\{(\w+)\}/g, (_, name: string) => {
    const value = params[name];
    const isNoSegment = value === undefined || value === "" || value === "." || value === "..";
    // Half a surrogate pair has no bytes that could be sent.
    if (isNoSegment || !String(value).isWellFormed()) {
      throw new CorvoError("VALIDATION_ERROR", `${name} is ${JSON.stringify(value ?? null)}`);
    }
    return encodeURIComponent(String(value));
  });
  const query = new URLSearchParams();
  for (const [key, value] of Object.entries(recordOf(input.query))) {
    if (value !== undefined && value !== null) query.append(key, String(value));
  }
  const text = query.toString();
  return text === "" ? path : `${path}?${text}`;
}

interface RawBody {
  readonly text: string;
  readonly headers: Readonly<Record<string, string>>;
}

/** What is sent as it is. Between nodes it travels as the JSON that it was read into. */
function rawBodyOf(
  operation: Operation,
  { body }: LooseInput,
  { headers }: CallOptions,
): RawBody | undefined {
  const isBetweenNodes = headers !== undefined && Object.hasOwn(headers, shardHeader);
  return operation.takes === "raw" && !isBetweenNodes ? (body as RawBody) : undefined;
}

function recordOf(value: unknown): Record<string, unknown> {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
}

function hasIdempotencyKey(body: unknown): boolean {
  return typeof recordOf(body)["idempotency_key"] === "string";
}

/** How long the server was asked to hold the call open. */
function askedWaitMs(input: LooseInput): number {
  const body = recordOf(input.body);
  if (typeof body["wait_ms"] === "number") return body["wait_ms"];
  const seconds = recordOf(input.query)["timeout"] ?? body["timeout"];
  return typeof seconds === "number" ? seconds * 1000 : 0;
}
