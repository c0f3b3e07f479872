/** The few things that the blob store does to files, one by one, so that a test can end the world between any two of them. */
import { mkdirSync, promises, readdirSync, renameSync, rmSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { syncDirectory } from "../superblock.ts";

/** A file that is being written. */
export interface OpenFile {
  write(bytes: Uint8Array): Promise<void>;
  sync(): Promise<void>;
  close(): Promise<void>;
}

export interface FileFacts {
  readonly name: string;
  readonly bytes: number;
  /** Of the last change, as the clock of the file system has it. */
  readonly changedMs: number;
}

export interface BlobFiles {
  /** A new file. */
  create(path: string): Promise<OpenFile>;
  /** At once, so that nothing comes between the new name and what its caller notes of it. */
  rename(from: string, to: string): void;
  remove(path: string): void;
  /** Makes new names in a folder durable. */
  syncFolder(path: string): Promise<void>;
  /** With its own name durable; may be there already. */
  makeFolder(path: string): void;
  folders(path: string): readonly string[];
  files(path: string): readonly FileFacts[];
}

export const diskFiles: BlobFiles = {
  async create(path) {
    const file = await promises.open(path, "wx", 0o600);
    return {
      async write(bytes) {
        for (let at = 0; at < bytes.length; ) {
          const { bytesWritten } = await file.write(bytes, at);
          at += bytesWritten;
        }
      },
      sync: () => file.sync(),
      close: () => file.close(),
    };
  },
  rename: renameSync,
  remove: (path) => rmSync(path, { force: true }),
  async syncFolder(path) {
    const folder = await promises.open(path, "r");
    try {
      await folder.sync();
    } finally {
      await folder.close();
    }
  },
  makeFolder(path) {
    mkdirSync(path, { recursive: true, mode: 0o700 });
    syncDirectory(path);
    syncDirectory(dirname(path));
  },
  folders: (path) =>
    readdirSync(path, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map(({ name }) => name),
  files: (path) =>
    readdirSync(path, { withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map(({ name }) => {
        const { size, mtimeMs } = statSync(join(path, name));
        return { name, bytes: size, changedMs: mtimeMs };
      }),
};
