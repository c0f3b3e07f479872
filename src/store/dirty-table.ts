/**
 * Bookkeeping for a small table whose rows are keyed by text: what changed since the last confirmed checkpoint. A value
 * of `undefined` is a deletion.
 */
export class DirtyTable<Value> {
  #dirty = new Map<string, Value | undefined>();
  #leaving = new Map<string, Value | undefined>();

  get size(): number {
    return this.#dirty.size;
  }

  set(key: string, value: Value | undefined): void {
    this.#dirty.set(key, value);
  }

  /** The unconfirmed value of a key: `known` is false when the database has the latest. */
  get(key: string): { readonly known: boolean; readonly value: Value | undefined } {
    if (this.#dirty.has(key)) return { known: true, value: this.#dirty.get(key) };
    if (this.#leaving.has(key)) return { known: true, value: this.#leaving.get(key) };
    return { known: false, value: undefined };
  }

  /** Every unconfirmed value by its key. */
  entries(): Iterable<[string, Value | undefined]> {
    return new Map([...this.#leaving, ...this.#dirty]);
  }

  /** Hands over the changes; `settle` or `restore` must follow before the next call. */
  take(): { put: [string, Value][]; deleted: string[] } {
    this.#leaving = this.#dirty;
    this.#dirty = new Map();
    const put: [string, Value][] = [];
    const deleted: string[] = [];
    for (const [key, value] of this.#leaving) {
      if (value === undefined) deleted.push(key);
      else put.push([key, value]);
    }
    return { put, deleted };
  }

  settle(): void {
    this.#leaving = new Map();
  }

  /** Later changes win over those that come back. */
  restore(): void {
    for (const [key, value] of this.#leaving)
      if (!this.#dirty.has(key)) this.#dirty.set(key, value);
    this.#leaving = new Map();
  }
}
