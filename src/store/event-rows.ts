/**
 * Life-cycle events on disk: one row per chunk, its columns one after the other and then its texts, compressed. Around a
 * tenth of the memory, and nothing is indexed: a walk over all rows of a full store decompresses some megabytes, and the
 * lowest and highest job number of each row let most be skipped.
 *
 * They are written in the transaction that stores the state they led to. So a database has exactly the events below its
 * state's count, and a snapshot takes them along.
 */
import type { Database, Statement } from "bun:sqlite";
import { EventChunk } from "../engine/event-chunk.ts";

export const eventTables = `
CREATE TABLE IF NOT EXISTS events (
  first INTEGER PRIMARY KEY, count INTEGER NOT NULL, start INTEGER NOT NULL, end INTEGER NOT NULL,
  low INTEGER NOT NULL, high INTEGER NOT NULL, body BLOB NOT NULL
);
`;

/** A chunk as it travels to the writer. */
export interface PackedEvents {
  readonly first: number;
  readonly count: number;
  readonly startMs: number;
  readonly endMs: number;
  /** Lowest and highest number of a job in it. */
  readonly low: number;
  readonly high: number;
  readonly columns: Uint8Array;
  /** JSON. */
  readonly texts: string;
}

/** How many events a node keeps, in how much space, for how long. */
export interface EventRetention {
  readonly eventsMax: number;
  readonly bytesMax: number;
  readonly keepMs: number;
}

export const defaultEventRetention: EventRetention = {
  eventsMax: 1_000_000,
  bytesMax: 256 * 1024 * 1024,
  keepMs: 24 * 3_600_000,
};

/** Bytes of an event in the columns: three numbers of 8, one of 4, two of 2, one of 1. */
const eventBytes = 33;
/** Fast: events repeat themselves so much that a higher level gains little. */
const compressionLevel = 1;
/** Rows that one checkpoint removes beyond as many as it adds. */
const removedRowsMax = 64;

export function packEvents(chunk: EventChunk): PackedEvents {
  const { count } = chunk;
  const columns = new Uint8Array(count * eventBytes);
  const target = chunkColumns(columns, count);
  let low = Number.POSITIVE_INFINITY;
  let high = 0;
  for (const name of columnNames) target[name].set(chunk.columns[name].subarray(0, count));
  for (const seq of target.seqs) {
    if (seq < low) low = seq;
    if (seq > high) high = seq;
  }
  return {
    first: chunk.first,
    count,
    startMs: target.times[0] ?? 0,
    endMs: target.times[count - 1] ?? 0,
    low,
    high,
    columns,
    texts: JSON.stringify(chunk.texts),
  };
}

const columnNames = [
  "seqs",
  "created",
  "times",
  "attempts",
  "queues",
  "details",
  "codes",
] as const satisfies (keyof EventChunk["columns"])[];

/** The columns of a chunk of `count` events in these bytes, which begin at a multiple of eight. */
function chunkColumns(
  { buffer, byteOffset: at }: Uint8Array,
  count: number,
): EventChunk["columns"] {
  return {
    seqs: new Float64Array(buffer, at, count),
    created: new Float64Array(buffer, at + 8 * count, count),
    times: new Float64Array(buffer, at + 16 * count, count),
    attempts: new Uint32Array(buffer, at + 24 * count, count),
    queues: new Uint16Array(buffer, at + 28 * count, count),
    details: new Uint16Array(buffer, at + 30 * count, count),
    codes: new Uint8Array(buffer, at + 32 * count, count),
  };
}

interface EventRow {
  readonly first: number;
  readonly count: number;
  readonly body: Uint8Array;
}

export function readEventRow({ first, count, body }: EventRow): EventChunk {
  // Into memory of its own, which begins where numbers of eight bytes may.
  const bytes = new Uint8Array(Bun.zstdDecompressSync(body));
  const texts = new TextDecoder().decode(bytes.subarray(count * eventBytes));
  return EventChunk.of(first, chunkColumns(bytes, count), JSON.parse(texts) as string[]);
}

/** Writes chunks and removes the oldest, inside the transactions of its owner. */
export class EventWriter {
  readonly #db: Database;
  readonly #retention: EventRetention;
  readonly #insert: Statement;
  readonly #encoder = new TextEncoder();
  #events: number;
  #bytes: number;

  constructor(db: Database, retention: EventRetention) {
    this.#db = db;
    this.#retention = retention;
    this.#insert = db.prepare("INSERT OR REPLACE INTO events VALUES (?,?,?,?,?,?,?)");
    const sums = db
      .query("SELECT total(count) AS events, total(length(body)) AS bytes FROM events")
      .get() as { events: number; bytes: number };
    this.#events = sums.events;
    this.#bytes = sums.bytes;
  }

  /** What the sums were before a transaction that failed. */
  get mark(): { readonly events: number; readonly bytes: number } {
    return { events: this.#events, bytes: this.#bytes };
  }

  reset(mark: { readonly events: number; readonly bytes: number }): void {
    this.#events = mark.events;
    this.#bytes = mark.bytes;
  }

  write(chunks: readonly PackedEvents[]): void {
    if (chunks.length === 0) return;
    for (const chunk of chunks) this.#put(chunk);
    this.#removeOldest(chunks.length + removedRowsMax, chunks.at(-1)?.endMs ?? 0);
  }

  /** A chunk that was stored in part is stored again as a whole. */
  #put({ first, count, startMs, endMs, low, high, columns, texts }: PackedEvents): void {
    const text = this.#encoder.encode(texts);
    const plain = new Uint8Array(columns.length + text.length);
    plain.set(columns);
    plain.set(text, columns.length);
    const body = Bun.zstdCompressSync(plain, { level: compressionLevel });
    const before = this.#db
      .query("SELECT count, length(body) AS bytes FROM events WHERE first = ?")
      .get(first) as { count: number; bytes: number } | null;
    this.#insert.run(first, count, startMs, endMs, low, high, body);
    this.#events += count - (before?.count ?? 0);
    this.#bytes += body.length - (before?.bytes ?? 0);
  }

  #removeOldest(most: number, nowMs: number): void {
    const { eventsMax, bytesMax, keepMs } = this.#retention;
    const rows = this.#db
      .query("SELECT first, count, end, length(body) AS bytes FROM events ORDER BY first LIMIT ?")
      .all(most) as { first: number; count: number; end: number; bytes: number }[];
    for (const { first, count, end, bytes } of rows) {
      const isOver =
        this.#events - count >= eventsMax || this.#bytes > bytesMax || end < nowMs - keepMs;
      if (!isOver) return;
      this.#db.query("DELETE FROM events WHERE first = ?").run(first);
      this.#events -= count;
      this.#bytes -= bytes;
    }
  }
}
