/** Handlers of operations on schedules. */
import { requestLimits as limits } from "../api/limits.ts";
import type { InputOf, ResultOf } from "../api/operation.ts";
import type { Handlers, Operations } from "../api/operations.ts";
import { CorvoError } from "../base/errors.ts";
import { formatJobId } from "../base/ids.ts";
import { RawJson, stringifyJson } from "../base/json.ts";
import { formatTime } from "../base/time.ts";
import { engineLimits } from "../engine/limits.ts";
import type { ScheduleRecord, ScheduleRun, ScheduleSpec, Timetable } from "../engine/schedule.ts";
import { runKey } from "../engine/schedules.ts";
import { sizeOf, toNewJob } from "./new-job.ts";
import type { Node } from "./node.ts";
import { type Listing, pageOf } from "./page.ts";
import { cronTimetable, dueTimes } from "./timetable.ts";
import { toDuration, toTime } from "./values.ts";

type ScheduleHandlers = Pick<
  Handlers,
  | "listSchedules"
  | "previewSchedule"
  | "getSchedule"
  | "setSchedule"
  | "deleteSchedule"
  | "pauseSchedule"
  | "resumeSchedule"
  | "runSchedule"
>;
type Settings = InputOf<Operations["setSchedule"]>["body"];
type TimetableFields = Pick<Settings, "cron" | "zone" | "every" | "start" | "end">;
type Shown = ResultOf<Operations["setSchedule"]>;
type Run = NonNullable<Shown["last_run"]>;

const nextShown = 5;
/** By name. */
export const scheduleListing: Listing<{ readonly name: string }> = {
  list: "schedules",
  placeOf: ({ name }) => name,
  isReverse: false,
};

export function createScheduleHandlers(node: Node): ScheduleHandlers {
  const table = () => node.replica.engine.state.records("schedule");
  const find = (name: string): ScheduleRecord => {
    const record = table().get(name);
    if (record !== undefined) return record;
    throw new CorvoError("NOT_FOUND", `no schedule "${name}"`, {
      hint: "`corvo schedule list` shows them.",
    });
  };
  const setPaused = async (name: string, paused: boolean) => {
    await node.propose({ kind: "pauseSchedule", name, paused }, 128);
    return { status: paused ? "paused" : "resumed" };
  };
  return {
    async listSchedules({ query }) {
      const matching = [...table().entries()]
        .filter(([name]) => name.startsWith(query.prefix ?? ""))
        .map(([, record]) => record);
      const { rows, end } = pageOf(scheduleListing, query, matching);
      const schedules = rows.map((record) => scheduleView(node, record));
      return { schedules, total: matching.length, ...end };
    },
    async previewSchedule({ body }) {
      const nowMs = node.deps.clock.nowMs();
      const spec = { ...toTimetable(body, nowMs), ...toRange(body) };
      return { next_runs: nextRuns(spec, nowMs, body.count ?? nextShown) };
    },
    async getSchedule({ params }) {
      const record = find(params.name);
      const history = historyOf(node, record).map((run) => runView(node, run));
      return { ...scheduleView(node, record), job: new RawJson(record.spec.written), history };
    },
    async setSchedule({ params, body }) {
      const known = table().get(params.name)?.spec;
      const wanted = toSpec(body, node.deps.clock.nowMs(), node.options.shard);
      const spec = { ...wanted, timetable: inStep(wanted, known) };
      node.refuseJobElsewhere(spec.job);
      const bytes = 512 + 2 * sizeOf(spec.job);
      const across = node.acrossOf([spec.job]);
      await node.propose({ kind: "setSchedule", name: params.name, ...across, spec }, bytes);
      return scheduleView(node, find(params.name));
    },
    async deleteSchedule({ params }) {
      await node.propose({ kind: "deleteSchedule", name: params.name }, 128);
      return { status: "deleted" };
    },
    pauseSchedule: ({ params }) => setPaused(params.name, true),
    resumeSchedule: ({ params }) => setPaused(params.name, false),
    async runSchedule({ params }) {
      const outcome = await node.propose({ kind: "runSchedule", name: params.name }, 128);
      const result = outcome.kind === "enqueued" ? outcome.results[0] : undefined;
      if (result === undefined) throw new Error(`unexpected outcome ${outcome.kind}`);
      if (result.kind === "rejected") throw new CorvoError(result.code, result.message);
      const id = formatJobId(result.seq, result.createdAtMs, node.options.shard);
      return { job_id: id, status: result.kind === "added" ? "started" : "duplicate" };
    },
  };
}

function toSpec(body: Settings, nowMs: number, shard: number): ScheduleSpec {
  const { overlap, catch_up, catch_up_window, jitter, max_runs } = body;
  if (body.job.scheduled_at != null) {
    throw invalid(
      "job.scheduled_at: the schedule says when its jobs run; use delay for a wait after that",
    );
  }
  if (body.job.depends_on != null && body.job.depends_on.length > 0) {
    throw invalid("job.depends_on: a schedule makes job after job, which cannot all wait for one");
  }
  for (const name of ["parent_id", "cascade_cancel", "batch_id"] as const) {
    if (body.job[name] == null || body.job[name] === false) continue;
    throw invalid(`job.${name}: a schedule outlives jobs and batches; its jobs belong to none`);
  }
  for (const name of ["payload_base64", "payload_blob"] as const) {
    if (body.job[name] == null) continue;
    throw invalid(`job.${name}: the payload of a schedule's jobs is JSON`);
  }
  return {
    ...toTimetable(body, nowMs),
    ...toRange(body),
    job: toNewJob(body.job, { index: 0, shard }),
    written: stringifyJson(body.job),
    overlap: overlap ?? "allow",
    catchUp: catch_up ?? "latest",
    catchUpMs: catch_up_window == null ? 3_600_000 : toDuration("catch_up_window", catch_up_window),
    jitterMs: jitter == null ? 0 : toDuration("jitter", jitter),
    maxRuns: max_runs ?? 0,
  };
}

