/**
 * Unfinished jobs that belong to something which may be cancelled with all that belongs to it: a batch, or a parent. One record per such
 * job with the numbers of its owners; from these the reverse is kept in memory. A batch and a job never have the same number,
 * so one table of owners serves both.
 */
import { Links, type Owner } from "./links.ts";
import type { RecordTable } from "./records.ts";

/** The batch and the parent, if any. Never empty. */
export type Tie = readonly Owner[];

/** A job or batch, and the shards which have jobs that are cancelled with it. */
export interface Followers {
  readonly id: string;
  readonly shards: readonly number[];
}

export class Ties {
  readonly #table: RecordTable<Tie>;
  readonly #members = new Links();

  constructor(table: RecordTable<Tie>) {
    this.#table = table;
    const ties = [...table.entries()].map(([key, owners]) => ({ seq: Number(key), owners }));
    for (const { seq, owners } of ties.sort((one, other) => one.seq - other.seq)) {
      for (const owner of owners) this.#members.add(owner, seq);
    }
  }

  /** Jobs that belong to something. */
  get size(): number {
    return this.#table.size;
  }

  of(seq: number): Tie {
    return this.#table.get(String(seq)) ?? [];
  }

  tie(seq: number, owners: Tie): void {
    this.#table.put(String(seq), owners);
    for (const owner of owners) this.#members.add(owner, seq);
  }

  untie(seq: number): void {
    for (const owner of this.#table.get(String(seq)) ?? []) this.#members.remove(owner, seq);
    this.#table.delete(String(seq));
  }

  /** Batches and parents that have members, in an order that is the same on all replicas. */
  owners(): Owner[] {
    return [...this.#members.owners()].sort((one, other) => (String(one) < String(other) ? -1 : 1));
  }

  count(owner: Owner): number {
    return this.#members.count(owner);
  }

  hasMembers(owner: Owner): boolean {
    return this.#members.has(owner);
  }

  /** The first member whose number is above `seq`, or undefined. */
  memberAfter(owner: Owner, seq: number): number | undefined {
    return this.#members.after(owner, seq);
  }
}
