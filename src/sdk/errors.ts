/** Turns what can go wrong between client and server into `CorvoError`. */
import { CorvoError, type ErrorCode, isErrorCode } from "../base/errors.ts";

/** The error that an answer with a failing status stands for. */
export function errorOfResponse(response: Response, text: string, url: string): CorvoError {
  const retryAfterMs = retryAfterOf(response);
  const extra = retryAfterMs === undefined ? {} : { retryAfterMs };
  const body = objectOf(text);
  const message = body?.["error"];
  if (body === undefined || typeof message !== "string") {
    const seen = text.trim().slice(0, 200);
    return new CorvoError(
      codeOfStatus(response.status),
      `${url} answered ${response.status}${seen === "" ? " without a text" : `: ${seen}`}`,
      { ...extra, hint: "Is this the address of a Corvo server, and of no proxy before it?" },
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

/** What a failed `fetch` means: `refused` says that the server cannot have seen the call. */
export interface NetworkFailure {
  readonly refused: boolean;
  readonly error: CorvoError;
}

/** Codes, of Bun and of Node, of failures before a single byte was sent. */
const refusedCodes = new Set([
  "ConnectionRefused",
  "ECONNREFUSED",
  "FailedToOpenSocket",
  "ENOTFOUND",
  "EAI_AGAIN",
  "DNSResolveFailed",
]);

/** `mayRepeat`: does sending the call twice do no more than sending it once? */
export function errorOfNetwork(cause: unknown, server: string, mayRepeat: boolean): NetworkFailure {
  const code = cause instanceof Error && "code" in cause ? String(cause.code) : "";
  const refused = refusedCodes.has(code);
  const reason =
    code === "ConnectionRefused" || code === "ECONNREFUSED"
      ? "connection refused"
      : cause instanceof Error
        ? cause.message
        : String(cause);
  if (refused || mayRepeat) {
    const error = new CorvoError("UNAVAILABLE", `cannot reach ${server}: ${reason}`, {
      cause,
      hint: "Is `corvo server` running there? --server or CORVO_SERVER sets the address.",
    });
    return { refused, error };
  }
  const error = new CorvoError("OUTCOME_UNKNOWN", `lost ${server} before its answer: ${reason}`, {
    cause,
    hint: "The call may or may not have been carried out: look before you repeat it.",
  });
  return { refused, error };
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
