/**
 * The operations of `api/bytes.ts` as routes: bodies and answers are streamed, and held in memory only up to the size of a
 * payload in a job's record. What is about jobs is asked of the routes of the JSON operations in this process, with the
 * caller's own headers, so that nothing of theirs is done in two ways.
 */
import { type BytesOperation, type BytesOperationName, bytesOperations } from "../../api/bytes.ts";
import { rawTreeOf } from "../../api/operation.ts";
import { operations } from "../../api/operations.ts";
import { CorvoError } from "../../base/errors.ts";
import { parseJson, RawJson, stringifyJson } from "../../base/json.ts";
import type { Clock } from "../../base/ports.ts";
import type { Admission } from "./admission.ts";
import type { BlobAccess } from "./blob-access.ts";
import { decodeUtf8 } from "./body.ts";
import { PathParams, QueryParams, splitUrl } from "./input.ts";
import type { HttpLimits } from "./limits.ts";
import { cutShort } from "./read-body.ts";
import { corsHeaders, errorReply, jsonReply, timing } from "./reply.ts";

export interface ByteRoutesDeps {
  readonly blobs: BlobAccess;
  readonly limits: HttpLimits;
  readonly admission: Admission;
  readonly clock: Clock;
  readonly explain: (thrown: unknown, request: Request) => CorvoError;
  /** Answers a request as if it had come from outside. */
  readonly ask: (request: Request) => Promise<Response>;
}

/** What one call has at hand. */
interface Call {
  readonly request: Request;
  readonly params: Record<string, string>;
  readonly query: Record<string, unknown>;
  /** Bytes in memory that the call holds; given back at its end. */
  readonly held: { bytes: number };
}

type Answer = (call: Call) => Promise<Response>;

const octets = "application/octet-stream";
const jobTree = rawTreeOf(operations.getJob.result);

export class ByteRoutes {
  readonly #deps: ByteRoutesDeps;

  constructor(deps: ByteRoutesDeps) {
    this.#deps = deps;
  }

  /** Every route, with what answers it. */
  *all(): Iterable<{ operation: BytesOperation; serve: (request: Request) => Promise<Response> }> {
    const answers: Record<BytesOperationName, Answer> = {
      uploadBlob: (call) => this.#upload(call),
      getBlob: (call) => this.#blob(call.params["hash"] ?? "", octets),
      enqueueBytes: (call) => this.#enqueue(call),
      getPayload: (call) => this.#value(call, "payload"),
      getResult: (call) => this.#value(call, "result"),
    };
    for (const [name, answer] of Object.entries(answers)) {
      const operation: BytesOperation = bytesOperations[name as BytesOperationName];
      const params = new PathParams(operation.path, operation.params);
      const query = new QueryParams(operation.query, true);
      yield {
        operation,
        serve: (request) => this.#serve(request, { params, query, answer }),
      };
    }
  }

