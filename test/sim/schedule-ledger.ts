/**
 * What became of each due time of each schedule, as the entries that are applied tell, first node first. No due time may
 * add two jobs, and no schedule more than it may; none may be called missed that was not late; and between the last change of
 * a schedule and the first due time of its plan, every due time of the timetable must have been dealt with.
 */
import type { Job } from "../../src/engine/job.ts";
import { lateMs, type ScheduleRecord, type ScheduleRun } from "../../src/engine/schedule.ts";

interface Known {
  record: ScheduleRecord;
  /** Due times of the timetable that were fired, skipped, refused, missed or put off. */
  readonly dealtWith: Set<number>;
  /** Due times up to this one were missed as a whole. */
  missedToMs: number;
}

export class ScheduleLedger {
  readonly #report: (problem: string) => void;
  readonly #note: (event: string) => void;
  readonly #known = new Map<number, Known>();
  /** Entries of histories that were seen, by schedule and ordinal. */
  readonly #runs = new Map<string, ScheduleRun>();
  /** Due times that added a job, by schedule. */
  readonly #started = new Set<string>();

  /** Jobs added in all, by schedule. */
  readonly #added = new Map<number, number>();

  constructor(report: (problem: string) => void, note: (event: string) => void) {
    this.#report = report;
    this.#note = note;
  }

  /** A record of any kind was put, or deleted when undefined, by a batch of this time. */
  changed(kind: string, key: string, value: unknown, nowMs: number): void {
    if (kind === "schedule") {
      if (value === undefined) this.#deleteSchedule(key);
      else this.#putSchedule(value as ScheduleRecord);
    }
    if (kind === "scheduleRun" && value !== undefined) {
      this.#putRun(Number(key.split(" ")[0]), value as ScheduleRun, nowMs);
    }
  }

  /** Looks for due times that were passed over, in the schedules as they are now. */
  check(): void {
    for (const known of this.#known.values()) {
      const forgotten = findForgotten(known);
      if (forgotten === undefined) continue;
      const { name, spec } = known.record;
      this.#report(`schedule ${name} (${spec.overlap}) never dealt with ${forgotten}`);
    }
  }

  /** Each job of a schedule is told of in its history, and no other is. */
  checkJobs(jobs: Iterable<Job>): void {
    const seqs = new Set<number>();
    for (const { seq, options } of jobs) {
      if (options.schedule === undefined) continue;
      const { id, ordinal, dueMs } = options.schedule;
      seqs.add(seq);
      const run = this.#runs.get(`${id} ${ordinal}`);
      if (run?.seq !== seq || run.dueMs !== dueMs) {
        this.#report(`job ${seq} of schedule ${id} is not run ${ordinal} of its history`);
      }
    }
    for (const [key, run] of this.#runs) {
      if (run.outcome === "started" && !seqs.has(run.seq)) {
        this.#report(`run ${key} started job ${run.seq}, which does not exist`);
      }
    }
  }

  #putSchedule(record: ScheduleRecord): void {
    const known = this.#known.get(record.id);
    if (known === undefined || known.record.version !== record.version) {
      this.#known.set(record.id, { record, dealtWith: new Set(), missedToMs: 0 });
      return;
    }
    const { bufferedMs } = record;
    if (bufferedMs > 0) known.dealtWith.add(bufferedMs);
    known.record = record;
  }

  #deleteSchedule(name: string): void {
    for (const [id, { record }] of this.#known) if (record.name === name) this.#known.delete(id);
  }

  #putRun(id: number, run: ScheduleRun, nowMs: number): void {
    const key = `${id} ${run.ordinal}`;
    const isNew = !this.#runs.has(key);
    this.#runs.set(key, run);
    const known = this.#known.get(id);
    if (!isNew || known === undefined) return;
    this.#note(`schedule_${run.outcome}`);
    if (run.outcome === "started") this.#added.set(id, (this.#added.get(id) ?? 0) + 1);
    if (run.manual) return;
    known.dealtWith.add(run.dueMs);
    if (run.outcome === "missed") this.#checkMissed(known, run, nowMs);
    if (run.outcome !== "started") return;
    const { maxRuns } = known.record.spec;
    const added = this.#added.get(id) ?? 0;
    if (maxRuns > 0 && added > maxRuns) this.#report(`schedule ${id} added ${added} of ${maxRuns}`);
    if (known.record.paused) this.#report(`schedule ${id} fired ${run.dueMs} while paused`);
    if (run.dueMs > nowMs) this.#report(`schedule ${id} fired ${run.dueMs} at ${nowMs}`);
    const due = `${id} ${run.dueMs}`;
    if (this.#started.has(due)) this.#report(`due time ${due} added two jobs`);
    this.#started.add(due);
  }

  #checkMissed(known: Known, { dueMs, count }: ScheduleRun, nowMs: number): void {
    const { catchUp, catchUpMs } = known.record.spec;
    const windowMs = catchUp === "all" ? Math.max(lateMs, catchUpMs) : lateMs;
    if (nowMs - dueMs < windowMs) {
      this.#report(`schedule ${known.record.name} missed ${dueMs} at ${nowMs} already`);
    }
    if (count > 1) known.missedToMs = dueMs;
  }
}

/** A due time before the plan's first that nothing was done about. */
function findForgotten({ record, dealtWith, missedToMs }: Known): number | undefined {
  const { timetable } = record.spec;
  const [firstMs] = record.plan;
  if (timetable.kind !== "every" || firstMs === undefined || record.paused) return undefined;
  const anchorMs = timetable.anchorMs > 0 ? timetable.anchorMs : record.createdAtMs;
  const { everyMs } = timetable;
  const from = Math.max(record.updatedAtMs, missedToMs, anchorMs);
  let dueMs = anchorMs + (Math.floor((from - anchorMs) / everyMs) + 1) * everyMs;
  for (; dueMs < firstMs; dueMs += everyMs) if (!dealtWith.has(dueMs)) return dueMs;
  return undefined;
}
