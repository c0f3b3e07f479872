/**
 * Whose turn it is, as the entries that are applied tell: no group waits while another one gets more than its weight says,
 * however many jobs that one has and however long they have waited. Only jobs are watched that nothing but a limit of their
 * whole queue can stop: when the queue gives a job at all, it could give this one.
 */
import type { Job } from "../../src/engine/job.ts";
import { groupOf } from "../../src/engine/limits/lane.ts";

/**
 * Weights are 1 to 3, so a group gets at most three jobs to one of another; one more for where it stood when that one came,
 * and one for what adding up thirds leaves.
 */
const passedMax = 5;

interface Ready {
  readonly group: string;
  /** Jobs of each other group that went before since one of its own group did. */
  readonly passed: Map<string, number>;
}

export class TurnLedger {
  readonly #report: (problem: string) => void;
  readonly #note: (event: string) => void;
  /** Watched jobs by queue and priority, then by number. */
  readonly #lines = new Map<string, Map<number, Ready>>();

  constructor(report: (problem: string) => void, note: (event: string) => void) {
    this.#report = report;
    this.#note = note;
  }

  jobChanges(previous: Job | undefined, next: Job): void {
    if (previous !== undefined) this.#lines.get(lineOf(previous))?.delete(previous.seq);
    if (next.state === "active" && previous?.state === "pending") this.#started(previous);
    if (!isWatched(next)) return;
    const line = this.#lines.get(lineOf(next)) ?? new Map<number, Ready>();
    this.#lines.set(lineOf(next), line);
    line.set(next.seq, {
      group: groupOf(next.options.lane),
      passed: new Map(),
    });
  }

  #started(job: Job): void {
    const group = groupOf(job.options.lane);
    for (const [seq, ready] of this.#lines.get(lineOf(job)) ?? []) {
      if (ready.group === group) {
        ready.passed.clear();
        continue;
      }
      const passed = (ready.passed.get(group) ?? 0) + 1;
      ready.passed.set(group, passed);
      this.#note("turns");
      if (passed <= passedMax) continue;
      this.#report(
        `job ${seq} of group "${ready.group}" waits while ${passed} jobs of group "${group}" start, ${job.seq} the last`,
      );
    }
  }
}

function isWatched({ state, order, options: { lane } }: Job): boolean {
  if (state !== "pending" || order === 0) return false;
  return lane === undefined || Object.keys(lane).every((member) => member === "group");
}

function lineOf({ queue, priority }: Job): string {
  return `${priority} ${queue}`;
}
