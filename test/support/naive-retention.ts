/** Which finished jobs the naive model still has: groups of jobs that finished one after the other, as plain lists. */
import type { Retention } from "../../src/engine/change.ts";
import { engineLimits } from "../../src/engine/limits.ts";
import type { ModelJob } from "./naive-job.ts";

interface Group {
  readonly first: number;
  readonly startMs: number;
  endMs: number;
  jobs: ModelJob[];
}

const kinds = ["done", "dead"] as const;
type Kind = (typeof kinds)[number];

export class NaiveRetention {
  retention: Retention;
  readonly #groups: Record<Kind, Group[]> = { done: [], dead: [] };
  readonly #finishes: Record<Kind, number> = { done: 1, dead: 1 };

  constructor(retention: Retention) {
    this.retention = retention;
  }

  join(job: ModelJob, nowMs: number): void {
    const kind: Kind = job.state === "dead" ? "dead" : "done";
    const groups = this.#groups[kind];
    const number = this.#finishes[kind]++;
    const { bucketMsMin, bucketMsMax, bucketJobsMax } = engineLimits;
    const spanMs = Math.min(bucketMsMax, Math.max(bucketMsMin, this.retention[`${kind}Ms`] / 100));
    const size = Math.min(bucketJobsMax, Math.max(1, this.retention[`${kind}Max`] / 100));
    let group = groups.at(-1);
    if (group === undefined || nowMs - group.startMs >= spanMs || number - group.first >= size) {
      group = { first: number, startMs: nowMs, endMs: 0, jobs: [] };
      groups.push(group);
    }
    group.endMs = nowMs;
    group.jobs.push(job);
  }

  leave(job: ModelJob): void {
    for (const group of [...this.#groups.done, ...this.#groups.dead]) {
      group.jobs = group.jobs.filter((one) => one !== job);
    }
  }

  /** When the next group goes. */
  nextMs(): number {
    return Math.min(...kinds.map((kind) => this.#removalMs(kind)));
  }

  /** The jobs of the group that goes now; undefined when none does. */
  removeOldest(nowMs: number): readonly ModelJob[] | undefined {
    const kind = kinds.find((one) => this.#removalMs(one) <= nowMs);
    return kind === undefined ? undefined : this.#groups[kind].shift()?.jobs;
  }

  #removalMs(kind: Kind): number {
    const [oldest, ...others] = this.#groups[kind];
    if (oldest === undefined) return Number.POSITIVE_INFINITY;
    const rest = others.reduce((sum, group) => sum + group.jobs.length, 0);
    if (others.length > 0 && rest >= this.retention[`${kind}Max`]) return 0;
    return oldest.endMs + this.retention[`${kind}Ms`];
  }
}
