/** What a command is given besides its arguments. */
import type { Logger } from "../../base/ports.ts";
import type { Client, Fetch } from "../../sdk/client.ts";
import type { Globals } from "./globals.ts";
import type { Output } from "./output.ts";
import type { System } from "./system.ts";
import type { Group } from "./table.ts";

export interface Context {
  readonly system: System;
  readonly globals: Globals;
  readonly output: Output;
  /** Talk on stderr. */
  readonly log: Logger;
  /** The whole table of commands. */
  readonly commands: Group;
  /** The whole line as it was typed, without the program's name. */
  readonly argv: readonly string[];
  /** The command after `--`, for one that takes a command; undefined without a `--`. */
  readonly trailing: readonly string[] | undefined;
  /** Aborted by Ctrl-C. */
  readonly signal: AbortSignal;
  /** Said on Ctrl-C instead of "interrupted". */
  whenInterrupted(message: () => string): void;
  /** From now on the command itself deals with SIGINT and SIGTERM. */
  takeSignals(): void;
  /** The client for the server of the line; made on first use. */
  client(): Client;
  /** `fetch` of the system, with a line per request when --verbose. */
  readonly fetch: Fetch;
}
