/**
 * Responses: JSON text with the headers that every reply carries. Header objects are kept per content type and per
 * duration step, since building them anew costs a tenth of a small request.
 */
import type { Operation } from "../../api/operation.ts";
import { type CorvoError, errorTable } from "../../base/errors.ts";

export const corsHeaders = {
  "access-control-allow-origin": "*",
  "access-control-allow-methods": "GET, POST, PUT, DELETE, OPTIONS",
  "access-control-allow-headers": "Content-Type, Authorization, X-API-Key, X-Corvo-Namespace",
  "access-control-expose-headers": "Server-Timing, Retry-After",
};

/** Durations up to this are reported in steps of a twentieth of a millisecond from kept headers. */
const keptMsMax = 50;
const stepsPerMs = 20;

const keptJson: Headers[] = [];
const keptEmpty: Headers[] = [];

const stepOf = (durationMs: number) => Math.max(0, Math.round(durationMs * stepsPerMs));

/** The header `Server-Timing`. */
export function timing(durationMs: number): string {
  return `proc;dur=${stepOf(durationMs) / stepsPerMs}`;
}

function headersOf(durationMs: number, json: boolean): Headers {
  const kept = json ? keptJson : keptEmpty;
  const step = stepOf(durationMs);
  const found = kept[step];
  if (found !== undefined) return found;
  const headers = new Headers(corsHeaders);
  headers.set("server-timing", timing(durationMs));
  if (json) headers.set("content-type", "application/json");
  if (step <= keptMsMax * stepsPerMs) kept[step] = headers;
  return headers;
}

/** A JSON reply; without text it is empty. */
export function jsonReply(status: number, text: string | undefined, durationMs: number): Response {
  if (text === undefined) {
    return new Response(null, { status, headers: headersOf(durationMs, false) });
  }
  return new Response(text, { status, headers: headersOf(durationMs, true) });
}

const encoder = new TextEncoder();

/**
 * An answer in pieces, as fast as the reader takes them. `end` is called once: at the last piece, when the reader goes away, or
 * with the failure when a piece cannot be made, which cuts the connection so that nobody takes the answer for whole.
 */
export function streamReply(
  { status, produces }: Operation,
  chunks: AsyncIterable<string | Uint8Array>,
  end: (failure?: unknown) => void,
): Response {
  const iterator = chunks[Symbol.asyncIterator]();
  let isOver = false;
  const finish = (failure?: unknown) => {
    if (isOver) return;
    isOver = true;
    end(failure);
  };
  const body = new ReadableStream<Uint8Array>({
    async pull(controller) {
      try {
        const { done, value } = await iterator.next();
        if (!done) {
          controller.enqueue(typeof value === "string" ? encoder.encode(value) : value);
          return;
        }
        finish();
        controller.close();
      } catch (error) {
        finish(error);
        controller.error(error);
      }
    },
    async cancel() {
      finish();
      await iterator.return?.();
    },
  });
  const headers = new Headers(corsHeaders);
  headers.set("content-type", produces);
  headers.set("cache-control", "no-store");
  return new Response(body, { status, headers });
}

/** Waiting time to suggest when the thrower named none. */
const retryAfterMsDefault = 1000;

/** How long the caller of a retryable failure should wait; undefined when repeating the call may do harm. */
function retryAfterMsOf(error: CorvoError): number | undefined {
  const { status } = errorTable[error.code];
  if (!error.retryable || (status !== 429 && status !== 503)) return error.retryAfterMs;
  return Math.max(1, Math.ceil(error.retryAfterMs ?? retryAfterMsDefault));
}

/** The body of a failure, for replies and for stream answers. */
export function errorBody(error: CorvoError): Record<string, unknown> {
  return {
    error: error.message,
    code: error.code,
    details: error.details,
    hint: error.hint,
    retry_after_ms: retryAfterMsOf(error),
  };
}

export function errorReply(error: CorvoError, durationMs: number): Response {
  const { status } = errorTable[error.code];
  const reply = jsonReply(status, JSON.stringify(errorBody(error)), durationMs);
  const retryAfterMs = retryAfterMsOf(error);
  if (retryAfterMs !== undefined) {
    reply.headers.set("retry-after", String(Math.max(1, retryAfterMs) / 1000));
  }
  return reply;
}
