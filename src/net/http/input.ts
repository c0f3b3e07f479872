/**
 * Path and query parameters, read from the URL itself rather than from the router, so that decoding and its errors are
 * the same under every router: `%2F` stays inside a queue name, and bad escapes are refused with 400.
 */
import type { TSchema } from "@sinclair/typebox";
import { CorvoError } from "../../base/errors.ts";
import { type Check, createCheck, seen } from "./check.ts";
import { unknownName } from "./unknown-member.ts";

/** The path and the query text of a URL, which is absolute or begins with its path. */
export function splitUrl(url: string): { readonly path: string; readonly query: string } {
  const start = hasNoHost(url) ? 0 : url.indexOf("/", url.indexOf("://") + 3);
  if (start === -1) return { path: "/", query: "" };
  const question = url.indexOf("?", start);
  if (question === -1) return { path: url.slice(start), query: "" };
  return { path: url.slice(start, question), query: url.slice(question + 1) };
}

/**
 * A request that the router can read. HTTP/1.0 needs no Host header, and without one, or with one that is no host, the
 * runtime gives the path alone for the URL.
 */
export function withHost(request: Request): Request {
  return hasNoHost(request.url) ? new Request(`http://localhost${request.url}`, request) : request;
}

function hasNoHost(url: string): boolean {
  return url.startsWith("/");
}

/** Reads the placeholders of one path template. */
export class PathParams {
  readonly #names: readonly { readonly name: string; readonly segment: number }[];
  readonly #check: Check;

  constructor(template: string, schema: TSchema) {
    this.#names = template
      .split("/")
      .map((part, segment) => ({
        name: part.slice(1, -1),
        segment,
        placeholder: part.startsWith("{"),
      }))
      .filter((part) => part.placeholder);
    this.#check = createCheck(schema, "the path");
  }

  parse(path: string): Record<string, string> {
    const params: Record<string, string> = {};
    if (this.#names.length === 0) return params;
    const segments = path.split("/");
    for (const { name, segment } of this.#names) {
      const text = decode(segments[segment] ?? "");
      if (text === undefined) {
        throw new CorvoError(
          "VALIDATION_ERROR",
          `${name} in the path: not valid percent-encoded UTF-8, got ${seen(segments[segment])}`,
        );
      }
      params[name] = text;
    }
    const problem = this.#check(params);
    if (problem !== undefined) throw problem;
    return params;
  }
}

/** Reads the query parameters that a schema knows; the first of repeated ones counts. Others are refused, or ignored. */
export class QueryParams {
  readonly #types: ReadonlyMap<string, string>;
  readonly #check: Check;
  readonly #knowsAll: boolean;

  constructor(schema: TSchema, knowsAll: boolean) {
    this.#knowsAll = knowsAll;
    const properties = Object.entries((schema["properties"] ?? {}) as Record<string, TSchema>);
    this.#types = new Map(properties.map(([name, inner]) => [name, String(inner["type"])]));
    this.#check = createCheck(schema, "the query");
  }

  parse(query: string): Record<string, unknown> {
    const values: Record<string, unknown> = {};
    if (this.#types.size === 0) return values;
    for (const pair of query.split("&")) {
      const equals = pair.indexOf("=");
      const name = decode((equals === -1 ? pair : pair.slice(0, equals)).replaceAll("+", " "));
      const type = name === undefined ? undefined : this.#types.get(name);
      if (this.#knowsAll && pair !== "" && type === undefined) {
        const unknown = unknownName(name ?? pair, [...this.#types.keys()]);
        throw new CorvoError("VALIDATION_ERROR", `${seen(name ?? pair)} in the query ${unknown}`);
      }
      if (name === undefined || type === undefined || Object.hasOwn(values, name)) continue;
      const text = decode(equals === -1 ? "" : pair.slice(equals + 1).replaceAll("+", " "));
      if (text === undefined) {
        throw new CorvoError(
          "VALIDATION_ERROR",
          `${name} in the query: not valid percent-encoded UTF-8, got ${seen(pair.slice(equals + 1))}`,
        );
      }
      values[name] = coerce(type, text);
    }
    const problem = this.#check(values);
    if (problem !== undefined) throw problem;
    return values;
  }
}

function decode(text: string): string | undefined {
  if (!text.includes("%")) return text;
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}

/** Text that is not of the wanted type stays as it is, for the check to refuse. */
function coerce(type: string, text: string): unknown {
  if (type === "integer" || type === "number") {
    return /^-?\d+(\.\d+)?([eE][+-]?\d+)?$/.test(text) ? Number(text) : text;
  }
  if (type === "boolean") return text === "true" ? true : text === "false" ? false : text;
  return text;
}
