/** Operations on schedules: jobs that come again and again. */
import { Type } from "@sinclair/typebox";
import { requestLimits as limits } from "./limits.ts";
import { consistencyWith, Json, operation, readOperation } from "./operation.ts";
import { pageQuery, pageResult } from "./page.ts";
import { Duration, Maybe, NewJob, Status, Time } from "./schemas.ts";

export const ScheduleName = Type.String({
  description: "Name of the schedule: letters, digits and . _ - : / @ +",
  minLength: 1,
  maxLength: limits.queueNameLengthMax,
  pattern: "^[A-Za-z0-9][A-Za-z0-9._:/@+-]*$",
});
const Params = Type.Object({ name: ScheduleName });

const oneOf = <T extends string>(values: readonly T[], description: string) =>
  Type.Union(
    values.map((value) => Type.Literal(value)),
    { description },
  );

export const timetableFields = {
  cron: Maybe(
    Type.String({
      description:
        "Five fields (minute hour day month weekday), six with seconds first, or @hourly, @daily, @weekly, @monthly, @yearly.",
      maxLength: limits.cronLengthMax,
    }),
  ),
  zone: Maybe(
    Type.String({
      description: 'IANA time zone in which cron is read, such as "Europe/Berlin". Default UTC.',
      maxLength: 64,
    }),
  ),
  every: Maybe(Duration, "Instead of cron: the time from one run to the next, at least 1s."),
  start: Maybe(Time, "No run is due before."),
  end: Maybe(Time, "No run is due after."),
};

const settings = {
  ...timetableFields,
  overlap: Maybe(
    oneOf(
      ["allow", "skip", "buffer", "cancel"] as const,
      "When the run before is not over: run beside it (default), skip this one, keep one for after it, or cancel it.",
    ),
  ),
  catch_up: Maybe(
    oneOf(
      ["latest", "none", "all"] as const,
      "Runs that came due while no server could start them: the latest (default), none, or all.",
    ),
  ),
  catch_up_window: Maybe(Duration, "How late a missed run may still be started. Default 1h."),
  jitter: Maybe(Duration, "Up to this much is added to each due time."),
  max_runs: Maybe(
    Type.Integer({
      description: "Jobs added in all.",
      minimum: 1,
      maximum: limits.scheduleRunsMax,
    }),
  ),
};

const Run = Type.Object({
  due_at: Type.String(),
  at: Type.String(),
  outcome: oneOf(["started", "skipped", "missed", "refused"] as const, "What became of it."),
  manual: Type.Optional(Type.Boolean()),
  /** Why it was not started. */
  why: Type.Optional(Type.String()),
  /** Due times that this entry stands for, when more than one. */
  count: Type.Optional(Type.Integer()),
  job_id: Type.Optional(Type.String()),
  /** How the job ended. */
  ended: Type.Optional(Type.String()),
  ended_at: Type.Optional(Type.String()),
});

export const Schedule = Type.Object({
  name: Type.String(),
  queue: Type.String(),
  cron: Type.Optional(Type.String()),
  zone: Type.Optional(Type.String()),
  every_ms: Type.Optional(Type.Integer()),
  overlap: Type.String(),
  catch_up: Type.String(),
  catch_up_window_ms: Type.Integer(),
  jitter_ms: Type.Integer(),
  start: Type.Optional(Type.String()),
  end: Type.Optional(Type.String()),
  max_runs: Type.Optional(Type.Integer()),
  paused: Type.Boolean(),
  /** Nothing comes due any more. */
  ended: Type.Boolean(),
  runs: Type.Integer(),
  missed: Type.Integer(),
  next_runs: Type.Array(Type.String()),
  last_run: Type.Optional(Run),
  created_at: Type.String(),
  updated_at: Type.String(),
});

const Whole = Type.Object({
  ...Schedule.properties,
  job: Json("The job that each run adds, as it was written."),
  /** The latest first. */
  history: Type.Array(Run),
});

const act = (verb: string, summary: string) => ({
  method: "POST" as const,
  path: `/api/v1/schedules/{name}/${verb}`,
  tag: "schedules" as const,
  placement: "parts" as const,
  summary,
  params: Params,
  errors: ["NOT_FOUND"] as const,
});

export const scheduleOperations = {
  listSchedules: readOperation({
    method: "GET",
    path: "/api/v1/schedules",
    tag: "schedules",
    placement: "parts",
    summary: "Schedules in the order of their names, a page at a time",
    query: Type.Object({
      consistency: consistencyWith("strong"),
      prefix: Type.Optional(Type.String({ description: "Of the name.", maxLength: 255 })),
      ...pageQuery,
    }),
    result: Type.Object({
      schedules: Type.Array(Schedule),
      total: Type.Integer(),
      ...pageResult,
    }),
  }),
  previewSchedule: operation({
    method: "POST",
    path: "/api/v1/schedules/preview",
    tag: "schedules",
    placement: "node",
    answeredBy: "any",
    summary: "When a timetable comes due next; nothing is kept",
    body: Type.Object({
      ...timetableFields,
      count: Maybe(Type.Integer({ minimum: 1, maximum: 100 })),
    }),
    result: Type.Object({ next_runs: Type.Array(Type.String()) }),
    errors: ["VALIDATION_ERROR"],
  }),
  getSchedule: readOperation({
    method: "GET",
    path: "/api/v1/schedules/{name}",
    tag: "schedules",
    placement: "parts",
    summary: "One schedule with its history",
    params: Params,
    result: Whole,
    errors: ["NOT_FOUND"],
  }),
  setSchedule: operation({
    method: "PUT",
    path: "/api/v1/schedules/{name}",
    tag: "schedules",
    placement: "parts",
    summary: "Make a schedule, or give it other settings; history and counts go on",
    params: Params,
    body: Type.Object({ job: NewJob, ...settings }),
    result: Schedule,
    errors: ["VALIDATION_ERROR", "LIMIT_EXCEEDED"],
  }),
  deleteSchedule: operation({
    method: "DELETE",
    path: "/api/v1/schedules/{name}",
    tag: "schedules",
    placement: "parts",
    summary: "Delete a schedule and its history; its jobs stay",
    params: Params,
    result: Status,
    errors: ["NOT_FOUND"],
  }),
  pauseSchedule: operation({ ...act("pause", "Start no further runs"), result: Status }),
  resumeSchedule: operation({
    ...act("resume", "Start runs again; those that came due meanwhile are left out"),
    result: Status,
  }),
  runSchedule: operation({
    ...act("run", "Start a run now, whatever timetable, pause and overlap say"),
    result: Type.Object({ job_id: Type.String(), status: Type.String() }),
  }),
};
