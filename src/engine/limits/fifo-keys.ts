/**
 * Strict order within a key of a queue: of its unfinished jobs only the oldest may run, and only when none of them is
 * running. A job that was run again by hand after younger ones began waits for those, and goes before the rest.
 *
 * Only the job whose turn it is stands in a lane. Who that is follows from the jobs alone; after each change of a job of a
 * key `settle` brings the lane up to it.
 */
import { assert } from "../../base/assert.ts";
import { Deadlines } from "../deadlines.ts";
import type { JobState } from "../job.ts";

export interface FifoKey {
  readonly queue: string;
  readonly key: string;
  /** Unfinished jobs, by number. */
  readonly jobs: Deadlines;
  active: number;
  /** The job of it that runs, or ran last; nothing is decided by this. */
  runner: number;
  /** The job that stands in a lane; 0 when none does. */
  shown: number;
  isDirty: boolean;
}

/** A key whose oldest job keeps others waiting. */
export interface BlockedKey {
  readonly key: string;
  readonly holder: number;
  readonly waiting: number;
}

export class FifoKeys {
  readonly #queues = new Map<string, Map<string, FifoKey>>();
  readonly #dirty: FifoKey[] = [];

  join(queue: string, key: string, job: { seq: number; state: JobState }): void {
    let keys = this.#queues.get(queue);
    if (keys === undefined) {
      keys = new Map();
      this.#queues.set(queue, keys);
    }
    let fifo = keys.get(key);
    if (fifo === undefined) {
      fifo = { queue, key, jobs: new Deadlines(), active: 0, runner: 0, shown: 0, isDirty: false };
      keys.set(key, fifo);
    }
    fifo.jobs.add(job.seq, job.seq);
    if (job.state === "active") {
      fifo.active++;
      fifo.runner = job.seq;
    }
    this.#touch(fifo);
  }

  /** Returns the key, so that a job that stands in a lane can be taken out of it. */
  leave(queue: string, key: string, job: { seq: number; state: JobState }): FifoKey {
    const fifo = this.find(queue, key);
    assert(fifo !== undefined, "an unfinished job's key is known");
    fifo.jobs.remove(job.seq, job.seq);
    if (job.state === "active") fifo.active--;
    this.#touch(fifo);
    return fifo;
  }

  find(queue: string, key: string): FifoKey | undefined {
    return this.#queues.get(queue)?.get(key);
  }

  /** The keys that changed since the last call. Those without jobs are forgotten. */
  *takeDirty(): Iterable<FifoKey> {
    for (let fifo = this.#dirty.pop(); fifo !== undefined; fifo = this.#dirty.pop()) {
      fifo.isDirty = false;
      if (fifo.jobs.size > 0) yield fifo;
      else this.#forget(fifo);
    }
  }

  get isDirty(): boolean {
    return this.#dirty.length > 0;
  }

  /** Keys of a queue in which jobs wait for an older one, by name, after one that was given. */
  blocked(queue: string, after: string, limit: number): BlockedKey[] {
    const found: BlockedKey[] = [];
    for (const { key, jobs } of this.#queues.get(queue)?.values() ?? []) {
      const last = found.at(-1);
      if (jobs.size < 2 || key <= after) continue;
      if (found.length === limit && last !== undefined && key > last.key) continue;
      let at = found.length;
      while (at > 0 && (found[at - 1]?.key ?? "") > key) at--;
      found.splice(at, 0, { key, holder: jobs.topKey(), waiting: jobs.size - 1 });
      if (found.length > limit) found.pop();
    }
    return found;
  }

  #touch(fifo: FifoKey): void {
    if (fifo.isDirty) return;
    fifo.isDirty = true;
    this.#dirty.push(fifo);
  }

  #forget(fifo: FifoKey): void {
    const keys = this.#queues.get(fifo.queue);
    if (keys?.get(fifo.key) !== fifo) return;
    keys.delete(fifo.key);
    if (keys.size === 0) this.#queues.delete(fifo.queue);
  }
}
