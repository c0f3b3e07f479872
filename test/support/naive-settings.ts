/** What is set for whole queues, as the naive model keeps it. */
import type { NewJob, SetQueueDefaults } from "../../src/engine/change.ts";
import type { JobOptions } from "../../src/engine/options.ts";
import type { DrainQueue } from "../../src/engine/queue-settings.ts";

export class NaiveSettings {
  #draining: string[] = [];
  #defaults: { queue: string; options: Partial<JobOptions> }[] = [];

  /** The queues that the change makes, in order. */
  change(change: DrainQueue | SetQueueDefaults): string[] {
    const { queue } = change;
    if (change.kind === "drainQueue") {
      this.#draining = this.#draining.filter((name) => name !== queue);
      if (change.draining) this.#draining.push(queue);
      return [queue];
    }
    this.#defaults = this.#defaults.filter((one) => one.queue !== queue);
    const { defaults } = change;
    if (defaults !== undefined) this.#defaults.push({ queue, options: defaults });
    return defaults?.deadQueue === undefined ? [queue] : [defaults.deadQueue, queue];
  }

  isDraining(queue: string): boolean {
    return this.#draining.includes(queue);
  }

  given({ queue, options }: NewJob): Partial<JobOptions> {
    const defaults = this.#defaults.find((one) => one.queue === queue)?.options;
    const given = { ...defaults, ...options };
    if (options?.jitter !== undefined) given.jitterMode = options.jitterMode ?? "additive";
    return given;
  }

  forget(queue: string): void {
    this.#draining = this.#draining.filter((name) => name !== queue);
    this.#defaults = this.#defaults.filter((one) => one.queue !== queue);
  }
}
