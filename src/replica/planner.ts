/**
 * Whoever leads keeps some due times ahead in the plan of every schedule. Due times are computed from calendars and time
 * zones, which are data of the host, so they are computed once, here, and travel through the log.
 *
 * A plan is bound to the version of its schedule and to the time up to which it was planned before: of two leaders that
 * plan the same, the second changes nothing.
 */
import type { Logger, Timers } from "../base/ports.ts";
import type { PlanSchedule } from "../engine/change.ts";
import type { Effects } from "../engine/outcome.ts";
import { lateMs, type ScheduleRecord, type Timetable, wantsPlan } from "../engine/schedule.ts";
import { Duty, type LeaderPart, never } from "./duty.ts";
import type { Replica } from "./replica.ts";

/** Due times of a timetable after `afterMs`, growing, at most `count`; fewer when it ends. Knows no clock. */
export type DueTimes = (timetable: Timetable, afterMs: number, count: number) => number[];

interface PlannerDeps {
  readonly replica: Replica;
  readonly dueTimes: DueTimes;
  readonly timers: Timers;
  readonly logger: Logger;
}

/** Due times that are added to a plan at once. */
const plannedMax = 8;
/** Missed due times are counted up to this: computing one takes tens of microseconds. */
const missedMax = 1000;

export class Planner implements LeaderPart {
  readonly #deps: PlannerDeps;
  readonly #duty: Duty;
  readonly #wanted = new Set<string>();

  constructor(deps: PlannerDeps) {
    this.#deps = deps;
    this.#duty = new Duty(deps, {
      failure: "schedules could not be planned",
      look: () => this.#planAll(),
    });
  }

  /** This node leads now: plans that the last leader did not make are made. */
  lead(): void {
    for (const [name, record] of this.#schedules()) if (wantsPlan(record)) this.#wanted.add(name);
    this.#duty.lead();
  }

  onEffects(effects: Effects): void {
    if (effects.plansWanted.size === 0) return;
    for (const name of effects.plansWanted) this.#wanted.add(name);
    this.#duty.ask();
  }

  stop(): void {
    this.#duty.stop();
  }

  #schedules() {
    return this.#deps.replica.engine.state.records("schedule").entries();
  }

  /** What is wanted is looked at again after each plan: one of a schedule that changed meanwhile had no effect. */
  async #planAll(): Promise<number> {
    const { replica } = this.#deps;
    if (this.#wanted.size > 0) await this.#bringTimeUp();
    const table = replica.engine.state.records("schedule");
    while (this.#wanted.size > 0 && this.#duty.isOn) {
      const changes: PlanSchedule[] = [];
      for (const name of this.#wanted) {
        if (changes.length === 100) break;
        const record = table.get(name);
        if (record !== undefined && wantsPlan(record)) changes.push(this.#plan(record));
        else this.#wanted.delete(name);
      }
      // They go into one batch; each is a change of its own.
      await Promise.all(changes.map((change) => replica.submit(change, 256)));
    }
    return never;
  }

  /**
   * After a time without a leader the log's time is that of its last batch. One more batch, of whatever kind, brings it up, so
   * that what was missed is seen as one gap.
   */
  async #bringTimeUp(): Promise<void> {
    const { replica } = this.#deps;
    if (replica.nextBatchMs - replica.engine.state.meta.nowMs < lateMs) return;
    await replica.submit({ kind: "advanceTime", limit: 1 }, 64);
  }

  /**
   * What is missed is judged by the log's time. The clock may be ahead of it for a moment and be set back before the plan
   * gets its own time; then due times would be given up that are still to come.
   */
  #plan(record: ScheduleRecord): PlanSchedule {
    const { spec, plannedToMs } = record;
    const { dueTimes, replica } = this.#deps;
    const timetable = withAnchor(spec.timetable, record.createdAtMs);
    const fromMs = Math.max(plannedToMs, spec.startMs - 1);
    const windowMs = Math.max(lateMs, spec.catchUp === "none" ? 0 : spec.catchUpMs);
    const oldestMs = replica.engine.state.meta.nowMs - windowMs - 1;
    const skipped =
      oldestMs > fromMs
        ? dueTimes(timetable, fromMs, missedMax).filter((at) => at <= oldestMs)
        : [];
    const found = dueTimes(timetable, Math.max(fromMs, oldestMs), plannedMax + 1);
    const inTime = found.filter((at) => spec.endMs === 0 || at <= spec.endMs);
    const dueMs = inTime.slice(0, plannedMax);
    return {
      kind: "planSchedule",
      name: record.name,
      version: record.version,
      afterMs: plannedToMs,
      dueMs,
      ends: inTime.length <= plannedMax,
      missed: skipped.length,
      missedToMs: skipped.at(-1) ?? 0,
    };
  }
}

function withAnchor(timetable: Timetable, createdAtMs: number): Timetable {
  if (timetable.kind !== "every" || timetable.anchorMs > 0) return timetable;
  return { ...timetable, anchorMs: createdAtMs };
}
