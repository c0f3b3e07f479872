/** Which jobs are tied to a job: those that wait for it, or that belong to it. One list per job that has any. */
import { SeqList } from "./seq-list.ts";

/** A job or batch by its number here, or, when another shard has it, by its id. */
export type Owner = number | string;

export class Links {
  readonly #lists = new Map<Owner, SeqList>();

  has(owner: Owner): boolean {
    return this.#lists.has(owner);
  }

  owners(): Iterable<Owner> {
    return this.#lists.keys();
  }

  count(owner: Owner): number {
    return this.#lists.get(owner)?.size ?? 0;
  }

  add(owner: Owner, seq: number): void {
    let list = this.#lists.get(owner);
    if (list === undefined) {
      list = new SeqList();
      this.#lists.set(owner, list);
    }
    list.add(seq);
  }

  remove(owner: Owner, seq: number): void {
    const list = this.#lists.get(owner);
    if (list === undefined) return;
    list.remove(seq);
    if (list.size === 0) this.#lists.delete(owner);
  }

  /** The first job tied to `owner` whose number is above `seq`, or undefined. */
  after(owner: Owner, seq: number): number | undefined {
    return this.#lists.get(owner)?.after(seq);
  }
}
