/** Keeps schedules and fires them. See `schedule.ts` for what they are. */
import { must } from "../base/assert.ts";
import type {
  DeleteSchedule,
  PauseSchedule,
  PlanSchedule,
  RunSchedule,
  SetSchedule,
} from "./change.ts";
import type { Core } from "./core.ts";
import { addJob } from "./enqueue.ts";
import { maxRunsLevel, sameTimesLevel } from "./feature-levels.ts";
import { isFinished, type Job } from "./job.ts";
import { engineLimits } from "./limits.ts";
import { manageJobs } from "./manage.ts";
import { type EnqueueResult, type Outcome, reject } from "./outcome.ts";
import type { RecordTable } from "./records.ts";
import {
  missedBecause,
  nextStepMs,
  type ScheduleRecord,
  type ScheduleRun,
  type ScheduleSpec,
  type Timetable,
  wantsPlan,
} from "./schedule.ts";

function table(core: Core): RecordTable<ScheduleRecord> {
  return core.state.records("schedule");
}

type ScheduleChange = SetSchedule | DeleteSchedule | PauseSchedule | RunSchedule | PlanSchedule;

export function applyToSchedule(core: Core, change: ScheduleChange): Outcome {
  switch (change.kind) {
    case "setSchedule":
      return setSchedule(core, change);
    case "deleteSchedule":
      return deleteSchedule(core, change);
    case "pauseSchedule":
      return pauseSchedule(core, change);
    case "runSchedule":
      return runSchedule(core, change);
    case "planSchedule":
      return planSchedule(core, change);
  }
}

/** Makes a schedule, or gives it another specification; its history and its count of runs go on. */
function setSchedule(core: Core, change: SetSchedule): Outcome {
  const { name, spec } = change;
  const known = table(core).get(name);
  if (known === undefined && table(core).size >= engineLimits.schedulesMax) {
    return reject(
      "LIMIT_EXCEEDED",
      `schedule "${name}" would be one more than ${engineLimits.schedulesMax} (schedulesMax)`,
    );
  }
  const nowMs = core.nowMs;
  const fresh: ScheduleRecord = {
    id: known?.id ?? core.takeNumber(),
    name,
    spec,
    version: (known?.version ?? 0) + 1,
    paused: known?.paused ?? false,
    createdAtMs: known?.createdAtMs ?? nowMs,
    updatedAtMs: nowMs,
    plan: [],
    plannedToMs: nowMs,
    ends: isUsedUp(core, spec, known),
    runs: known?.runs ?? 0,
    missed: known?.missed ?? 0,
    history: known?.history ?? 0,
    live: known?.live ?? [],
    bufferedMs: 0,
    ...whatHasComeDue(core, spec, known),
  };
  keep(core, fresh);
  return { kind: "ok" };
}

/**
 * What is left of the due times up to now when a schedule is set to the same times once more, as deployments do: those that
 * wait for their jitter, for the next step or for the run before. Those ahead are planned anew, with the calendars of today.
 */
function whatHasComeDue(
  { nowMs, state }: Core,
  spec: ScheduleSpec,
  known: ScheduleRecord | undefined,
): Partial<ScheduleRecord> {
  if (known === undefined || !isSameTimes(spec, known.spec)) return {};
  if (state.meta.featureLevel < sameTimesLevel) return {};
  return {
    plan: known.plan.filter((dueMs) => dueMs <= nowMs),
    plannedToMs: Math.min(known.plannedToMs, nowMs),
    bufferedMs: spec.overlap === "buffer" ? known.bufferedMs : 0,
  };
}

function isSameTimes(one: ScheduleSpec, other: ScheduleSpec): boolean {
  return (
    isSameTimetable(one.timetable, other.timetable) &&
    one.startMs === other.startMs &&
    one.endMs === other.endMs &&
    one.maxRuns === other.maxRuns
  );
}

function isSameTimetable(one: Timetable, other: Timetable): boolean {
  if (one.kind === "cron") {
    return other.kind === "cron" && one.expression === other.expression && one.zone === other.zone;
  }
  return other.kind === "every" && one.everyMs === other.everyMs && one.anchorMs === other.anchorMs;
}

