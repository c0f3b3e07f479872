/**
 * A schedule: jobs that come again and again. What is kept of it, and the rules that need nothing else.
 *
 * Due times come from calendars and time zones, and those are data of the host that may differ between nodes. So the
 * engine computes none: whoever leads computes some due times ahead (`replica/planner.ts`) and has them put into the
 * schedule's `plan`; firing them is the engine's own. A due time is taken out of the plan when it is dealt with, in the
 * same log entry that adds its job, so it is dealt with once whatever fails over or starts again.
 */
import type { NewJob } from "./change.ts";
import type { JobState } from "./job.ts";
import { chanceOf } from "./retry.ts";

/** When the run before has not finished: run beside it, leave this one out, run after it, or cancel it. */
export type Overlap = "allow" | "skip" | "buffer" | "cancel";

/** Due times that passed while nobody could fire them: leave them out, run the latest, run all. */
export type CatchUp = "none" | "latest" | "all";

export type Timetable =
  | { readonly kind: "cron"; readonly expression: string; readonly zone: string }
  /** Every `everyMs` from `anchorMs` on; 0 stands for the time at which the schedule was made. */
  | { readonly kind: "every"; readonly everyMs: number; readonly anchorMs: number };

export interface ScheduleSpec {
  readonly timetable: Timetable;
  readonly job: NewJob;
  /** The job as its user wrote it, JSON text. */
  readonly written: string;
  readonly overlap: Overlap;
  readonly catchUp: CatchUp;
  /** Due times that passed longer ago than this are missed. */
  readonly catchUpMs: number;
  /** Up to this much is added to each due time, always the same for the same one. */
  readonly jitterMs: number;
  /** No due time before; 0 means none. */
  readonly startMs: number;
  /** No due time after; 0 means none. */
  readonly endMs: number;
  /** Jobs added in all; 0 means no limit. */
  readonly maxRuns: number;
}

export interface ScheduleRecord {
  readonly id: number;
  readonly name: string;
  readonly spec: ScheduleSpec;
  /** Changes whenever plans made before no longer hold. */
  readonly version: number;
  readonly paused: boolean;
  readonly createdAtMs: number;
  readonly updatedAtMs: number;
  /** Due times ahead, growing. All due times up to `plannedToMs` are in it or were dealt with. */
  readonly plan: readonly number[];
  readonly plannedToMs: number;
  /** No due time comes after those in the plan. */
  readonly ends: boolean;
  /** Jobs added. */
  readonly runs: number;
  /** Due times that nobody could fire in time. */
  readonly missed: number;
  /** Entries written to the history. */
  readonly history: number;
  /** Its unfinished jobs, the latest `scheduleLiveMax`. */
  readonly live: readonly number[];
  /** Due time that waits for the unfinished job; 0 when none. */
  readonly bufferedMs: number;
}

/** What became of one due time. */
export interface ScheduleRun {
  readonly ordinal: number;
  readonly dueMs: number;
  readonly atMs: number;
  readonly outcome: "started" | "skipped" | "missed" | "refused";
  /** Asked for by hand. */
  readonly manual: boolean;
  /** Why it did not start. */
  readonly why: string | undefined;
  /** Due times that this entry stands for; more than 1 for missed ones. */
  readonly count: number;
  readonly seq: number;
  readonly createdAtMs: number;
  /** How its job ended; undefined while it has not. */
  readonly ended: JobState | "deleted" | undefined;
  readonly endedAtMs: number;
}

/** What a job knows of the schedule that made it. */
export interface ScheduleOrigin {
  readonly id: number;
  readonly name: string;
  readonly dueMs: number;
  readonly ordinal: number;
}

/** A failover or a restart is no gap: a due time this late is fired under every policy. */
export const lateMs = 60_000;

/** When a due time is dealt with. */
export function fireAtMs(record: ScheduleRecord, dueMs: number): number {
  const { jitterMs } = record.spec;
  if (jitterMs === 0) return dueMs;
  return dueMs + Math.floor(jitterMs * chanceOf(record.id, Math.floor(dueMs / 1000)));
}

/** When there is something to do for a schedule next; Infinity when nothing is. */
export function nextStepMs(record: ScheduleRecord): number {
  const [first, second] = record.plan;
  if (first === undefined || record.paused) return Number.POSITIVE_INFINITY;
  // Whether the first is the latest of a gap can only be told when the one after it is known.
  if (second === undefined && !record.ends) return Number.POSITIVE_INFINITY;
  return fireAtMs(record, first);
}

/** Should due times be added to the plan? */
export function wantsPlan(record: ScheduleRecord): boolean {
  return !record.paused && !record.ends && record.plan.length < 3;
}

/** Why a due time that has come is not fired any more; undefined when it is. */
export function missedBecause(record: ScheduleRecord, nowMs: number): string | undefined {
  const { catchUp, catchUpMs } = record.spec;
  const [dueMs = 0, nextMs] = record.plan;
  const age = nowMs - dueMs;
  if (age > Math.max(lateMs, catchUp === "none" ? 0 : catchUpMs)) {
    return "it was too late when it could have been fired";
  }
  if (catchUp === "latest" && age > lateMs && nextMs !== undefined && nextMs <= nowMs) {
    return "a later one had come due as well";
  }
  return undefined;
}
