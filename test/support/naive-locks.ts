/** Unique keys and who holds them, as the naive model keeps them. */
import type { ModelJob } from "./naive-job.ts";

export class NaiveLocks {
  #locks: { queue: string; key: string; seq: number; untilMs: number }[] = [];

  /** The lock that holds now. */
  holding(queue: string, key: string | undefined, nowMs: number) {
    const lock = this.#find(queue, key);
    return lock !== undefined && lock.untilMs > nowMs ? lock : undefined;
  }

  take(job: ModelJob, nowMs: number): void {
    const key = job.options.uniqueKey;
    if (key === undefined) return;
    this.#locks = this.#locks.filter((lock) => lock.queue !== job.queue || lock.key !== key);
    const untilMs = nowMs + job.options.uniqueMs;
    this.#locks.push({ queue: job.queue, key, seq: job.seq, untilMs });
  }

  /** A job that runs again takes its key unless another one has it. */
  retake(job: ModelJob, nowMs: number): void {
    if (this.holding(job.queue, job.options.uniqueKey, nowMs) === undefined) this.take(job, nowMs);
  }

  /** False when another job holds the key in the other queue. */
  move(job: ModelJob, queue: string, nowMs: number): boolean {
    const held = this.#locks.find(({ seq }) => seq === job.seq);
    if (held === undefined) return true;
    const taken = this.#find(queue, held.key);
    if (taken !== undefined && taken.untilMs > nowMs) return false;
    this.#locks = this.#locks.filter((lock) => lock !== taken);
    held.queue = queue;
    return true;
  }

  free(job: ModelJob): void {
    this.#locks = this.#locks.filter(({ seq }) => seq !== job.seq);
  }

  #find(queue: string, key: string | undefined) {
    return this.#locks.find((lock) => lock.queue === queue && lock.key === key);
  }
}
