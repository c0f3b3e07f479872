/** Payloads of jobs that follow another one: what is known of that one, and the step's own members, which win. */

/** Own members stay the text that was sent; `given` are names with JSON text. `own` is the text of an object. */
export function mergePayload(own: string, given: readonly (readonly [string, string])[]): string {
  const names = new Set(Object.keys(JSON.parse(own) as object));
  const inner = own.trim().slice(1, -1).trim();
  const members = given
    .filter(([name]) => !names.has(name))
    .map(([name, text]) => `${JSON.stringify(name)}:${text}`);
  if (inner !== "") members.push(inner);
  return `{${members.join(",")}}`;
}
