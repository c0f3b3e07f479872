/**
 * A data directory that is made from a backup. It is empty before, and useless until all of it is done: a mark says so, which keeps
 * servers out, and which a restore that begins anew takes for leave to remove what the one before it left. States are placed
 * as received snapshots are (`snapshots.ts`), so the next opening puts them in and begins the log after them.
 */
import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  rmSync,
  writeSync,
} from "node:fs";
import { join, resolve } from "node:path";
import { BackupDamaged, type BlobSection, type StateSection } from "./backup-format.ts";
import { type DataDir, DataDirError, openDataDir, restoringMark } from "./data-dir.ts";
import { writeDurably } from "./durable-file.ts";
import { shardFiles } from "./shard-files.ts";
import { keepIncoming } from "./snapshots.ts";
import { syncDirectory } from "./superblock.ts";

/** What a directory may hold that is empty all the same: the mark of a file system, and the lock that is being taken. */
const ignored = ["lost+found", "lock.db", "lock.pid"];
const kept = [...ignored, restoringMark, "store.json"];

export class RestoreDir {
  readonly dir: DataDir;
  readonly #path: string;

  private constructor(path: string, dir: DataDir) {
    this.#path = path;
    this.dir = dir;
  }

  /** Throws a DataDirError when the directory holds anything. */
  static open(directory: string): RestoreDir {
    const path = resolve(directory);
    mkdirSync(path, { recursive: true, mode: 0o700 });
    const isBegun = existsSync(join(path, restoringMark));
    const found = readdirSync(path).filter((name) => !ignored.includes(name));
    if (found.length > 0 && !isBegun) {
      throw new DataDirError(
        "used",
        `The directory ${path} is not empty: it holds ${found.slice(0, 3).join(", ")}. A backup is restored into a new directory; nothing is overwritten.`,
      );
    }
    if (!isBegun) writeDurably(path, restoringMark, "A restore was begun and is not finished.\n");
    try {
      const restored = new RestoreDir(path, openDataDir(path, { isRestoring: true }));
      restored.#clear();
      return restored;
    } catch (error) {
      if (!isBegun) rmSync(join(path, restoringMark), { force: true });
      throw error;
    }
  }

  /** A state that is to come; pieces go in one after the other. */
  state(section: StateSection): StateTarget {
    return new StateTarget(this.#path, section);
  }

  /** A blob that is to come. */
  blob(section: BlobSection): BlobTarget {
    return new BlobTarget(this.#path, section);
  }

  /** From now on it is a data directory like any other. */
  finish(): void {
    rmSync(join(this.#path, restoringMark));
    syncDirectory(this.#path);
  }

  /** Leaves the directory as empty as it was. */
  abandon(): void {
    this.#clear();
    rmSync(join(this.#path, "store.json"), { force: true });
    this.dir.close();
    for (const name of ["lock.db", "lock.pid", restoringMark]) {
      rmSync(join(this.#path, name), { force: true });
    }
  }

  #clear(): void {
    for (const name of readdirSync(this.#path)) {
      if (kept.includes(name)) continue;
      rmSync(join(this.#path, name), { recursive: true, force: true });
    }
  }
}

/** Where something of the backup goes. */
export interface RestoreTarget {
  write(piece: Uint8Array): void;
  /** It is whole, with this SHA-256. */
  place(sha256: string): void;
}

/** Written in its place at once: nobody looks at it before the whole directory is done. */
class BlobTarget implements RestoreTarget {
  readonly #section: BlobSection;
  readonly #folder: string;
  readonly #fd: number;

  constructor(directory: string, section: BlobSection) {
    if (!/^[0-9a-f]{64}$/.test(section.hash)) {
      throw new BackupDamaged(`"${String(section.hash).slice(0, 80)}" is not the hash of a blob`);
    }
    this.#section = section;
    this.#folder = join(directory, "blobs", section.hash.slice(0, 2));
    mkdirSync(this.#folder, { recursive: true, mode: 0o700 });
    this.#fd = openSync(join(this.#folder, section.hash), "w", 0o600);
  }

  write(piece: Uint8Array): void {
    for (let at = 0; at < piece.length; ) at += writeSync(this.#fd, piece, at);
  }

  place(sha256: string): void {
    fsyncSync(this.#fd);
    closeSync(this.#fd);
    if (sha256 !== this.#section.hash) {
      throw new BackupDamaged(`blob ${this.#section.hash} has the SHA-256 ${sha256}`);
    }
    syncDirectory(this.#folder);
    syncDirectory(join(this.#folder, ".."));
  }
}

class StateTarget implements RestoreTarget {
  readonly #section: StateSection;
  readonly #directory: string;
  readonly #path: string;
  readonly #fd: number;

  constructor(directory: string, section: StateSection) {
    this.#section = section;
    this.#directory = directory;
    this.#path = join(directory, `restored-${section.shard}.db`);
    this.#fd = openSync(this.#path, "w", 0o600);
  }

  write(piece: Uint8Array): void {
    for (let at = 0; at < piece.length; ) at += writeSync(this.#fd, piece, at);
  }

  /** It is whole. */
  place(): void {
    fsyncSync(this.#fd);
    closeSync(this.#fd);
    const { shard, index, term } = this.#section;
    keepIncoming(shardFiles(this.#directory, shard), this.#path, { index, term });
  }
}