function toTimetable(body: TimetableFields, nowMs: number): { timetable: Timetable } {
  if ((body.cron == null) === (body.every == null)) {
    throw invalid(
      body.cron == null
        ? "neither cron nor every is given; one of them says when runs are due"
        : "cron and every are both given; one of them says when runs are due",
    );
  }
  if (body.cron != null) return { timetable: cronTimetable(body.cron, body.zone ?? "UTC") };
  if (body.zone != null) throw invalid("zone: only cron is read in a time zone");
  const everyMs = toDuration("every", body.every ?? "");
  if (everyMs < limits.everyMsMin) {
    throw new CorvoError(
      "LIMIT_EXCEEDED",
      `every: ${body.every} is shorter than ${limits.everyMsMin} ms (everyMsMin)`,
    );
  }
  // The first run is due at the start, when there is one.
  const anchorMs = body.start == null ? nowMs : toTime("start", body.start) - everyMs;
  return { timetable: { kind: "every", everyMs, anchorMs } };
}

/**
 * Whoever sets a schedule again, as each deployment does, must not put off its next run each time: the same interval goes on
 * from where it was counted.
 */
function inStep(wanted: ScheduleSpec, known: ScheduleSpec | undefined): Timetable {
  const { timetable } = wanted;
  if (timetable.kind !== "every" || known?.timetable.kind !== "every") return timetable;
  const isSame = known.timetable.everyMs === timetable.everyMs;
  return isSame && wanted.startMs === 0 && known.startMs === 0 ? known.timetable : timetable;
}

function toRange(body: TimetableFields): Pick<ScheduleSpec, "startMs" | "endMs"> {
  const startMs = body.start == null ? 0 : toTime("start", body.start);
  const endMs = body.end == null ? 0 : toTime("end", body.end);
  if (endMs > 0 && endMs <= startMs) {
    throw invalid(`end: ${body.end} is not after start: ${body.start}`);
  }
  return { startMs, endMs };
}

function nextRuns(
  spec: Pick<ScheduleSpec, "timetable" | "startMs" | "endMs">,
  nowMs: number,
  count: number,
): string[] {
  const found = dueTimes(spec.timetable, Math.max(nowMs, spec.startMs - 1), count);
  return found.filter((at) => spec.endMs === 0 || at <= spec.endMs).map(formatTime);
}

function historyOf(node: Node, record: ScheduleRecord): ScheduleRun[] {
  const runs = node.replica.engine.state.records("scheduleRun");
  const found: ScheduleRun[] = [];
  const oldest = Math.max(0, record.history - engineLimits.scheduleHistoryMax);
  for (let ordinal = record.history - 1; ordinal >= oldest; ordinal--) {
    const run = runs.get(runKey(record, ordinal));
    if (run !== undefined) found.push(run);
  }
  return found;
}

function scheduleView(node: Node, record: ScheduleRecord): Shown {
  const { spec, paused, ends, plan } = record;
  const { timetable } = spec;
  const [last] = historyOf(node, record);
  const nowMs = node.deps.clock.nowMs();
  // Whether there is anything left to plan shows before it is planned.
  const isOver = plan.length === 0 && (ends || nextRuns(spec, record.plannedToMs, 1).length === 0);
  return {
    name: record.name,
    queue: spec.job.queue,
    ...(timetable.kind === "cron"
      ? { cron: timetable.expression, zone: timetable.zone }
      : { every_ms: timetable.everyMs }),
    overlap: spec.overlap,
    catch_up: spec.catchUp,
    catch_up_window_ms: spec.catchUpMs,
    jitter_ms: spec.jitterMs,
    ...(spec.startMs === 0 ? {} : { start: formatTime(spec.startMs) }),
    ...(spec.endMs === 0 ? {} : { end: formatTime(spec.endMs) }),
    ...(spec.maxRuns === 0 ? {} : { max_runs: spec.maxRuns }),
    paused,
    ended: isOver,
    runs: record.runs,
    missed: record.missed,
    next_runs: paused || isOver ? [] : nextRuns(spec, nowMs, nextShown),
    ...(last === undefined ? {} : { last_run: runView(node, last) }),
    created_at: formatTime(record.createdAtMs),
    updated_at: formatTime(record.updatedAtMs),
  };
}

function runView(node: Node, run: ScheduleRun): Run {
  return {
    due_at: formatTime(run.dueMs),
    at: formatTime(run.atMs),
    outcome: run.outcome,
    ...(run.manual ? { manual: true } : {}),
    ...(run.why === undefined ? {} : { why: run.why }),
    ...(run.count === 1 ? {} : { count: run.count }),
    ...(run.seq === 0 ? {} : { job_id: formatJobId(run.seq, run.createdAtMs, node.options.shard) }),
    ...(run.ended === undefined ? {} : { ended: run.ended, ended_at: formatTime(run.endedAtMs) }),
  };
}

function invalid(message: string): CorvoError {
  return new CorvoError("VALIDATION_ERROR", message);
}
