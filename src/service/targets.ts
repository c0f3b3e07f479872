/** URLs that the server is to call, with what goes along. Whether it may call them is judged when it does (`net/outbound`). */
import { CorvoError } from "../base/errors.ts";
import type { Callback } from "../engine/outbox/delivery.ts";

interface CallbackSpec {
  readonly callback_url?: string | null;
  readonly callback_secret?: string | null;
  readonly callback_headers?: Readonly<Record<string, string>> | null;
}

/** Members that speak of who is told how a job ended. */
export function toCallback(spec: CallbackSpec): Callback | undefined {
  const { callback_url, callback_secret, callback_headers } = spec;
  if (callback_url == null) {
    for (const name of ["callback_secret", "callback_headers"] as const) {
      if (spec[name] != null) throw refused(name, "nothing without callback_url");
    }
    return undefined;
  }
  return {
    url: toUrl("callback_url", callback_url),
    ...(callback_secret == null ? {} : { secret: toSecret("callback_secret", callback_secret) }),
    ...(callback_headers == null
      ? {}
      : { headers: toHeaders("callback_headers", callback_headers) }),
  };
}

/** The URL in its plain form. */
export function toUrl(field: string, text: string): string {
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    throw refused(field, `an absolute URL, got ${JSON.stringify(text.slice(0, 80))}`);
  }
  if (url.protocol !== "http:" && url.protocol !== "https:") {
    throw refused(field, `an http or https URL, got ${JSON.stringify(url.protocol)}`);
  }
  if (url.username !== "" || url.password !== "") {
    throw refused(field, "a URL without user and password; headers can carry them");
  }
  url.hash = "";
  return url.href;
}

/** Of four characters each, the last ones filled up; receivers take nothing else. */
const codedSecret = /^whsec_(?=.)(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

/** Behind the prefix the key stands in base 64. Of a text that is none little or no key would be left, and anybody could sign. */
export function toSecret(field: string, secret: string): string {
  if (!secret.startsWith("whsec_") || codedSecret.test(secret)) return secret;
  throw refused(field, "base 64 behind whsec_, or a secret without that prefix");
}

export const headerName = /^[A-Za-z0-9!#$%&'*+.^_`|~-]+$/;
const headerValue = /^[\t\x20-\x7e]*$/;
/** Written by the server itself. */
const ownHeader =
  /^(?:host|content-length|content-type|connection|transfer-encoding|expect|te|trailer|upgrade|keep-alive|proxy-.*|x-corvo-.*|webhook-.*)$/i;

function toHeaders(
  field: string,
  headers: Readonly<Record<string, string>>,
): Readonly<Record<string, string>> {
  for (const [name, value] of Object.entries(headers)) {
    if (!headerName.test(name))
      throw refused(field, `names of headers, got ${JSON.stringify(name.slice(0, 80))}`);
    if (ownHeader.test(name))
      throw refused(field, `no header that the server writes itself, got ${JSON.stringify(name)}`);
    if (!headerValue.test(value))
      throw refused(field, `printable ASCII as the value of ${JSON.stringify(name)}`);
  }
  return headers;
}

function refused(field: string, expected: string): CorvoError {
  return new CorvoError("VALIDATION_ERROR", `${field}: expected ${expected}`, {
    details: { path: field },
  });
}

/** Names of queues, or beginnings of names with `*` behind them. */
export function checkQueuePatterns(field: string, queues: readonly string[]): void {
  for (const queue of queues) {
    if (/^[A-Za-z0-9._:/@+{}-]*\*?$/.test(queue) && queue !== "") continue;
    const seen = JSON.stringify(queue.slice(0, 80));
    throw refused(field, `names of queues, or beginnings of names followed by *, got ${seen}`);
  }
}
