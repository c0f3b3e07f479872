/**
 * Unique keys that are held for a period, whether their job is done or not, and the jobs that wait for a key.
 *
 * A key with another scope is a lock beside its unfinished job (`State.getUnique`) and goes with it. A hold may outlive
 * its job, even the job's record, so it is a record of its own with an end. Ends are not worth a change of their own: a
 * hold whose time is over counts for nothing, and each new one sweeps two of them away.
 */
import { Deadlines } from "./deadlines.ts";
import { uniqueName } from "./memory-state.ts";
import type { RecordTable } from "./records.ts";

export interface KeyHold {
  readonly seq: number;
  readonly createdAtMs: number;
  readonly untilMs: number;
}

/** The held job that takes the key when its holder ends. Keyed as locks are. */
export interface FollowUp {
  readonly seq: number;
}

export class KeyHolds {
  readonly #table: RecordTable<KeyHold>;
  /** One entry per hold, by its job: a job has one key. */
  readonly #ends = new Deadlines();
  readonly #names = new Map<number, string>();

  constructor(table: RecordTable<KeyHold>) {
    this.#table = table;
    for (const [name, hold] of table.entries()) this.#index(name, hold);
  }

  get size(): number {
    return this.#table.size;
  }

  get(queue: string, key: string): KeyHold | undefined {
    return this.#table.size === 0 ? undefined : this.#table.get(uniqueName(queue, key));
  }

  put(queue: string, key: string, hold: KeyHold): void {
    this.delete(queue, key);
    const name = uniqueName(queue, key);
    this.#table.put(name, hold);
    this.#index(name, hold);
  }

  delete(queue: string, key: string): void {
    this.#drop(uniqueName(queue, key));
  }

  /** The job of this number has come back from a backup, without this key or with another: what it held when it went is over. */
  leaveOthers(seq: number, queue: string, key: string | undefined): void {
    const name = this.#names.get(seq);
    if (name !== undefined && name !== uniqueName(queue, key ?? "")) this.#drop(name);
  }

  /** Two go for each that comes, so the table shrinks back, and no call pays for all of them. */
  forgetOld(nowMs: number): void {
    for (let i = 0; i < 2 && this.#ends.topTime() <= nowMs; i++) {
      this.#drop(this.#names.get(this.#ends.topKey()) ?? "");
    }
  }

  #index(name: string, hold: KeyHold): void {
    this.#ends.add(hold.untilMs, hold.seq);
    this.#names.set(hold.seq, name);
  }

  #drop(name: string): void {
    const hold = this.#table.get(name);
    if (hold === undefined) return;
    this.#table.delete(name);
    this.#ends.remove(hold.untilMs, hold.seq);
    this.#names.delete(hold.seq);
  }
}
