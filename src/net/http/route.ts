/**
 * One operation of the table as an HTTP route: request in, response out. Nothing is thrown past `serve`.
 *
 * The path of a small POST is short on purpose: one await for the bytes, one for the handler, and no header, query or
 * path work that the operation does not need. Admission counts requests and body bytes, so that a flood is answered
 * with OVERLOADED instead of memory.
 */
import type { Operation } from "../../api/operation.ts";
import { rawTreeOf, Streamed } from "../../api/operation.ts";
import { type CallContext, Reply } from "../../api/operations.ts";
import { CorvoError } from "../../base/errors.ts";
import { stringifyJson } from "../../base/json.ts";
import type { Clock } from "../../base/ports.ts";
import { type Admission, RequestContext, type WhenNotLeading } from "./admission.ts";
import { BodyParser, decodeUtf8 } from "./body.ts";
import type { Drain } from "./drain.ts";
import { isPassedOn } from "./hops.ts";
import { PathParams, QueryParams, splitUrl } from "./input.ts";
import type { HttpLimits } from "./limits.ts";
import { takeRaw } from "./raw-body.ts";
import { cutShort, readBody } from "./read-body.ts";
import { errorReply, jsonReply, streamReply } from "./reply.ts";

type Input = { readonly params: unknown; readonly query: unknown; readonly body: unknown };
export type AnyHandler = (input: Input, context: CallContext) => Promise<unknown>;

/** One shard's side of an operation. */
export interface RoutePart {
  readonly handler: AnyHandler;
  readonly whenNotLeading: WhenNotLeading;
}

const nothing = Object.freeze({});

/** What all routes of one app share. */
export interface RouteDeps {
  readonly limits: HttpLimits;
  readonly clock: Clock;
  readonly admission: Admission;
  readonly whenNotLeading: WhenNotLeading;
  readonly drain: Drain;
  /** Turns anything thrown into an error to answer with, logging what is unexpected. */
  readonly explain: (thrown: unknown, request: Request) => CorvoError;
}

export class Route {
  readonly #operation: Operation;
  readonly #handler: AnyHandler;
  readonly #deps: RouteDeps;
  readonly #params: PathParams;
  readonly #query: QueryParams;
  readonly #body: BodyParser | undefined;
  readonly #needsUrl: boolean;
  readonly #stringify: (value: unknown) => string;

  constructor(operation: Operation, handler: AnyHandler, deps: RouteDeps) {
    this.#operation = operation;
    this.#handler = handler;
    this.#deps = deps;
    this.#params = new PathParams(operation.path, operation.params);
    const knowsAll = !operation.ignoresUnknown;
    this.#query = new QueryParams(operation.query, knowsAll);
    this.#needsUrl =
      Object.keys(operation.params.properties).length > 0 ||
      Object.keys(operation.query.properties).length > 0;
    const bodyFields = Object.keys((operation.body["properties"] ?? {}) as object);
    if (operation.method !== "GET" && bodyFields.length > 0) {
      this.#body = new BodyParser(operation.body, { root: "the body", knowsAll }, deps.limits);
    }
    // Where the answer holds no raw text the native writer does the same, faster.
    this.#stringify = rawTreeOf(operation.result) === undefined ? JSON.stringify : stringifyJson;
  }

  /** `part` is who carries out the call instead of the handler that the route was made with. */
  async serve(request: Request, part?: RoutePart): Promise<Response> {
    const { clock, admission } = this.#deps;
    const startMs = clock.monotonicMs();
    const held = { entered: false, bytes: 0, reading: false, isStreaming: false };
    const { handler, whenNotLeading: watch } = part ?? {
      handler: this.#handler,
      whenNotLeading: this.#deps.whenNotLeading,
    };
    const whenNotLeading = this.#operation.waits ? watch : undefined;
    const context = new RequestContext(request, admission, whenNotLeading);
    try {
      admission.enter();
      held.entered = true;
      let body: unknown = nothing;
      if (this.#body !== undefined) {
        held.reading = true;
        const bytes = await readBody(request, this.#deps, held);
        held.reading = false;
        body =
          this.#operation.takes === "raw" && part === undefined
            ? takeRaw(request, bytes, this.#deps.limits)
            : this.#parseBody(this.#body, bytes);
      }
      const input = this.#needsUrl
        ? this.#readUrl(request.url, body)
        : { params: nothing, query: nothing, body };
      const result = await handler(input, context);
      if (result instanceof Streamed) {
        held.isStreaming = true;
        return streamReply(this.#operation, result.chunks, (failure) => {
          this.#end(context, held);
          // Nobody can be answered any more, but it is logged.
          if (failure !== undefined) this.#deps.explain(failure, request);
        });
      }
      if (result instanceof Reply) {
        const text = result.body === undefined ? undefined : this.#stringify(result.body);
        if (this.#operation.claims && text !== undefined) this.#noteLeases(request, text);
        return jsonReply(result.status, text, clock.monotonicMs() - startMs);
      }
      const text = this.#stringify(result);
      if (this.#operation.claims) this.#noteLeases(request, text);
      return jsonReply(this.#operation.status, text, clock.monotonicMs() - startMs);
    } catch (thrown) {
      const error =
        held.reading && !(thrown instanceof CorvoError)
          ? cutShort(thrown)
          : this.#deps.explain(thrown, request);
      return errorReply(error, clock.monotonicMs() - startMs);
    } finally {
      if (!held.isStreaming) this.#end(context, held);
    }
  }

  #end(context: RequestContext, held: { readonly entered: boolean; readonly bytes: number }): void {
    const { admission } = this.#deps;
    context.end();
    admission.bodyBytes -= held.bytes;
    if (held.entered) admission.requests--;
  }

  /** Leases that another node passes on are that node's to know of. */
  #noteLeases(request: Request, text: string): void {
    if (!isPassedOn(request)) this.#deps.drain.note(text);
  }

  #readUrl(url: string, body: unknown): Input {
    const { path, query } = splitUrl(url);
    return { params: this.#params.parse(path), query: this.#query.parse(query), body };
  }

  #parseBody(parser: BodyParser, bytes: Uint8Array): unknown {
    const { bodyOptional } = this.#operation;
    if (bytes.length > 0) {
      const text = decodeUtf8(bytes);
      return bodyOptional === "or null" && text.trim() === "null" ? nothing : parser.parse(text);
    }
    if (bodyOptional) return nothing;
    throw new CorvoError("PARSE_ERROR", "the body is empty; a JSON object was expected");
  }
}
