/**
 * What one change causes for other jobs, as a queue of work. The end of one job may concern a hundred thousand others, and the end
 * of each of those as many again; so nothing that follows is done by calling on from job to job. It is written down here, and
 * done after each change, first in first out, a step (one job) at a time and a bounded number of steps per batch. What
 * is left is stored as records and goes on with the next batch; while there is some, the next deadline is now.
 *
 * Each piece of work stands for itself: by the time it is done, the job that caused it may have changed again or be gone.
 *
 * A batch may do `stepsMax` steps and one more for each piece that its changes gave rise to, so a backlog of small pieces
 * cannot grow under load; pieces that come from steps give no such credit, so a cascade cannot extend its own bound.
 */
import { must } from "../base/assert.ts";
import type { BatchEnded } from "./batches.ts";
import type { CancelChildren, CancelMembers } from "./belonging.ts";
import type { DependenciesRemoved, DependencyEnded } from "./dependencies.ts";
import type { RecordTable } from "./records.ts";

export type Work =
  | DependencyEnded
  | DependenciesRemoved
  | BatchEnded
  | CancelChildren
  | CancelMembers;

/** Among so many pieces that came last news are looked for that others can be told with. */
const joinedWithinMax = 64;

interface Item {
  work: Work;
  /** Key of its record; undefined until the end of the batch in which it came. */
  key: string | undefined;
  isChanged: boolean;
}

export class Aftermath {
  readonly #table: RecordTable<Work>;
  readonly #takeNumber: () => number;
  readonly #stepsMax: number;
  /** Oldest first. Those that are stored come before those that are not. */
  #items: Item[] = [];
  #first = 0;
  #storedCount = 0;
  #stepsLeft = 0;
  #isWorking = false;

  constructor(table: RecordTable<Work>, takeNumber: () => number, stepsMax: number) {
    this.#table = table;
    this.#takeNumber = takeNumber;
    this.#stepsMax = stepsMax;
    const stored = [...table.entries()].sort(([one], [other]) => Number(one) - Number(other));
    this.#items = stored.map(([key, work]) => ({ work, key, isChanged: false }));
    this.#storedCount = stored.length;
  }

  /** Pieces of work that are not done. */
  get size(): number {
    return this.#items.length - this.#first;
  }

  push(work: Work): void {
    this.#items.push({ work, key: undefined, isChanged: false });
    if (!this.#isWorking) this.#stepsLeft++;
  }

  /** Tells the news with those of the same end that are still to be told, if they are the latest of that job. False when there are none. */
  join(news: DependencyEnded): boolean {
    const last = this.#items.length - 1;
    const least = Math.max(this.#first, last - joinedWithinMax);
    for (let i = last; i >= least; i--) {
      const item = must(this.#items[i], "it is one of them");
      const { work } = item;
      if (work.kind !== "dependencyEnded" || work.seq !== news.seq) continue;
      if (work.how !== news.how || work.from !== undefined || work.after > 0) return false;
      item.work = { ...work, before: Math.max(work.before, news.before) };
      if (item.key !== undefined) this.#table.put(item.key, item.work);
      return true;
    }
    return false;
  }

  beginBatch(): void {
    this.#stepsLeft = this.#stepsMax;
  }

  /** Does what the batch may still do. `step` does one step of a piece and returns what is left of it, if anything. */
  carryOn(step: (work: Work) => Work | undefined): void {
    this.#isWorking = true;
    while (this.size > 0 && this.#stepsLeft > 0) {
      this.#stepsLeft--;
      const item = must(this.#items[this.#first], "there is work left");
      const left = step(item.work);
      if (left === undefined) this.#finish(item);
      else {
        item.isChanged ||= left !== item.work;
        item.work = left;
      }
    }
    this.#isWorking = false;
  }

  /** Stores what the batch could not do. */
  endBatch(): void {
    const item = this.#items[this.#first];
    if (item?.key !== undefined && item.isChanged) this.#table.put(item.key, item.work);
    if (item !== undefined) item.isChanged = false;
    for (let i = this.#first + this.#storedCount; i < this.#items.length; i++) {
      const fresh = must(this.#items[i], "what is not stored is at the end");
      fresh.key = String(this.#takeNumber());
      fresh.isChanged = false;
      this.#table.put(fresh.key, fresh.work);
    }
    this.#storedCount = this.size;
  }

  #finish(item: Item): void {
    this.#first++;
    if (item.key !== undefined) {
      this.#table.delete(item.key);
      this.#storedCount--;
    }
    if (this.size === 0) {
      this.#items = [];
      this.#first = 0;
    } else if (this.#first >= 1024 && this.#first * 2 >= this.#items.length) {
      this.#items = this.#items.slice(this.#first);
      this.#first = 0;
    }
  }
}
