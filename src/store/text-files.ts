/** The files of the index of texts; whatever is wrong with it, they may be removed while nobody has them open. */
import { rmSync } from "node:fs";

export function removeTextIndex(path: string): void {
  for (const suffix of ["", "-wal", "-shm"]) rmSync(path + suffix, { force: true });
}

/** Not the index that was written, or none at all. */
export function isDamage(error: unknown): boolean {
  const code = (error as { code?: unknown } | null)?.code;
  return (
    typeof code === "string" &&
    /^SQLITE_(CORRUPT|NOTADB|ERROR|MISMATCH|CONSTRAINT|IOERR_SHORT_READ)/.test(code)
  );
}
