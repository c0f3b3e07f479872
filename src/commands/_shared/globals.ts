/** Flags that every command takes, anywhere on the line. */

import { serversOf } from "../../sdk/servers.ts";
import type { Arguments, ValuesOf } from "./args.ts";
import { UsageError } from "./exit.ts";
import type { System } from "./system.ts";

const defaultServer = "http://127.0.0.1:8080";

export const globalArgs = {
  server: {
    type: "string",
    valueHint: "URL",
    description: `Address of the server, or of several nodes of a cluster with commas between them. Default CORVO_SERVER, else ${defaultServer}.`,
  },
  "api-key": {
    type: "string",
    valueHint: "KEY",
    description: "Key for the server. Default CORVO_API_KEY, which other users cannot see.",
    mayBeEmpty: true,
  },
  json: {
    type: "boolean",
    alias: ["output-json"],
    description: "Print the server's answer unchanged, as one JSON document.",
  },
  quiet: { type: "boolean", alias: ["q"], description: "Print ids only, and no remarks." },
  "no-color": { type: "boolean", description: "No colours. NO_COLOR does the same." },
  verbose: { type: "boolean", description: "Show each request, and where an error came from." },
  help: { type: "boolean", alias: ["h"], description: "Show what a command does." },
  version: { type: "boolean", description: "Show the version." },
} as const satisfies Arguments;

export interface Globals {
  /** Addresses with commas between them. */
  readonly server: string;
  readonly apiKey: string | undefined;
  readonly json: boolean;
  readonly quiet: boolean;
  readonly noColor: boolean;
  readonly verbose: boolean;
}

export function globalsOf(values: Readonly<Record<string, unknown>>, env: System["env"]): Globals {
  const given = values as Partial<ValuesOf<typeof globalArgs>>;
  return {
    server: serverUrls(given.server ?? (env["CORVO_SERVER"] || defaultServer)),
    apiKey: given["api-key"] ?? (env["CORVO_API_KEY"] || undefined),
    json: given.json === true,
    quiet: given.quiet === true,
    noColor: given["no-color"] === true,
    verbose: given.verbose === true,
  };
}

/** One address or several, as the client takes them. */
function serverUrls(text: string): string {
  return serversOf(text).map(serverUrl).join(",");
}

/** `host:port` is enough. */
function serverUrl(text: string): string {
  const withScheme = /^[a-z][a-z0-9+.-]*:\/\//i.test(text) ? text : `http://${text}`;
  const url = URL.canParse(withScheme) ? new URL(withScheme) : undefined;
  // A comma alone is kept by the list as a name.
  const hasHost = url !== undefined && /[^,]/.test(url.hostname);
  if (!hasHost || !/^https?:$/.test(url.protocol)) {
    throw new UsageError(
      `--server: ${JSON.stringify(text)} is not an http address`,
      `Write it like ${defaultServer}.`,
    );
  }
  return withScheme.replace(/\/+$/, "");
}
