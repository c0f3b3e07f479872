/**
 * The jobs that are in memory: those that changed since the last confirmed checkpoint (they must be), those that are
 * active (they will be needed), and as many waiting ones as the capacity allows.
 *
 * A job is `dirty` from its change until a checkpoint takes it, `leaving` until that checkpoint is confirmed. What is
 * in neither may be dropped, because the database has it. `gone` are deletions that the database does not have yet.
 */
import type { Job } from "../engine/job.ts";

export class JobCache {
  readonly #jobs = new Map<number, Job>();
  #dirty = new Set<number>();
  #leaving = new Set<number>();
  #gone = new Set<number>();
  #leavingGone = new Set<number>();
  readonly #capacity: number;

  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  get size(): number {
    return this.#jobs.size;
  }

  get dirtyCount(): number {
    return this.#dirty.size + this.#gone.size;
  }

  get(seq: number): Job | undefined {
    return this.#jobs.get(seq);
  }

  values(): Iterable<Job> {
    return this.#jobs.values();
  }

  /** Is the job deleted, whatever the database still says? */
  isGone(seq: number): boolean {
    return this.#gone.has(seq) || this.#leavingGone.has(seq);
  }

  put(job: Job): void {
    this.#jobs.set(job.seq, job);
    this.#dirty.add(job.seq);
  }

  delete(seq: number): void {
    this.#jobs.delete(seq);
    this.#dirty.delete(seq);
    this.#gone.add(seq);
  }

  /**
   * Hands over what changed; `settle` or `restore` must follow before the next call. A job that was restored since it was deleted
   * is among the jobs, and not among the deleted ones: it `returned`.
   */
  take(): { jobs: Job[]; deleted: number[]; returned: number[] } {
    this.#leaving = this.#dirty;
    this.#leavingGone = this.#gone;
    this.#dirty = new Set();
    this.#gone = new Set();
    const jobs: Job[] = [];
    for (const seq of this.#leaving) {
      const job = this.#jobs.get(seq);
      if (job !== undefined) jobs.push(job);
    }
    const gone = [...this.#leavingGone];
    return {
      jobs,
      deleted: gone.filter((seq) => !this.#jobs.has(seq)),
      returned: gone.filter((seq) => this.#jobs.has(seq)),
    };
  }

  /**
   * The database has what was taken. The newest waiting jobs are dropped first when there are too many: the oldest will
   * be claimed first.
   */
  settle(): void {
    for (const seq of this.#leaving) {
      if (this.#dirty.has(seq)) continue;
      const job = this.#jobs.get(seq);
      if (job === undefined || job.state === "active") continue;
      if (job.finish > 0 || this.#jobs.size > this.#capacity) this.#jobs.delete(seq);
    }
    this.#leaving = new Set();
    this.#leavingGone = new Set();
  }

  /** The checkpoint failed: everything it held is dirty again. */
  restore(): void {
    for (const seq of this.#leaving) if (this.#jobs.has(seq)) this.#dirty.add(seq);
    for (const seq of this.#leavingGone) this.#gone.add(seq);
    this.#leaving = new Set();
    this.#leavingGone = new Set();
  }
}
