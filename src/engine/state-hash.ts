/**
 * A number for everything that can be observed of a state, equal for equal states whatever holds them and in whatever
 * order they give their records. Two replicas that applied the same entries must have the same one.
 *
 * Each record becomes canonical text (members by name, `undefined` left out) and then 64 bits; the bits of all records of
 * a table are added, so nothing is sorted or kept. It finds accidents, not attacks.
 */
import type { Attempt, Job } from "./job.ts";
import type { AnyRecord } from "./records.ts";
import type { IdempotencyRecord, Meta, QueueRecord, UniqueLock } from "./state.ts";

export interface UniqueRecord {
  readonly queue: string;
  readonly key: string;
  readonly lock: UniqueLock;
}

/** Every record of a state. Jobs that retention has removed are not in it, and neither are their attempts. */
export interface StateContents {
  readonly meta: Meta;
  jobs(): Iterable<Job>;
  attempts(): Iterable<Attempt>;
  queues(): Iterable<QueueRecord>;
  uniques(): Iterable<UniqueRecord>;
  /** In the order in which they are forgotten. */
  idempotency(): Iterable<IdempotencyRecord>;
  records(): Iterable<AnyRecord>;
}

/** One line per table: its name, how many records it has, and their hash. Shows where two states differ. */
export function hashTables(contents: StateContents): string[] {
  let ordinal = 0;
  return [
    table("meta", [contents.meta], (meta) => meta),
    table("jobs", contents.jobs(), (job) => job),
    table("attempts", contents.attempts(), (attempt) => attempt),
    table("queues", contents.queues(), (queue) => queue),
    table("uniques", contents.uniques(), (unique) => unique),
    table("idempotency", contents.idempotency(), (record) => [ordinal++, record]),
    table("records", contents.records(), (record) => record),
  ];
}

/** 16 hex digits per table, as one text. */
export function hashState(contents: StateContents): string {
  return hashTables(contents).join("\n");
}

function table<Row>(name: string, rows: Iterable<Row>, of: (row: Row) => unknown): string {
  let count = 0;
  let high = 0;
  let low = 0;
  for (const row of rows) {
    const text = canonical(of(row));
    count++;
    high = (high + hash32(text, 0x9747b28c)) >>> 0;
    low = (low + hash32(text, 0x3c6ef372)) >>> 0;
  }
  return `${name} ${count} ${hex(high)}${hex(low)}`;
}

/** JSON with members in the order of their names; maps become their sorted entries. */
export function canonical(value: unknown): string {
  if (value instanceof Map) {
    return canonical([...value].sort(([one], [other]) => (one < other ? -1 : 1)));
  }
  if (Array.isArray(value)) return `[${value.map((item) => canonical(item)).join(",")}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value) ?? "null";
  const members = Object.entries(value)
    .filter(([, member]) => member !== undefined)
    .sort(([one], [other]) => (one < other ? -1 : 1));
  return `{${members.map(([name, member]) => `${JSON.stringify(name)}:${canonical(member)}`).join(",")}}`;
}

/** The mixing steps are those of the 32-bit MurmurHash3 (Appleby, public domain), over the text's 16-bit units. */
function hash32(text: string, seed: number): number {
  let hash = seed;
  for (let i = 0; i < text.length; i++) {
    let unit = Math.imul(text.charCodeAt(i), 0xcc9e2d51);
    unit = Math.imul((unit << 15) | (unit >>> 17), 0x1b873593);
    hash ^= unit;
    hash = (hash << 13) | (hash >>> 19);
    hash = (Math.imul(hash, 5) + 0xe6546b64) | 0;
  }
  hash ^= text.length;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

function hex(bits: number): string {
  return bits.toString(16).padStart(8, "0");
}
