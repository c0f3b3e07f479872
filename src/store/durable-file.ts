/** Small files that are there whole or not at all, whatever happens while they are written. */
import { closeSync, fsyncSync, openSync, renameSync, writeSync } from "node:fs";
import { join } from "node:path";
import { syncDirectory } from "./superblock.ts";

/** Replaces a file: a new one is written and fsynced, takes the old one's name, and the directory is fsynced. */
export function writeDurably(directory: string, name: string, text: string): void {
  const file = join(directory, name);
  const temporary = `${file}.new`;
  const fd = openSync(temporary, "w", 0o600);
  try {
    writeSync(fd, text);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
  renameSync(temporary, file);
  syncDirectory(directory);
}
