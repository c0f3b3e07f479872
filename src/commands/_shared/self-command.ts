/** How this program is started again. */
import { join } from "node:path";

export const isCompiled =
  import.meta.dir.startsWith("/$bunfs/") || import.meta.dir.startsWith("B:\\~BUN");

/** The words that start it: the executable alone, or the runtime and the entry point. */
export const selfCommand: readonly string[] = isCompiled
  ? [process.execPath]
  : [process.execPath, join(import.meta.dir, "..", "..", "main.ts")];
