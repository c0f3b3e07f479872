/** From node to node: which headers go along, and how a call that came from another node is told. */

export const forwardedHeader = "x-corvo-forwarded";

/** They speak of one connection and not of the message; the runtime writes those of the next one itself. */
const hopHeaders = [
  "connection",
  "content-length",
  "expect",
  "host",
  "keep-alive",
  "proxy-authenticate",
  "proxy-authorization",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
];

/** Has another node passed this on? */
export function isPassedOn(request: Request): boolean {
  return request.headers.has(forwardedHeader);
}

/** The headers for the next hop. */
export function passedOn(headers: Headers): Headers {
  const passed = new Headers(headers);
  const named = headers.get("connection")?.split(",") ?? [];
  for (const name of named) if (name.trim() !== "") passed.delete(name.trim());
  for (const name of hopHeaders) passed.delete(name);
  passed.set(forwardedHeader, "1");
  return passed;
}
