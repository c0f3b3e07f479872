/**
 * Where ready jobs stand: those of a queue that any worker may run in the line of the queue itself, those with
 * requirements in a line of their own for each set of requirements. A claim looks at the line of the queue and at those
 * whose requirements its labels meet, so a job that nobody present can run stands in nobody's way.
 *
 * Counts unfinished jobs, so which stands there are depends on jobs alone.
 */
import type { Lane } from "./lane.ts";

/** In no queue's name and in no label. */
const separator = "\u001f";

interface StandingJob {
  readonly queue: string;
  readonly options: { readonly lane: Lane | undefined };
}

interface Stand {
  readonly requires: readonly string[];
  jobs: number;
}

/** The name of the line that a job stands in. */
export function standOf({ queue, options }: StandingJob): string {
  const requires = options.lane?.requires;
  return requires === undefined ? queue : standName(queue, requires);
}

function standName(queue: string, requires: readonly string[]): string {
  return queue + separator + requires.join(separator);
}

export function queueOfStand(stand: string): string {
  const end = stand.indexOf(separator);
  return end === -1 ? stand : stand.slice(0, end);
}

export class Stands {
  readonly #queues = new Map<string, Map<string, Stand>>();

  /** Is there no job with requirements? */
  get isIdle(): boolean {
    return this.#queues.size === 0;
  }

  /** The sets of requirements that unfinished jobs of a queue have. */
  count(queue: string): number {
    return this.#queues.get(queue)?.size ?? 0;
  }

  has(queue: string, requires: readonly string[]): boolean {
    return this.#queues.get(queue)?.has(standName(queue, requires)) === true;
  }

  join(queue: string, requires: readonly string[]): void {
    let stands = this.#queues.get(queue);
    if (stands === undefined) {
      stands = new Map();
      this.#queues.set(queue, stands);
    }
    const name = standName(queue, requires);
    const stand = stands.get(name);
    if (stand === undefined) stands.set(name, { requires, jobs: 1 });
    else stand.jobs++;
  }

  /** The reverse of `join`. */
  leave(queue: string, requires: readonly string[]): void {
    const stands = this.#queues.get(queue);
    const name = standName(queue, requires);
    const stand = stands?.get(name);
    if (stands === undefined || stand === undefined) return;
    stand.jobs--;
    if (stand.jobs > 0) return;
    stands.delete(name);
    if (stands.size === 0) this.#queues.delete(queue);
  }

  /** All lines of a queue, its own first. */
  of(queue: string): string[] {
    return [queue, ...(this.#queues.get(queue)?.keys() ?? [])];
  }

  /** What a worker must have to take from a line; undefined for that of the queue itself. */
  requiresOf(queue: string, stand: string): readonly string[] | undefined {
    return this.#queues.get(queue)?.get(stand)?.requires;
  }

  /** The lines that a worker with these labels may take from, that of the queue first. */
  openTo(queue: string, labels: readonly string[] | undefined): string[] {
    const open = [queue];
    if (labels === undefined) return open;
    for (const [name, { requires }] of this.#queues.get(queue) ?? []) {
      if (requires.every((label) => labels.includes(label))) open.push(name);
    }
    return open;
  }
}
