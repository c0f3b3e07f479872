import type { AppendWork, Log, LogBounds, LogEntry, LogFault } from "../../src/base/log.ts";

/** A log in memory. Durable at once, unless it is stalled: then writes stay unanswered. Or full: then they are refused. */
export class MemoryLogFile implements Log {
  readonly readOnly = false;
  isStalled = false;
  isFull = false;
  #entries: LogEntry[] = [];
  #hard = { term: 0, vote: "0", commit: 0 };

  append(work: AppendWork, done: (fault: LogFault | undefined) => void): void {
    if (this.isStalled) return;
    if (this.isFull) {
      queueMicrotask(() => done({ kind: "disk_full", message: "no space is left" }));
      return;
    }
    const cut = work.truncateFrom ?? Number.POSITIVE_INFINITY;
    this.#entries = [...this.#entries.filter((entry) => entry.index < cut), ...work.entries];
    this.#hard = work.hardState ?? this.#hard;
    queueMicrotask(() => done(undefined));
  }

  read(_group: number, from: number): LogEntry[] {
    return this.#entries.filter((entry) => entry.index >= from);
  }

  bounds(): LogBounds {
    const last = this.#entries.at(-1);
    return {
      first: 1,
      last: last?.index ?? 0,
      previousTerm: 0,
      lastTerm: last?.term ?? 0,
      hardState: this.#hard,
    };
  }

  compact(): void {}
  size() {
    return { bytes: 0, freeBytes: 0, walBytes: 0, pendingBytes: 0 };
  }
  async close(): Promise<void> {}
}
