/** Backups as files: written under another name until they are whole, and looked through while they are. */
import { closeSync, fsyncSync, openSync, renameSync, rmSync, statSync, writeSync } from "node:fs";
import { dirname } from "node:path";
import type { BackupManifest } from "../../store/backup-format.ts";
import { readBackup } from "../../store/backup-reader.ts";
import { syncDirectory } from "../../store/superblock.ts";
import { UsageError } from "../_shared/exit.ts";
import { count } from "../_shared/output.ts";

/** What a backup holds. */
export interface BackupSummary {
  readonly manifest: BackupManifest;
  /** Bytes of the file, and of what is in it. */
  readonly fileBytes: number;
  readonly bytes: number;
  readonly sections: number;
  readonly sha256: string;
}

/** Reads a backup to its end, and throws when it is not whole. `pass` gets each chunk before it is looked at. */
export async function summarize(
  chunks: AsyncIterable<Uint8Array>,
  pass: (chunk: Uint8Array) => void | Promise<void>,
): Promise<BackupSummary> {
  let fileBytes = 0;
  let bytes = 0;
  let manifest: BackupManifest | undefined;
  async function* passed() {
    for await (const chunk of chunks) {
      fileBytes += chunk.length;
      await pass(chunk);
      yield chunk;
    }
  }
  for await (const part of readBackup(passed())) {
    if (part.kind === "manifest") manifest = part.manifest;
    else if (part.kind === "data") bytes += part.bytes.length;
    else if (part.kind === "last" && manifest !== undefined) {
      return { manifest, fileBytes, bytes, sections: part.end.sections, sha256: part.end.sha256 };
    }
  }
  throw new Error("the reader of backups ends with the last part or an error");
}

/** A file that takes its name when it is whole. */
export class BackupTarget {
  readonly #path: string;
  readonly #fd: number;
  #isOpen = true;

  constructor(path: string, mayReplace: boolean) {
    this.#path = path;
    const found = this.#do(() => statSync(path, { throwIfNoEntry: false }));
    // A device of that name would be gone, and a file in its place.
    if (found?.isFile() === false) {
      throw new UsageError(`${path} is no ordinary file`, "Name a file, or - for standard output.");
    }
    if (found !== undefined && !mayReplace) {
      throw new UsageError(`${path} exists already`, "Choose another name, or say --force.");
    }
    this.#fd = this.#do(() => openSync(this.#partPath, "w", 0o600));
  }

  get #partPath(): string {
    return `${this.#path}.part`;
  }

  write(chunk: Uint8Array): void {
    this.#do(() => {
      for (let at = 0; at < chunk.length; ) at += writeSync(this.#fd, chunk, at);
    });
  }

  finish(): void {
    this.#do(() => {
      fsyncSync(this.#fd);
      this.#close();
      renameSync(this.#partPath, this.#path);
      syncDirectory(dirname(this.#path));
    });
  }

  /** Leaves nothing behind; a backup that has its name already stays. */
  abandon(): void {
    this.#close();
    rmSync(this.#partPath, { force: true });
  }

  #close(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    closeSync(this.#fd);
  }

  /** A folder that is missing, or a disk that is full, is no fault of this program. */
  #do<T>(work: () => T): T {
    try {
      return work();
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      throw new UsageError(
        `cannot write ${this.#path}: ${reason}`,
        "Look at the folder, who may write to it, and its free space.",
      );
    }
  }
}

export function scopeOf({ queues }: BackupManifest): string {
  if (queues === undefined) return "everything";
  return queues.length <= 3 ? queues.join(", ") : count(queues.length, "queue");
}

/** For programs. */
export function summaryDocument({ manifest, ...rest }: BackupSummary): object {
  return {
    version: manifest.version,
    feature_level: manifest.featureLevel,
    cluster_id: manifest.clusterId,
    created_at: new Date(manifest.createdAtMs).toISOString(),
    shards: manifest.shards,
    ...(manifest.queues === undefined ? {} : { queues: manifest.queues }),
    file_bytes: rest.fileBytes,
    bytes: rest.bytes,
    sections: rest.sections,
    sha256: rest.sha256,
  };
}
