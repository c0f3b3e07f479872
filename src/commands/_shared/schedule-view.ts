/** The name of a schedule on the command line, and how schedules look at a terminal. */
import type { ResultOf } from "../../api/operation.ts";
import type { Operations } from "../../api/operations.ts";
import { ScheduleName } from "../../api/schedules.ts";
import { formatDuration } from "../../base/time.ts";
import { BadValue } from "./readers.ts";
import { problemOf } from "./schema-check.ts";

type Shown = ResultOf<Operations["setSchedule"]>;

export const scheduleArg = {
  type: "positional",
  description: "Name of the schedule.",
  read: (text: string): string => {
    const problem = problemOf(ScheduleName, text, "the name");
    if (problem !== undefined) throw new BadValue(problem, "An example is nightly-report.");
    return text;
  },
} as const;

/** When it runs, in one cell. */
export function timetableOf(schedule: Shown): string {
  if (schedule.every_ms !== undefined) return `every ${formatDuration(schedule.every_ms)}`;
  return schedule.zone === "UTC" ? `${schedule.cron}` : `${schedule.cron} ${schedule.zone}`;
}

/** Running, paused, or over. */
export function modeOf(schedule: Shown): string {
  if (schedule.paused) return "paused";
  return schedule.ended ? "over" : "running";
}
