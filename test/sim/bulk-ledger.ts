/** What was promised about bulk actions, as the entries that are applied tell: they only go forward, and leave nobody out. */
import type { Bulk } from "../../src/engine/bulk.ts";
import type { Job } from "../../src/engine/job.ts";

export class BulkLedger {
  readonly #report: (problem: string) => void;
  readonly #note: (event: string) => void;
  readonly #bulks = new Map<string, { readonly bulk: Bulk; readonly beganAt: number }>();
  /** Every job as it is, and when it last changed, counted in changes. */
  readonly #jobs = new Map<number, { readonly job: Job; readonly at: number }>();
  #changes = 0;

  constructor(report: (problem: string) => void, note: (event: string) => void) {
    this.#report = report;
    this.#note = note;
  }

  jobChanges(job: Job): void {
    this.#jobs.set(job.seq, { job, at: ++this.#changes });
  }

  recordChanges(kind: string, key: string, value: unknown): void {
    if (kind !== "bulk") return;
    if (value === undefined) {
      this.#bulks.delete(key);
      return;
    }
    const bulk = value as Bulk;
    const known = this.#bulks.get(key);
    const before = known?.bulk.number === bulk.number ? known : undefined;
    if (before !== undefined) this.#compare(key, before.bulk, bulk);
    const beganAt = before?.beganAt ?? ++this.#changes;
    if (bulk.state === "completed" && before?.bulk.state === "running") {
      this.#note("bulksCompleted");
      this.#checkLeftOut(key, bulk, beganAt);
    }
    this.#bulks.set(key, { bulk, beganAt });
  }

  #compare(id: string, before: Bulk, bulk: Bulk): void {
    if (bulk.afterSeq < before.afterSeq || bulk.processed < before.processed) {
      this.#report(`bulk action ${id} went back to ${bulk.afterSeq}`);
    }
    if (before.state !== "running") {
      this.#report(`bulk action ${id} was ${before.state} and is ${bulk.state}`);
    }
    if (bulk.affected > bulk.processed) this.#report(`bulk action ${id} affected too many`);
  }

  #checkLeftOut(id: string, { filter, number, action }: Bulk, beganAt: number): void {
    if (filter === undefined || action === "changePriority") return;
    for (const { job, at } of this.#jobs.values()) {
      const matches = job.queue === filter.queue && filter.states?.includes(job.state) === true;
      if (matches && at < beganAt && job.seq < number) {
        this.#report(`bulk action ${id} left out job ${job.seq}, which is ${job.state}`);
      }
    }
  }
}
