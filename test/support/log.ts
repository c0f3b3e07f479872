import { cpSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { AppendWork, Log, LogEntry, LogFault } from "../../src/base/log.ts";
import { type LogOptions, openLog } from "../../src/store/worker-log.ts";

export const storeId = "0190a5c4-7f00-7000-8000-000000000001";

/** A directory that is gone at the end of the test that made it with `using`. */
export class TempDir {
  readonly path: string;

  constructor(parent: string = tmpdir()) {
    this.path = mkdtempSync(join(parent, "corvo-log-"));
  }

  /** The same files under another name, as a crash at this moment would leave them. */
  copy(): TempDir {
    const copy = new TempDir();
    cpSync(this.path, copy.path, { recursive: true });
    return copy;
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}

export function openTestLog(dir: TempDir, options: Partial<LogOptions> = {}): Promise<Log> {
  return openLog(dir.path, { storeId, reserveBytes: 64 * 1024, ...options });
}

export function append(log: Log, work: AppendWork): Promise<LogFault | undefined> {
  return new Promise((resolve) => log.append(work, resolve));
}

/** Entries from `first` on whose data say which they are. */
export function entriesFrom(
  first: number,
  count: number,
  options: { term?: number; bytes?: number } = {},
): LogEntry[] {
  const { term = 1, bytes = 20 } = options;
  return Array.from({ length: count }, (_, i) => {
    const text = `entry ${first + i} of term ${term} `;
    const data = new TextEncoder().encode(
      text.repeat(Math.ceil(bytes / text.length)).slice(0, bytes),
    );
    return { index: first + i, term, kind: 0, data };
  });
}

export function readAll(log: Log, group = 0): LogEntry[] {
  return log.read(group, log.bounds(group).first, Number.MAX_SAFE_INTEGER);
}
