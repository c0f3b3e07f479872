import { Database, type Statement } from "bun:sqlite";
import type { LogBounds, LogEntry } from "../base/log.ts";
import { entriesOf, LogCompacted, LogDamaged, readRow } from "./log-format.ts";
import { asDamage, tableOf } from "./log-verify.ts";

type RowQuery = Statement<{ id: number; data: Uint8Array }, [number]>;

/** Reads entries beside the writer, on its own connection; verifies every row it touches. */
export class LogReader {
  readonly #db: Database;
  readonly #queries = new Map<number, RowQuery>();

  constructor(path: string) {
    this.#db = new Database(path, { readonly: true });
    this.#db.run("PRAGMA busy_timeout = 1000");
  }

  read(
    group: number,
    range: { readonly from: number; readonly bytesMax: number; readonly bounds: LogBounds },
  ): LogEntry[] {
    const { from, bytesMax, bounds } = range;
    if (from < bounds.first) throw new LogCompacted(group, from, bounds.first);
    const entries: LogEntry[] = [];
    let next = from;
    let bytes = 0;
    while (next <= bounds.last) {
      for (const entry of this.#rowEntries(group, next)) {
        if (entry.index < next) continue;
        if (entry.index > bounds.last) return entries;
        bytes += entry.data.length;
        if (entries.length > 0 && bytes > bytesMax) return entries;
        entries.push(entry);
        next = entry.index + 1;
      }
    }
    return entries;
  }

  /** Of the database file, pages that hold nothing. */
  freeBytes(): number {
    const query = this.#db.query(
      "SELECT freelist_count * page_size AS bytes FROM pragma_freelist_count, pragma_page_size",
    );
    return (query.get() as { readonly bytes: number }).bytes;
  }

  close(): void {
    for (const query of this.#queries.values()) query.finalize();
    this.#db.close();
  }

  /** One row at a time, so that no read transaction stays open to hold back a checkpoint. */
  #rowEntries(group: number, index: number): LogEntry[] {
    try {
      const found = this.#queryOf(group).get(index);
      if (found === null) throw new LogDamaged({ group, index }, "the entry is missing");
      const row = readRow(found.data, group, found.id);
      if (row.first > index) throw new LogDamaged({ group, index }, "the entry is missing");
      return entriesOf(row);
    } catch (error) {
      throw asDamage(error);
    }
  }

  #queryOf(group: number): RowQuery {
    const known = this.#queries.get(group);
    if (known !== undefined) return known;
    const query: RowQuery = this.#db.prepare(
      `SELECT id, data FROM ${tableOf(group)} WHERE id >= ? ORDER BY id LIMIT 1`,
    );
    this.#queries.set(group, query);
    return query;
  }
}
