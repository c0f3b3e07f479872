/**
 * Runs one line: finds the command, reads its arguments, runs it through citty, turns failures into words and an exit
 * code. Ctrl-C ends the wait at once, whatever the command is doing; a second one is not needed.
 */
import { runCommand } from "citty";
import { exitCodes } from "../../base/errors.ts";
import { aliases, commands } from "../index.ts";
import { parseArguments } from "./args.ts";
import { versionLine } from "./build.ts";
import { connect, tracedFetch } from "./client.ts";
import { styleOf } from "./colors.ts";
import type { Command, Invocation } from "./command.ts";
import type { Context } from "./context.ts";
import { failureOf, Interrupted } from "./exit.ts";
import { type Globals, globalArgs, globalsOf } from "./globals.ts";
import { commandHelp, groupHelp } from "./help.ts";
import { createLogger } from "./logger.ts";
import { createOutput } from "./output.ts";
import type { System } from "./system.ts";
import { isGroup, type Located, locate } from "./table.ts";

/** How the process is told of signals; tests bring their own. */
export interface Signals {
  /** Calls back on SIGINT and SIGTERM; the returned function stops that. */
  listen(callback: () => void): () => void;
}

export async function runLine(
  system: System,
  argv: readonly string[],
  signals: Signals,
): Promise<number> {
  const flags = argv.includes("--") ? argv.slice(0, argv.indexOf("--")) : argv;
  const noColor = flags.includes("--no-color");
  const verbose = flags.includes("--verbose");
  try {
    return await dispatch(system, argv, signals);
  } catch (error) {
    const failure = failureOf(error);
    const style = styleOf(system.stderr, system.env, noColor);
    const mark = failure.exit === exitCodes.interrupted ? "" : `${style.red("error:")} `;
    system.stderr.write(`${mark}${failure.message}\n`);
    if (failure.hint !== undefined) system.stderr.write(`${style.cyan("hint:")} ${failure.hint}\n`);
    if (failure.stack !== undefined && (verbose || failure.isBug)) {
      system.stderr.write(`${style.dim(failure.stack)}\n`);
    }
    return failure.exit;
  }
}

async function dispatch(
  system: System,
  argv: readonly string[],
  signals: Signals,
): Promise<number> {
  const located = locate(argv, commands, aliases, globalArgs);
  const { path, entry, rest } = located;
  const beforeDashes = rest.includes("--") ? rest.slice(0, rest.indexOf("--")) : rest;
  if (beforeDashes.includes("--help") || beforeDashes.includes("-h")) {
    await printHelp(system, located, beforeDashes.includes("--no-color"));
    return exitCodes.ok;
  }
  if (beforeDashes.includes("--version")) {
    system.stdout.write(`${versionLine()}\n`);
    return exitCodes.ok;
  }
  const help = `\`${["corvo", ...path, "--help"].join(" ")}\` shows how.`;
  if (isGroup(entry)) {
    parseArguments(rest, { args: globalArgs, takesCommand: false, help });
    const style = styleOf(system.stderr, system.env, beforeDashes.includes("--no-color"));
    system.stderr.write(groupHelp(path, entry, style));
    return exitCodes.usage;
  }
  const loaded = (await entry.load()).default;
  const args = { ...globalArgs, ...loaded.spec.args };
  const takesCommand = loaded.spec.takesCommand === true;
  const { values, trailing } = parseArguments(rest, { args, takesCommand, help });
  const wiring = { system, argv, trailing, globals: globalsOf(values, system.env) };
  return runInterruptibly(loaded, values, wiring, signals);
}

interface Wiring {
  readonly system: System;
  readonly argv: readonly string[];
  readonly trailing: readonly string[] | undefined;
  readonly globals: Globals;
}

async function runInterruptibly(
  loaded: Command,
  values: Readonly<Record<string, unknown>>,
  wiring: Wiring,
  signals: Signals,
): Promise<number> {
  const abort = new AbortController();
  const { promise: interrupted, reject } = Promise.withResolvers<never>();
  let note = () => "";
  const stopListening = signals.listen(() => {
    const error = new Interrupted(note());
    abort.abort(error);
    reject(error);
  });
  const context = createContext(wiring, abort.signal, stopListening, (message) => {
    note = message;
  });
  const data: Invocation = { values, context };
  try {
    const running = runCommand(loaded.citty, { rawArgs: [...wiring.argv], data });
    const { result } = await Promise.race([running, interrupted]);
    return typeof result === "number" ? result : exitCodes.ok;
  } finally {
    stopListening();
  }
}

function createContext(
  wiring: Wiring,
  signal: AbortSignal,
  takeSignals: () => void,
  whenInterrupted: (message: () => string) => void,
): Context {
  const { system, globals } = wiring;
  const log = createLogger(system, {
    level: globals.verbose ? "debug" : "info",
    format: "talk",
    noColor: globals.noColor,
  });
  const fetch = globals.verbose ? tracedFetch(system, (line) => log.debug(line)) : system.fetch;
  return {
    ...wiring,
    commands,
    output: createOutput(system, globals, log),
    log,
    signal,
    takeSignals,
    whenInterrupted,
    fetch,
    client: () => connect({ system, globals, fetch }),
  };
}

async function printHelp(system: System, located: Located, noColor: boolean): Promise<void> {
  const style = styleOf(system.stdout, system.env, noColor);
  const { path, entry } = located;
  const text = isGroup(entry)
    ? groupHelp(path, entry, style)
    : commandHelp(path, entry, (await entry.load()).default.spec, style);
  system.stdout.write(text);
}