  async #serve(
    request: Request,
    route: { params: PathParams; query: QueryParams; answer: Answer },
  ): Promise<Response> {
    const { admission, clock, explain } = this.#deps;
    const startMs = clock.monotonicMs();
    const held = { bytes: 0 };
    let entered = false;
    try {
      admission.enter();
      entered = true;
      const url = splitUrl(request.url);
      const params = route.params.parse(url.path);
      const query = route.query.parse(url.query);
      const reply = await route.answer({ request, params, query, held });
      reply.headers.set("server-timing", timing(clock.monotonicMs() - startMs));
      return reply;
    } catch (thrown) {
      return errorReply(explain(thrown, request), clock.monotonicMs() - startMs);
    } finally {
      admission.bodyBytes -= held.bytes;
      if (entered) admission.requests--;
    }
  }

  async #upload({ request }: Call): Promise<Response> {
    const kept = await this.#deps.blobs.put(contentOf(request.body));
    return jsonReply(201, JSON.stringify(kept), 0);
  }

  async #blob(hash: string, type: string): Promise<Response> {
    const content = await this.#deps.blobs.open(hash);
    if (content === undefined) {
      throw new CorvoError("BLOB_NOT_FOUND", `no node that could be asked has blob ${hash}`);
    }
    return bytesReply(content, type);
  }

  async #enqueue(call: Call): Promise<Response> {
    const { request, params, query } = call;
    const type = request.headers.get("content-type") ?? octets;
    const payload = await this.#payloadOf(call, type);
    const body = stringifyJson({ ...query, queue: params["name"], ...payload });
    return this.#ask(request, operations.enqueueJob.path, body);
  }

  async #payloadOf(call: Call, type: string): Promise<object> {
    const content = contentOf(call.request.body)[Symbol.asyncIterator]();
    const { payloadBytesMax } = this.#deps.limits;
    const first = await this.#take(content, payloadBytesMax, call.held);
    if (first.length > payloadBytesMax) {
      const { hash } = await this.#deps.blobs.put(joined(first, content));
      return { payload_blob: hash, content_type: type };
    }
    if (!isJson(type)) return { payload_base64: first.toString("base64"), content_type: type };
    // Looked at by itself: within the text of another document it could say more than a value.
    const parsed = parseJson(decodeUtf8(first), "raw", this.#deps.limits.jsonDepthMax);
    if (parsed.ok) return { payload: parsed.value };
    throw new CorvoError("PARSE_ERROR", `the body is not valid JSON: ${parsed.message}`, {
      hint: "Send another Content-Type to have the bytes as they are.",
    });
  }

  /** The first bytes of the body: all of it, or a little more than `bytesMax`. */
  async #take(
    content: AsyncIterator<Uint8Array>,
    bytesMax: number,
    held: { bytes: number },
  ): Promise<Buffer> {
    const pieces: Uint8Array[] = [];
    let bytes = 0;
    while (bytes <= bytesMax) {
      const step = await content.next();
      if (step.done === true) break;
      this.#deps.admission.takeBytes(step.value.length);
      held.bytes += step.value.length;
      bytes += step.value.length;
      pieces.push(step.value);
    }
    return Buffer.concat(pieces, bytes);
  }

  async #value({ request, params }: Call, name: "payload" | "result"): Promise<Response> {
    const path = operations.getJob.path.replace(
      "{job_id}",
      encodeURIComponent(params["job_id"] ?? ""),
    );
    const answer = await this.#ask(request, path, undefined);
    if (answer.status !== 200) return answer;
    const parsed = parseJson(await answer.text(), jobTree, Number.POSITIVE_INFINITY);
    if (!parsed.ok) throw new Error(`a job that is not JSON: ${parsed.message}`);
    const job = parsed.value as Readonly<Record<string, unknown>>;
    const type = job[name === "payload" ? "content_type" : "result_type"];
    const hash = job[`${name}_blob`];
    const base64 = job[`${name}_base64`];
    const json = job[name];
    if (typeof hash === "string") return this.#blob(hash, String(type));
    if (typeof base64 === "string") return bytesReply(Buffer.from(base64, "base64"), String(type));
    if (json instanceof RawJson) return bytesReply(Buffer.from(json.text), "application/json");
    if (json === null) return bytesReply(Buffer.from("null"), "application/json");
    throw new CorvoError("NOT_FOUND", `job "${params["job_id"]}" has no ${name}`);
  }

  #ask(request: Request, path: string, body: string | undefined): Promise<Response> {
    const headers = new Headers(request.headers);
    for (const name of ["content-length", "content-type", "transfer-encoding", "expect"]) {
      headers.delete(name);
    }
    const { origin } = new URL(request.url);
    return this.#deps.ask(
      new Request(origin + path, {
        method: body === undefined ? "GET" : "POST",
        headers,
        ...(body === undefined ? {} : { body }),
        signal: request.signal,
      }),
    );
  }
}

/** The body piece by piece. A connection that breaks is told as that. */
export async function* contentOf(
  body: ReadableStream<Uint8Array> | null,
): AsyncIterable<Uint8Array> {
  if (body === null) return;
  const reader = body.getReader();
  let isOver = false;
  try {
    for (;;) {
      const step = await reader.read().catch((cause: unknown) => {
        isOver = true;
        throw cutShort(cause);
      });
      if (step.done) {
        isOver = true;
        return;
      }
      yield step.value;
    }
  } finally {
    // Whoever took the pieces wants no more of them.
    if (!isOver) await reader.cancel().catch(() => undefined);
  }
}

async function* joined(
  first: Uint8Array,
  rest: AsyncIterator<Uint8Array>,
): AsyncIterable<Uint8Array> {
  yield first;
  try {
    for (;;) {
      const step = await rest.next();
      if (step.done === true) return;
      yield step.value;
    }
  } finally {
    await rest.return?.();
  }
}

function isJson(type: string): boolean {
  return /^application\/json *(?:;|$)/i.test(type);
}

/** Bytes that somebody sent are never to be run by a browser that shows them. */
export function bytesReply(content: Blob | Uint8Array<ArrayBuffer>, type: string): Response {
  return new Response(content, {
    headers: {
      ...corsHeaders,
      "content-type": type,
      "content-disposition": "attachment",
      "x-content-type-options": "nosniff",
    },
  });
}
