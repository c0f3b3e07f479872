/**
 * From the text of an argument to its value. A reader throws `BadValue`, which the parser puts after the flag's name, so a
 * reader says what is wrong with the text and how to write it, and never which flag it is.
 */
import { RawJson } from "../../base/json.ts";
import { formatTime, parseDuration, parseTime } from "../../base/time.ts";
import { jsonProblem } from "./json-position.ts";

export class BadValue extends Error {
  override name = "BadValue";
  readonly hint: string | undefined;
  constructor(message: string, hint?: string) {
    super(message);
    this.hint = hint;
  }
}

export type Reader<T> = (text: string) => T;

export const readText: Reader<string> = (text) => text;

export const readInteger: Reader<number> = (text) => {
  const value = Number(text);
  if (!/^[+-]?\d+$/.test(text) || !Number.isSafeInteger(value)) {
    throw new BadValue(`${JSON.stringify(text)} is not a whole number`);
  }
  return value;
};

export const readNumber: Reader<number> = (text) => {
  const value = Number(text);
  if (text.trim() === "" || !Number.isFinite(value)) {
    throw new BadValue(`${JSON.stringify(text)} is not a number`);
  }
  return value;
};

/** A whole number of 1 or more. */
export const readCount: Reader<number> = (text) => {
  const value = readInteger(text);
  if (value < 1) throw new BadValue(`${text} is less than 1`);
  return value;
};

/** Milliseconds. */
export const readDuration: Reader<number> = (text) => {
  const value = parseDuration(text);
  if (value === undefined) {
    throw new BadValue(
      `${JSON.stringify(text)} is not a duration`,
      "Write it like 250ms, 90s, 1h30m or 7d.",
    );
  }
  return value;
};

/** An RFC 3339 time, as it was written. */
export const readTime: Reader<string> = (text) => {
  if (parseTime(text) === undefined) {
    throw new BadValue(
      `${JSON.stringify(text)} is not a time`,
      "Write it like 2026-11-21T08:00:00Z or 2026-11-21T09:00:00+01:00.",
    );
  }
  return text;
};

/** An RFC 3339 time, or how long ago: `2h`. */
export function readPastTime(nowMs: () => number): Reader<string> {
  return (text) => {
    if (parseTime(text) !== undefined) return text;
    const agoMs = parseDuration(text);
    if (agoMs !== undefined) return formatTime(nowMs() - agoMs);
    throw new BadValue(
      `${JSON.stringify(text)} is neither a time nor a duration`,
      "Write it like 2026-11-21T08:00:00Z, or like 2h for two hours ago.",
    );
  };
}

export const readJson: Reader<RawJson> = (text) => {
  const problem = jsonProblem(text);
  if (problem !== undefined) throw new BadValue(`not valid JSON: ${problem.message}`);
  return new RawJson(text.trim());
};

/** `name=value`, or a JSON object of texts. */
export const readPairs: Reader<Readonly<Record<string, string>>> = (text) => {
  if (text.trimStart().startsWith("{")) return pairsOfJson(text);
  const at = text.indexOf("=");
  if (at < 1) {
    throw new BadValue(
      `${JSON.stringify(text)} is not name=value`,
      "Write customer=42, or repeat the flag for more.",
    );
  }
  return { [text.slice(0, at)]: text.slice(at + 1) };
};

/** Like `readPairs`, with whole numbers. */
export const readCounts: Reader<Readonly<Record<string, number>>> = (text) => {
  if (text.trimStart().startsWith("{")) {
    return readJson(text).parse() as Readonly<Record<string, number>>;
  }
  const pairs = Object.entries(readPairs(text));
  return Object.fromEntries(pairs.map(([name, value]) => [name, readInteger(value)]));
};

function pairsOfJson(text: string): Readonly<Record<string, string>> {
  const members = Object.entries(readJson(text).parse() as Record<string, unknown>);
  const pairs = members.map(([name, member]): [string, string] => {
    if (typeof member === "string") return [name, member];
    throw new BadValue(`the value of ${JSON.stringify(name)} is not a text`);
  });
  return Object.fromEntries(pairs);
}

/** `HOST:PORT`, `:PORT` or `[IPV6]:PORT`. */
export const readAddress: Reader<{ readonly host: string; readonly port: number }> = (text) => {
  const match = /^(?:\[([0-9a-fA-F:]+)\]|([^:\s]*)):(\d{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  if (match === null || port > 65_535) {
    throw new BadValue(
      `${JSON.stringify(text)} is not an address`,
      "Write it like 127.0.0.1:8080 or :8080.",
    );
  }
  return {
    host: match[1] ?? (match[2] === "" || match[2] === undefined ? "0.0.0.0" : match[2]),
    port,
  };
};

const hostPattern = /^(?:\[[0-9a-fA-F:]+\]|[A-Za-z0-9._-]+)$/;

/** `HOST:PORT` that others can call. */
export const readAdvertised: Reader<string> = (text) => {
  const at = text.lastIndexOf(":");
  if (!hostPattern.test(text.slice(0, at)) || !isPort(text.slice(at + 1))) {
    throw new BadValue(
      `${JSON.stringify(text)} is not an address that others can call`,
      "Write it like 10.0.0.7:9000 or [fd00::7]:9000.",
    );
  }
  return text;
};

export const readHttpUrl: Reader<string> = (text) => {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol)) {
    throw new BadValue(
      `${JSON.stringify(text)} is not an http address`,
      "Write it like http://10.0.0.7:8080.",
    );
  }
  return text;
};

/** Where to join: `HOST[:PORT]`, a URL, or `srv+NAME`. */
export const readJoinAddress: Reader<string> = (text) => {
  if (/^https?:\/\//.test(text)) return readHttpUrl(text);
  const [, name, port] = /^((?:srv\+)?(?:\[.*\]|[^:]*))(?::(.*))?$/.exec(text) ?? [];
  const isService = name?.startsWith("srv+") === true;
  const isHost = hostPattern.test(isService ? (name?.slice(4) ?? "") : (name ?? ""));
  if (!isHost || (port !== undefined && (isService || !isPort(port)))) {
    throw new BadValue(
      `${JSON.stringify(text)} is not an address to join`,
      "Write it like 10.0.0.7, 10.0.0.7:8080, [fd00::7]:8080, http://10.0.0.7:8080 or srv+corvo.example.com.",
    );
  }
  return text;
};

function isPort(text: string): boolean {
  return /^\d{1,5}$/.test(text) && Number(text) >= 1 && Number(text) <= 65_535;
}

/** Bytes: a number, or one with `KiB`, `MiB` or `GiB`. */
export const readBytes: Reader<number> = (text) => {
  const match = /^(\d+)(|KiB|MiB|GiB)$/.exec(text);
  const factor = { "": 1, KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30 }[match?.[2] ?? ""];
  const bytes = Number(match?.[1]) * (factor ?? 1);
  if (match === null || !Number.isSafeInteger(bytes) || bytes < 1) {
    throw new BadValue(`${JSON.stringify(text)} is not a size`, "Write it like 262144 or 256KiB.");
  }
  return bytes;
};
