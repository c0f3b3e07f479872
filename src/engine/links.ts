/** Which jobs are tied to a job: those that wait for it, or that belong to it. One list per job that has any. */
import { SeqList } from "./seq-list.ts";

export class Links {
  readonly #lists = new Map<number, SeqList>();

  has(owner: number): boolean {
    return this.#lists.has(owner);
  }

  add(owner: number, seq: number): void {
    let list = this.#lists.get(owner);
    if (list === undefined) {
      list = new SeqList();
      this.#lists.set(owner, list);
    }
    list.add(seq);
  }

  remove(owner: number, seq: number): void {
    const list = this.#lists.get(owner);
    if (list === undefined) return;
    list.remove(seq);
    if (list.size === 0) this.#lists.delete(owner);
  }

  /** The first job tied to `owner` whose number is above `seq`, or undefined. */
  after(owner: number, seq: number): number | undefined {
    return this.#lists.get(owner)?.after(seq);
  }
}
