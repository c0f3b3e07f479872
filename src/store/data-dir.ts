/**
 * The data directory of a node: who owns it, which store it is, and which format it has.
 *
 * `lock.db` is held by an exclusive SQLite transaction for as long as the process lives; the kernel lets go of it when
 * the process dies in any way. It must never be opened by other means here: closing any other descriptor of the file
 * would drop the lock. `lock.pid` only serves the error message. `store.json` is written when the directory is made and when
 * its format rises, whole or not at all.
 */
import { Database } from "bun:sqlite";
import { accessSync, constants, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { newestFeatureLevel, versionOfLevel } from "../engine/feature-levels.ts";
import { writeDurably } from "./durable-file.ts";
import { logPaths } from "./log-files.ts";
import { isDiskFull } from "./reserve.ts";
import { syncDirectory } from "./superblock.ts";

/** The format of a directory is the feature level of what is kept in it. */
const firstFormat = 1;
const newestFormat = newestFeatureLevel;

export interface DataDir {
  readonly path: string;
  /** Random, made with the directory: every file inside repeats it, so that files of two stores are never mixed. */
  readonly storeId: string;
  /** Keeps programs out that do not know this feature level. Never lowered. */
  raiseFormat(level: number): void;
  close(): void;
}

type DataDirProblem = "locked" | "too_new" | "unreadable" | "used";

/** In a directory that is being made from a backup (`restore-dir.ts`). */
export const restoringMark = "restoring";

export class DataDirError extends Error {
  override name = "DataDirError";
  readonly problem: DataDirProblem;

  constructor(problem: DataDirProblem, message: string) {
    super(message);
    this.problem = problem;
  }
}

/** Creates the directory if need be and keeps every other process out until `close`. */
export function openDataDir(
  dir: string,
  { isRestoring }: { readonly isRestoring: boolean } = { isRestoring: false },
): DataDir {
  const path = resolve(dir);
  mustBeUsable(path);
  const lock = takeLock(path);
  try {
    if (!isRestoring && existsSync(join(path, restoringMark))) {
      throw new DataDirError(
        "unreadable",
        `A restore into the data directory ${path} was not finished. Run it again, which begins anew, or remove the directory.`,
      );
    }
    const found = readIdentity(path) ?? createIdentity(path);
    const { storeId } = found;
    let { format } = found;
    const raiseFormat = (level: number) => {
      if (level <= format) return;
      format = level;
      writeIdentity(path, { format, storeId });
    };
    return { path, storeId, raiseFormat, close: () => lock.close() };
  } catch (error) {
    lock.close();
    throw error;
  }
}

/** The commonest slips of a first start: a parent that may not be written to, a directory that another user made, a file. */
function mustBeUsable(path: string): void {
  try {
    makeDirectory(path);
    accessSync(path, constants.W_OK | constants.X_OK);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new DataDirError(
      "unreadable",
      `The data directory ${path} cannot be used: ${reason}. Look at who may write to it, or choose another with --data-dir.`,
    );
  }
}

/** A new directory is part of what must survive a power cut: every parent that gained an entry is synced. */
function makeDirectory(path: string): void {
  const firstMade = mkdirSync(path, { recursive: true, mode: 0o700 });
  if (firstMade === undefined) return;
  const top = dirname(firstMade);
  for (let made = path; made !== top; made = dirname(made)) syncDirectory(dirname(made));
}

function takeLock(path: string): Database {
  const lock = new Database(join(path, "lock.db"), { create: true, readwrite: true });
  try {
    // Nothing is ever written to it, and a journal file would need space that a full disk does not have.
    lock.run("PRAGMA journal_mode = MEMORY");
    lock.run("BEGIN EXCLUSIVE");
  } catch (error) {
    lock.close();
    const isTaken = error instanceof Error && "code" in error && error.code === "SQLITE_BUSY";
    throw isTaken ? new DataDirError("locked", lockedMessage(path)) : error;
  }
  try {
    writeFileSync(join(path, "lock.pid"), `${process.pid}\n`, { mode: 0o600 });
  } catch (error) {
    // A start must succeed on a full disk; without the number the message is only less helpful.
    if (!isDiskFull(error)) throw error;
  }
  return lock;
}

function lockedMessage(path: string): string {
  const pidPath = join(path, "lock.pid");
  const pid = existsSync(pidPath) ? readFileSync(pidPath, "utf8").trim() : "";
  const holder = pid === "" ? "another process" : `process ${pid}`;
  return `The data directory ${path} is in use by ${holder}. Stop it, or choose another directory for this server.`;
}

interface Identity {
  readonly format: number;
  readonly storeId: string;
  /** First version of the program that reads the format. */
  readonly version?: string;
}

function readIdentity(path: string): Identity | undefined {
  const file = join(path, "store.json");
  if (!existsSync(file)) {
    if (!existsSync(logPaths(path).database)) return undefined;
    throw unreadable(file, "is missing, but there is a log");
  }
  const found = parseIdentity(readFileSync(file, "utf8"));
  if (found === undefined) throw unreadable(file, "is not what this program wrote");
  if (found.format > newestFormat) {
    const { version } = found;
    const program = version === undefined ? "the newer program" : `corvo ${version} or later,`;
    throw new DataDirError(
      "too_new",
      `The data directory ${path} has format ${found.format}, this program reads up to ${newestFormat}. ` +
        `Start ${program} that wrote it, or restore a backup made before the upgrade.`,
    );
  }
  return found;
}

function unreadable(file: string, what: string): DataDirError {
  return new DataDirError(
    "unreadable",
    `${file} ${what}. Restore the directory from a backup as a whole; do not write the file by hand.`,
  );
}

function parseIdentity(text: string): Identity | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof value !== "object" || value === null) return undefined;
  if (!("format" in value) || typeof value.format !== "number") return undefined;
  // A newer format may look different in everything but its number.
  if (value.format > newestFormat) {
    const version = "version" in value && typeof value.version === "string" ? value.version : "";
    const isVersion = /^\d+\.\d+\.\d+$/.test(version);
    return { format: value.format, storeId: "", ...(isVersion ? { version } : {}) };
  }
  if (!("storeId" in value) || typeof value.storeId !== "string") return undefined;
  if (!/^[0-9a-f-]{36}$/.test(value.storeId)) return undefined;
  return { format: value.format, storeId: value.storeId };
}

function createIdentity(path: string): Identity {
  const identity = { format: firstFormat, storeId: crypto.randomUUID() };
  writeIdentity(path, identity);
  return identity;
}

function writeIdentity(path: string, { format, storeId }: Identity): void {
  const text = JSON.stringify({ format, storeId, version: versionOfLevel(format) });
  writeDurably(path, "store.json", `${text}\n`);
}
