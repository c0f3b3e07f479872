/**
 * The logger of the program, over consola: lines for people on a terminal, JSON lines otherwise. Everything it writes
 * goes to stderr, so that stdout stays data.
 */
import { createConsola, type LogObject } from "consola/core";
import type { Logger } from "../../base/ports.ts";
import { formatTime } from "../../base/time.ts";
import { styleOf } from "./colors.ts";
import type { System } from "./system.ts";

export const logLevels = ["debug", "info", "warn", "error"] as const;
type LogLevel = (typeof logLevels)[number];
/** `talk` is for commands: no time, only a mark on what is not plain information. */
export const logFormats = ["human", "json"] as const;
export type LogFormat = (typeof logFormats)[number] | "talk";

export interface LoggerOptions {
  readonly level: LogLevel;
  readonly format: LogFormat;
  readonly noColor?: boolean;
}

/** Consola's numbers for our levels. */
const consolaLevel: Record<LogLevel, number> = { error: 0, warn: 1, info: 3, debug: 4 };

/** The format that suits the stream when none was asked for. */
export function defaultLogFormat(system: System): LogFormat {
  return system.stderr.isTty ? "human" : "json";
}

export function createLogger(system: System, options: LoggerOptions): Logger {
  const write = formatter(system, options);
  const consola = createConsola({
    level: consolaLevel[options.level],
    // Consola merges equal lines that follow each other closely; a log must not.
    throttle: 0,
    reporters: [{ log: (entry) => system.stderr.write(`${write(entry)}\n`) }],
  });
  return {
    debug: (message, fields) => consola.debug(message, fields),
    info: (message, fields) => consola.info(message, fields),
    warn: (message, fields) => consola.warn(message, fields),
    error: (message, fields) => consola.error(message, fields),
  };
}

function formatter(system: System, options: LoggerOptions): (entry: LogObject) => string {
  if (options.format === "json") return (entry) => jsonLine(entry, system.clock.nowMs());
  const style = styleOf(system.stderr, system.env, options.noColor === true);
  const marks: Partial<Record<string, string>> = {
    warn: style.yellow("warning:"),
    error: style.red("error:"),
    debug: style.dim("debug:"),
  };
  return (entry) => {
    const { message, fields } = partsOf(entry);
    const mark = marks[entry.type];
    const tail = Object.entries(fields).map(([key, value]) =>
      style.dim(`${key}=${fieldText(value)}`),
    );
    const time =
      options.format === "human" ? style.dim(formatTime(system.clock.nowMs()).slice(11, 23)) : "";
    return [time, mark ?? "", message, ...tail].filter((part) => part !== "").join(" ");
  };
}

function jsonLine(entry: LogObject, nowMs: number): string {
  const { message, fields } = partsOf(entry);
  const plain = Object.entries(fields).map(([key, value]) => [key, fieldValue(value)]);
  return JSON.stringify({
    time: formatTime(nowMs),
    level: entry.type,
    msg: message,
    ...Object.fromEntries(plain),
  });
}

function partsOf(entry: LogObject): { message: string; fields: Record<string, unknown> } {
  const fields: unknown = entry.args[1];
  return {
    message: String(entry.args[0]),
    fields: typeof fields === "object" && fields !== null ? { ...fields } : {},
  };
}

function fieldValue(value: unknown): unknown {
  return value instanceof Error ? value.message : value;
}

function fieldText(value: unknown): string {
  const plain = fieldValue(value);
  return typeof plain === "string" && /^[^\s"=]+$/.test(plain)
    ? plain
    : (JSON.stringify(plain) ?? "");
}