function deleteSchedule(core: Core, change: DeleteSchedule): Outcome {
  const record = table(core).get(change.name);
  if (record === undefined) return unknown(change.name);
  core.schedules.forget(record.name);
  table(core).delete(record.name);
  const runs = core.state.records("scheduleRun");
  for (let slot = 0; slot < engineLimits.scheduleHistoryMax; slot++) {
    runs.delete(`${record.id} ${slot}`);
  }
  return { kind: "ok" };
}

/** What comes due during a pause is left out; after it, the plan begins anew. */
function pauseSchedule(core: Core, change: PauseSchedule): Outcome {
  const record = table(core).get(change.name);
  if (record === undefined) return unknown(change.name);
  if (record.paused === change.paused) return { kind: "ok" };
  keep(core, {
    ...record,
    paused: change.paused,
    version: record.version + 1,
    updatedAtMs: core.nowMs,
    plan: [],
    plannedToMs: core.nowMs,
    ends: isUsedUp(core, record.spec, record),
    bufferedMs: 0,
  });
  return { kind: "ok" };
}

/** Has it added all the jobs that it may? Programs of lower levels let a schedule that was changed or paused add one more. */
function isUsedUp(
  { state }: Core,
  { maxRuns }: ScheduleSpec,
  record: Pick<ScheduleRecord, "runs"> | undefined,
): boolean {
  if (state.meta.featureLevel < maxRunsLevel || maxRuns === 0) return false;
  return (record?.runs ?? 0) >= maxRuns;
}

/** Adds a job now, whatever the timetable, a pause and unfinished runs say. */
function runSchedule(core: Core, change: RunSchedule): Outcome {
  const record = table(core).get(change.name);
  if (record === undefined) return unknown(change.name);
  const result = start(core, record, { dueMs: core.nowMs, manual: true });
  return { kind: "enqueued", results: [result] };
}

/** Adds due times to the plan, unless the schedule has changed since they were computed. */
function planSchedule(core: Core, change: PlanSchedule): Outcome {
  const record = table(core).get(change.name);
  if (record === undefined) return { kind: "ok" };
  const { version, afterMs, dueMs, ends, missed, missedToMs } = change;
  if (record.version !== version || record.plannedToMs !== afterMs) return { kind: "ok" };
  // It was made before the last job was added.
  if (isUsedUp(core, record.spec, record)) return { kind: "ok" };
  let next: ScheduleRecord = {
    ...record,
    plan: [...record.plan, ...dueMs],
    plannedToMs: dueMs.at(-1) ?? Math.max(afterMs, missedToMs),
    ends,
  };
  if (missed > 0) next = noteMissed(core, next, { dueMs: missedToMs, count: missed });
  keep(core, next);
  return { kind: "ok" };
}

/** Deals with the due time that comes first of all. */
export function fireSchedule(core: Core): void {
  const name = must(core.schedules.first(), "a schedule is due");
  const record = must(table(core).get(name), "a schedule with a due time exists");
  const dueMs = must(record.plan[0], "a schedule that is due has a plan");
  const missed = missedBecause(record, core.nowMs);
  const rest = { ...record, plan: record.plan.slice(1) };
  if (missed !== undefined) {
    keep(core, noteMissed(core, rest, { dueMs, count: 1, why: missed }));
    return;
  }
  const runs = rest.live.length;
  if (runs > 0 && record.spec.overlap === "skip") {
    keep(
      core,
      noteRun(core, rest, { dueMs, outcome: "skipped", why: "the run before is not over" }),
    );
  } else if (runs > 0 && record.spec.overlap === "buffer") {
    buffer(core, rest, dueMs);
  } else {
    keep(core, rest);
    if (record.spec.overlap === "cancel") {
      manageJobs(core, { kind: "manage", action: "cancel", seqs: rest.live });
    }
    start(core, must(table(core).get(name), "it was just put"), { dueMs, manual: false });
  }
}

