/**
 * Follows jobs by their life-cycle events alone, as a client would that sees nothing else: what it believes of each job must
 * be what the engine holds.
 */
import type { LifecycleEvent } from "../../src/engine/event-chunk.ts";
import { type EventType, eventTable } from "../../src/engine/event-types.ts";
import { isFinished, type Job, type JobState } from "../../src/engine/job.ts";

/** In which states a job may be when an event comes. */
const befores: Partial<Record<EventType, readonly JobState[]>> = {
  started: ["pending"],
  completed: ["active"],
  failed: ["active"],
  lease_expired: ["active"],
  released: ["active"],
  snoozed: ["active"],
  progress: ["active"],
  ready: ["scheduled", "retrying", "held", "pending"],
  scheduled: ["held"],
  held: ["pending", "scheduled", "retrying", "active", "held"],
  approved: ["held"],
  rejected: ["held"],
  expired: ["pending", "scheduled", "retrying", "held"],
  dependency_failed: ["pending", "scheduled", "retrying", "held"],
  dead: ["dead"],
  replaced: ["pending", "scheduled", "retrying", "held"],
  moved: ["pending", "scheduled", "retrying", "held", "completed", "dead", "cancelled"],
  priority_changed: ["pending", "scheduled", "retrying"],
};

interface Believed {
  readonly state: JobState;
  readonly queue: string;
}

export class EventObserver {
  readonly jobs = new Map<number, Believed>();
  readonly pausedQueues = new Set<string>();
  readonly problems: string[] = [];
  #next = 1;
  #nowMs = 0;
  /** A cause whose end is to follow at once. */
  #owed: { readonly seq: number; readonly state: JobState } | undefined;

  hear(event: LifecycleEvent): void {
    this.#check(event.number === this.#next, event, `is not number ${this.#next}`);
    this.#check(event.atMs >= this.#nowMs, event, `is earlier than the one before`);
    this.#next = event.number + 1;
    this.#nowMs = event.atMs;
    if (eventTable[event.type].of === "queue") this.#hearOfQueue(event);
    else this.#hearOfJob(event);
  }

  /** Everything that differs from what is so. */
  compare(jobs: ReadonlyMap<number, Job>): string[] {
    this.#check(this.#owed === undefined, { owed: this.#owed }, "has no end");
    for (const job of jobs.values()) {
      const believed = this.jobs.get(job.seq);
      if (believed?.state !== job.state || believed.queue !== job.queue) {
        this.problems.push(`${describe(job)}: believed ${JSON.stringify(believed)}`);
      }
    }
    for (const [seq, { state: last }] of this.jobs) {
      // Retention takes finished ones without a word.
      if (!jobs.has(seq) && !isFinished(last)) this.problems.push(`job ${seq} is gone`);
    }
    return this.problems;
  }

  #hearOfQueue({ type, queue }: LifecycleEvent): void {
    if (type === "queue_paused") this.pausedQueues.add(queue);
    if (type === "queue_resumed" || type === "queue_deleted") this.pausedQueues.delete(queue);
  }

  #hearOfJob(event: LifecycleEvent): void {
    const { type, seq, queue } = event;
    const before = this.jobs.get(seq);
    this.#check((before === undefined) === (type === "enqueued"), event, "of an unknown job");
    if (this.#owed !== undefined) {
      const { state } = this.#owed;
      this.#check(this.#owed.seq === seq && type === state, event, `instead of ${state}`);
      this.#owed = undefined;
    }
    if (type === "deleted") {
      this.jobs.delete(seq);
      return;
    }
    const wanted = befores[type];
    if (before !== undefined && wanted !== undefined) {
      this.#check(wanted.includes(before.state), event, `while it was ${before.state}`);
    }
    const { from } = JSON.parse(event.data ?? "{}") as { from?: unknown };
    if (type === "cancelled" || type === "retried") {
      this.#check(from === before?.state, event, `while it was ${before?.state}`);
    }
    if (type !== "moved") {
      this.#check(before === undefined || before.queue === queue, event, "in another queue");
    }
    const state = this.#stateAfter(event, before?.state);
    if ((type === "failed" || type === "lease_expired") && state !== "pending") {
      if (state === "dead" || state === "held") this.#owed = { seq, state };
    } else if (type === "rejected" || type === "expired" || type === "dependency_failed") {
      this.#owed = { seq, state: "dead" };
    }
    this.jobs.set(seq, { state, queue });
  }

  #stateAfter(event: LifecycleEvent, before: JobState | undefined): JobState {
    const data = JSON.parse(event.data ?? "{}") as { state?: JobState };
    const row = eventTable[event.type].state;
    if (row === "as before") return before ?? "held";
    if (row.includes("data.state")) return data.state ?? "pending";
    return row as JobState;
  }

  #check(holds: boolean, event: object, says: string): void {
    if (!holds) this.problems.push(`${JSON.stringify(event)} ${says}`);
  }
}

function describe({ seq, state, queue }: Job): string {
  return `job ${seq} is ${state} in ${queue}`;
}
