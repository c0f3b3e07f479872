/**
 * Turns what can go wrong between client and server into `CorvoError`. The question behind each case is whether the server
 * may have carried out the call: only when it cannot have, or when that does not matter, is the call sent again.
 */
import { CorvoError, type ErrorCode, isErrorCode } from "../base/errors.ts";
import { networkCodeOf, networkReasonOf, wasNeverSent } from "../base/network-failure.ts";
import { abortReason } from "./retry.ts";

/** The error that an answer with a failing status stands for. */
export function errorOfResponse(response: Response, text: string, url: string): CorvoError {
  const retryAfterMs = retryAfterOf(response);
  const extra = retryAfterMs === undefined ? {} : { retryAfterMs };
  const body = objectOf(text);
  const message = body?.["error"];
  if (body === undefined || typeof message !== "string") {
    const target = response.headers.get("location");
    const seen = target === null ? oneLine(text).slice(0, 200) : `moved to ${target}`;
    const code = codeOfForeign(response.status);
    return new CorvoError(
      code ?? "UNAVAILABLE",
      `${url} answered ${response.status}${seen === "" ? " without a text" : `: ${seen}`}`,
      {
        ...extra,
        ...(code === undefined ? { retryable: false } : {}),
        hint: "Is this the address of a Corvo server, and of no proxy before it?",
      },
    );
  }
  const code = body["code"];
  const hint = body["hint"];
  return new CorvoError(
    typeof code === "string" && isErrorCode(code) ? code : codeOfStatus(response.status),
    message,
    {
      ...extra,
      ...(body["details"] === undefined ? {} : { details: body["details"] }),
      ...(typeof hint === "string" ? { hint } : {}),
    },
  );
}

/** What a failed `fetch` means, and whether sending the call again is both safe and of use. */
export interface NetworkFailure {
  readonly error: CorvoError;
  readonly mayRetry: boolean;
}

/** Codes of certificates that were not accepted: nothing was sent, and trying again changes nothing. */
const certificateCode = /CERT|SIGNATURE|ISSUER|ERR_TLS/;

const addressHint = "Is `corvo server` running there? --server or CORVO_SERVER sets the address.";

/** `mayRepeat`: does sending the call twice do no more than sending it once? */
export function errorOfNetwork(cause: unknown, server: string, mayRepeat: boolean): NetworkFailure {
  const reason = networkReasonOf(cause);
  const isCertificate = certificateCode.test(networkCodeOf(cause));
  if (isCertificate || mayRepeat || wasNeverSent(cause)) {
    const hint = isCertificate
      ? "Install the authority of this certificate, or name it in NODE_EXTRA_CA_CERTS."
      : addressHint;
    const message = `cannot reach ${server}: ${reason}`;
    const error = new CorvoError("UNAVAILABLE", message, { cause, hint });
    return { error, mayRetry: !isCertificate };
  }
  const error = new CorvoError("OUTCOME_UNKNOWN", `lost ${server} before its answer: ${reason}`, {
    cause,
    hint: "The call may or may not have been carried out: look before you repeat it.",
  });
  return { error, mayRetry: false };
}

function codeOfStatus(status: number): ErrorCode {
  if (status === 401 || status === 403) return "UNAUTHORIZED";
  if (status === 404) return "NOT_FOUND";
  if (status === 405) return "METHOD_NOT_ALLOWED";
  if (status === 409) return "CONFLICT";
  if (status === 413) return "PAYLOAD_TOO_LARGE";
  if (status === 429) return "OVERLOADED";
  if (status === 502 || status === 503 || status === 504) return "UNAVAILABLE";
  return status >= 400 && status < 500 ? "VALIDATION_ERROR" : "INTERNAL_ERROR";
}

/** An answer in pieces. That the server goes away in the middle of it is told like everything that can befall a connection. */
export async function* piecesOf<T>(
  answer: AsyncIterable<T>,
  server: string,
  signal: AbortSignal | undefined,
): AsyncIterable<T> {
  try {
    yield* answer;
  } catch (cause) {
    if (signal?.aborted === true) throw abortReason(signal);
    const message = `lost ${server} before the end of its answer: ${networkReasonOf(cause)}`;
    throw new CorvoError("UNAVAILABLE", message, {
      cause,
      hint: "What came until then is not all of it; ask again.",
    });
  }
}

/**
 * What a proxy or somebody else's server says. That it knows no such path says nothing about a job, only that no Corvo server is
 * there, which no repetition changes; then undefined.
 */
function codeOfForeign(status: number): ErrorCode | undefined {
  const code = codeOfStatus(status);
  const isPlain = status === 500 || status === 502 || status === 503 || status === 504;
  const isTold = code === "UNAUTHORIZED" || code === "PAYLOAD_TOO_LARGE" || code === "OVERLOADED";
  return isPlain || isTold ? code : undefined;
}

function oneLine(text: string): string {
  return text.replace(/[\s\p{Cc}]+/gu, " ").trim();
}

function retryAfterOf(response: Response): number | undefined {
  const text = response.headers.get("retry-after");
  if (text === null || !/^\d+(\.\d+)?$/.test(text)) return undefined;
  return Math.round(Number(text) * 1000);
}

function objectOf(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null
      ? (value as Record<string, unknown>)
      : undefined;
  } catch {
    return undefined;
  }
}
