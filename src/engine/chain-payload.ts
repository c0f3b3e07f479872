/**
 * Payloads of jobs that follow another one: what is known of that one, and the step's own members, which win. A payload that is no
 * object is left as it is: nothing that a batch holds may end the engine.
 */

/** Names with JSON text go before the members of `own`, the text of an object. */
export function mergePayload(own: string, given: readonly (readonly [string, string])[]): string {
  const names = namesIn(own);
  if (names === undefined) return own;
  const inner = own.trim().slice(1, -1).trim();
  const members = given
    .filter(([name]) => !names.has(name))
    .map(([name, text]) => `${JSON.stringify(name)}:${text}`);
  if (inner !== "") members.push(inner);
  return `{${members.join(",")}}`;
}

/** Undefined when the text is not that of an object. */
function namesIn(text: string): Set<string> | undefined {
  if (!text.trimStart().startsWith("{")) return undefined;
  try {
    return new Set(Object.keys(JSON.parse(text) as object));
  } catch {
    return undefined;
  }
}
