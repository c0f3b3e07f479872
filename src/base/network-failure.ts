/** What the code of a failed connection says about the request that was to go over it. */

/** Codes, of Bun and of Node, of failures before a single byte was sent. */
const unsentCodes = new Set([
  "ConnectionRefused",
  "ECONNREFUSED",
  "FailedToOpenSocket",
  "ENOTFOUND",
  "EAI_AGAIN",
  "DNSResolveFailed",
]);

export function networkCodeOf(cause: unknown): string {
  return cause instanceof Error && "code" in cause ? String(cause.code) : "";
}

/** Is it certain that the other side has seen nothing of the request? */
export function wasNeverSent(cause: unknown): boolean {
  return unsentCodes.has(networkCodeOf(cause));
}

/** The reason in our words: the runtime's own texts give advice that is not for our users. */
export function networkReasonOf(cause: unknown): string {
  const code = networkCodeOf(cause);
  if (code === "ConnectionRefused" || code === "ECONNREFUSED") return "connection refused";
  if (code === "ConnectionClosed" || code === "ECONNRESET") return "the connection was closed";
  return cause instanceof Error ? cause.message : String(cause);
}