/** A job that a schedule made has finished or is gone. */
export function runEnded(core: Core, before: Job, after: Job | undefined): void {
  const origin = before.options.schedule;
  if (origin === undefined || isFinished(before.state)) return;
  if (after !== undefined && !isFinished(after.state)) return;
  const record = table(core).get(origin.name);
  if (record?.id !== origin.id) return;
  const runs = core.state.records("scheduleRun");
  const key = runKey(record, origin.ordinal);
  const run = runs.get(key);
  if (run?.seq === before.seq) {
    runs.put(key, { ...run, ended: after?.state ?? "deleted", endedAtMs: core.nowMs });
  }
  const next = { ...record, live: record.live.filter((seq) => seq !== before.seq) };
  keep(core, next);
  if (next.bufferedMs > 0 && next.live.length === 0) {
    // By the next step, not from here: the job that ends is still being moved.
    keep(core, { ...next, bufferedMs: 0, plan: [next.bufferedMs, ...next.plan] });
  }
}

function buffer(core: Core, record: ScheduleRecord, dueMs: number): void {
  if (record.bufferedMs > 0) {
    const why = "one run waits already for the run before";
    keep(core, noteRun(core, record, { dueMs, outcome: "skipped", why }));
  } else {
    keep(core, { ...record, bufferedMs: dueMs });
  }
}

function start(
  core: Core,
  record: ScheduleRecord,
  run: { readonly dueMs: number; readonly manual: boolean },
): EnqueueResult {
  const { job } = record.spec;
  const ordinal = record.history;
  const schedule = { id: record.id, name: record.name, dueMs: run.dueMs, ordinal };
  const result = addJob(core, { ...job, options: { ...job.options, schedule } });
  // The job's own transitions may have changed the schedule.
  const current = must(table(core).get(record.name), "a schedule that fires exists");
  if (result.kind !== "added") {
    keep(core, noteRun(core, current, { ...run, outcome: "refused", why: whyNotAdded(result) }));
    return result;
  }
  const noted = noteRun(core, current, {
    ...run,
    outcome: "started",
    seq: result.seq,
    createdAtMs: result.createdAtMs,
  });
  const runs = noted.runs + 1;
  const isLast = record.spec.maxRuns > 0 && runs >= record.spec.maxRuns;
  keep(core, {
    ...noted,
    runs,
    live: [...noted.live, result.seq].slice(-engineLimits.scheduleLiveMax),
    ...(isLast ? { plan: [], ends: true, bufferedMs: 0 } : {}),
  });
  return result;
}

function whyNotAdded(result: EnqueueResult): string {
  switch (result.kind) {
    case "rejected":
      return result.message;
    case "replaced":
      return "a waiting job with the unique key became this one";
    default:
      return "another job holds the unique key";
  }
}

function noteMissed(
  core: Core,
  record: ScheduleRecord,
  { dueMs, count, why }: { dueMs: number; count: number; why?: string },
): ScheduleRecord {
  const noted = noteRun(core, record, {
    dueMs,
    outcome: "missed",
    count,
    why: why ?? "they came due while nothing could be fired",
  });
  return { ...noted, missed: record.missed + count };
}

/** Writes into the history; the schedule that is returned has to be kept. */
function noteRun(
  core: Core,
  record: ScheduleRecord,
  run: Partial<ScheduleRun> & Pick<ScheduleRun, "dueMs" | "outcome">,
): ScheduleRecord {
  core.state.records("scheduleRun").put(runKey(record, record.history), {
    ordinal: record.history,
    atMs: core.nowMs,
    manual: false,
    why: undefined,
    count: 1,
    seq: 0,
    createdAtMs: 0,
    ended: undefined,
    endedAtMs: 0,
    ...run,
  });
  return { ...record, history: record.history + 1 };
}

/** Puts a schedule and everything that is derived from it. */
function keep(core: Core, record: ScheduleRecord): void {
  table(core).put(record.name, record);
  core.schedules.note(record.name, nextStepMs(record));
  if (wantsPlan(record)) core.effects.plansWanted.add(record.name);
}

/** Where an entry of the history stands; the oldest makes room for the newest. */
export function runKey(record: ScheduleRecord, ordinal: number): string {
  return `${record.id} ${ordinal % engineLimits.scheduleHistoryMax}`;
}

function unknown(name: string): Outcome {
  return reject("NOT_FOUND", `no schedule "${name}"`);
}
