/** Random lives of schedules against a model that deals with due times one by one, and the rules one at a time. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { Change } from "../../src/engine/change.ts";
import { Engine } from "../../src/engine/engine.ts";
import { newestFeatureLevel } from "../../src/engine/feature-levels.ts";
import { findViolations } from "../../src/engine/invariants.ts";
import { MemoryState } from "../../src/engine/memory-state.ts";
import type { CatchUp, Overlap, ScheduleSpec } from "../../src/engine/schedule.ts";
import { hashState } from "../../src/engine/state-hash.ts";

const startMs = 1_700_000_000_000;
const minute = 60_000;

function specOf(change: Partial<ScheduleSpec> = {}): ScheduleSpec {
  return {
    timetable: { kind: "every", everyMs: minute, anchorMs: startMs },
    job: { queue: "q", payload: "1" },
    written: "{}",
    overlap: "allow",
    catchUp: "latest",
    catchUpMs: 60 * minute,
    jitterMs: 0,
    startMs: 0,
    endMs: 0,
    maxRuns: 0,
    ...change,
  };
}

/** An engine with the leader's part played by hand: a plan of the next due times whenever one is wanted. */
class Rig {
  readonly state = new MemoryState();
  engine = new Engine(this.state);
  nowMs = startMs;
  /** Every minute of which the job ran, by due time. */
  readonly runs: number[] = [];

  constructor() {
    this.state.meta.featureLevel = newestFeatureLevel;
  }

  apply(...changes: Change[]) {
    return this.engine.apply({ nowMs: this.nowMs, seed: 1, changes });
  }

  set(change: Partial<ScheduleSpec> = {}) {
    this.apply({ kind: "setSchedule", name: "s", spec: specOf(change) });
    this.plan();
  }

  get record() {
    const record = this.state.records("schedule").get("s");
    if (record === undefined) throw new Error("there is no schedule");
    return record;
  }

  /** Adds the next due times, as the planner does. */
  plan(count = 4): void {
    const { record } = this;
    if (record.paused || record.ends || record.plan.length >= 3) return;
    const afterMs = record.plannedToMs;
    const firstMs = Math.floor((afterMs - startMs) / minute + 1) * minute + startMs;
    const dueMs = Array.from({ length: count }, (_, i) => firstMs + i * minute);
    this.apply({
      kind: "planSchedule",
      name: "s",
      version: record.version,
      afterMs,
      dueMs,
      ends: false,
      missed: 0,
      missedToMs: 0,
    });
  }

  /** Lets time pass, and everything that it causes happen. */
  pass(ms: number): void {
    this.nowMs += ms;
    for (let round = 0; round < 1000; round++) {
      this.plan();
      if (this.engine.nextDeadlineMs() > this.nowMs) return;
      this.apply({ kind: "advanceTime", limit: 3 });
      this.check();
    }
    throw new Error("time causes things without end");
  }

  /** The due times of the jobs that were added, and whether each has ended. */
  get added(): number[] {
    return [...this.state.jobs.values()].map(
      (job) => ((job.options.schedule?.dueMs ?? 0) - startMs) / minute,
    );
  }

  finishFirst(): void {
    const [outcome] = this.apply({ kind: "claim", queues: ["q"], count: 1, leaseMs: 1e9 });
    if (outcome?.kind !== "claimed") throw new Error("no claim");
    const items = outcome.jobs.map(({ seq, token }) => ({ seq, token }));
    this.apply({ kind: "ack", items });
  }

  history() {
    const runs = [...this.state.records("scheduleRun").entries()].map(([, run]) => run);
    return runs.sort((one, other) => one.ordinal - other.ordinal);
  }

  /** What is derived must be what a start would derive, and the books must be in order. */
  check(): void {
    const again = new Engine(this.state);
    expect(again.nextDeadlineMs()).toBe(this.engine.nextDeadlineMs());
    expect(findViolations(this.state.contents(), this.engine)).toEqual([]);
  }
}

describe("a schedule", () => {
  test("fires each due time once, in order", () => {
    const rig = new Rig();
    rig.set();

    for (let i = 0; i < 5; i++) rig.pass(minute);

    expect(rig.added).toEqual([1, 2, 3, 4, 5]);
    expect(rig.record.runs).toBe(5);
  });

  test("is not planned by a plan of an older version, nor twice by the same", () => {
    const rig = new Rig();
    rig.apply({ kind: "setSchedule", name: "s", spec: specOf() });
    const { version, plannedToMs } = rig.record;
    const plan: Change = {
      kind: "planSchedule",
      name: "s",
      version,
      afterMs: plannedToMs,
      dueMs: [startMs + minute, startMs + 2 * minute],
      ends: false,
      missed: 0,
      missedToMs: 0,
    };

    rig.apply(plan, plan);
    expect(rig.record.plan).toHaveLength(2);

    rig.apply({ kind: "setSchedule", name: "s", spec: specOf() }, plan);
    expect(rig.record.plan).toEqual([]);
  });

  test("skips a run while the one before is not over", () => {
    const rig = new Rig();
    rig.set({ overlap: "skip" });

    rig.pass(minute);
    rig.pass(minute);
    rig.finishFirst();
    rig.pass(minute);

    expect(rig.added).toEqual([1, 3]);
    expect(rig.history().map(({ outcome }) => outcome)).toEqual(["started", "skipped", "started"]);
  });

  test("keeps one run for after the one that is not over", () => {
    const rig = new Rig();
    rig.set({ overlap: "buffer" });

    rig.pass(minute);
    rig.pass(minute);
    rig.pass(minute);
    expect(rig.added).toEqual([1]);
    rig.finishFirst();
    rig.pass(1);

    expect(rig.added).toEqual([1, 2]);
    expect(
      rig.history().map(({ outcome, dueMs }) => [outcome, (dueMs - startMs) / minute]),
    ).toEqual([
      ["started", 1],
      ["skipped", 3],
      ["started", 2],
    ]);
  });

  test("cancels the run before", () => {
    const rig = new Rig();
    rig.set({ overlap: "cancel" });

    rig.pass(minute);
    rig.pass(minute);

    expect([...rig.state.jobs.values()].map(({ state }) => state)).toEqual([
      "cancelled",
      "pending",
    ]);
    expect(rig.history()[0]).toMatchObject({ outcome: "started", ended: "cancelled" });
  });

  test.each<[CatchUp, number[]]>([
    ["latest", [10]],
    ["all", [6, 7, 8, 9, 10]],
    ["none", [10]],
  ])("after a gap, catch-up %s of five minutes fires %j", (catchUp, expected) => {
    const rig = new Rig();
    rig.set({ catchUp, catchUpMs: 5 * minute });

    rig.pass(10 * minute + 1);

    expect(rig.added).toEqual(expected);
    expect(rig.record.missed).toBe(10 - expected.length);
  });

  test("adds no more jobs than it may", () => {
    const rig = new Rig();
    rig.set({ maxRuns: 2 });

    rig.pass(minute);
    rig.pass(minute);
    rig.pass(minute);

    expect(rig.added).toEqual([1, 2]);
    expect(rig.record).toMatchObject({ ends: true, plan: [] });
  });

  test("adds no more jobs than it may, whether it is paused, given other settings, or planned late meanwhile", () => {
    const rig = new Rig();
    rig.set({ maxRuns: 2 });
    const { version, plannedToMs: afterMs } = rig.record;
    rig.pass(minute);
    rig.pass(minute);

    rig.apply({ kind: "pauseSchedule", name: "s", paused: true });
    rig.apply({ kind: "pauseSchedule", name: "s", paused: false });
    rig.pass(minute);
    rig.set({ maxRuns: 1 });
    rig.pass(minute);
    const late = { version: rig.record.version, afterMs: rig.record.plannedToMs };
    for (const from of [late, { version, afterMs }]) {
      const dueMs = [rig.nowMs + minute, rig.nowMs + 2 * minute, rig.nowMs + 3 * minute];
      const plan = { dueMs, ends: false, missed: 0, missedToMs: 0 };
      rig.apply({ kind: "planSchedule", name: "s", ...from, ...plan });
    }
    rig.pass(5 * minute);

    expect(rig.added).toEqual([1, 2]);
    expect(rig.record).toMatchObject({ ends: true, plan: [], runs: 2 });
    rig.set({ maxRuns: 3 });
    rig.pass(minute);
    expect(rig.added).toHaveLength(3);
  });

  test("loses nothing that has come due when it is set to the same times again", () => {
    const late = new Rig();
    late.set({ jitterMs: 50_000 });
    late.nowMs += minute;
    late.set({ jitterMs: 50_000 });
    late.pass(minute - 1);
    expect(late.added).toEqual([1]);

    const behind = new Rig();
    behind.set({ overlap: "buffer" });
    behind.pass(minute);
    behind.pass(minute);
    behind.set({ overlap: "buffer" });
    behind.finishFirst();
    behind.pass(1);
    expect(behind.added).toEqual([1, 2]);
  });

  test("forgets what has come due when it is given other times", () => {
    const rig = new Rig();
    rig.set();
    rig.nowMs += minute;

    const later = { kind: "every" as const, everyMs: 7 * minute, anchorMs: startMs };
    rig.apply({ kind: "setSchedule", name: "s", spec: specOf({ timetable: later }) });

    expect(rig.record).toMatchObject({ plan: [], plannedToMs: rig.nowMs });
  });

  test("leaves out what comes due while it is paused", () => {
    const rig = new Rig();
    rig.set();

    rig.pass(minute);
    rig.apply({ kind: "pauseSchedule", name: "s", paused: true });
    rig.pass(3 * minute);
    rig.apply({ kind: "pauseSchedule", name: "s", paused: false });
    rig.pass(minute);

    expect(rig.added).toEqual([1, 5]);
  });

  test("shifts a due time by the same part of its jitter on every replica", () => {
    const one = new Rig();
    const other = new Rig();
    for (const rig of [one, other]) {
      rig.set({ jitterMs: minute / 2 });
      rig.pass(2 * minute);
    }

    expect(hashState(one.state.contents())).toBe(hashState(other.state.contents()));
  });
});

const action = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant("pass" as const),
      ms: fc.integer({ min: 1, max: 3 * minute }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("finish" as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("run" as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("pause" as const), paused: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("restart" as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("set" as const) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant("gap" as const),
      ms: fc.integer({ min: minute, max: 300 * minute }),
    }),
  },
);

test("whatever happens, a due time adds at most one job, and every one is accounted for", () => {
  fc.assert(
    fc.property(
      fc.record({
        overlap: fc.constantFrom<Overlap>("allow", "skip", "buffer", "cancel"),
        catchUp: fc.constantFrom<CatchUp>("none", "latest", "all"),
        catchUpMs: fc.integer({ min: 0, max: 120 * minute }),
        jitterMs: fc.constantFrom(0, 0, 20_000),
      }),
      fc.array(action, { maxLength: 30 }),
      (settings, actions) => {
        const rig = new Rig();
        rig.set(settings);
        for (const step of actions) {
          if (step.do === "pass" || step.do === "gap") rig.pass(step.ms);
          else if (step.do === "finish") rig.finishFirst();
          else if (step.do === "run") rig.apply({ kind: "runSchedule", name: "s" });
          else if (step.do === "set") rig.set(settings);
          else if (step.do === "pause") {
            rig.apply({ kind: "pauseSchedule", name: "s", paused: step.paused });
          } else rig.engine = new Engine(rig.state);
          rig.check();
        }
        const byTimetable = [...rig.state.jobs.values()].filter(
          ({ options }) => ((options.schedule?.dueMs ?? 0) - startMs) % minute === 0,
        );
        const due = byTimetable.map(({ options }) => options.schedule?.dueMs);
        const { runs, live, history } = rig.record;
        expect(runs).toBe(rig.state.jobs.size);
        expect(history).toBeGreaterThanOrEqual(runs);
        if (!actions.some((step) => step.do === "run")) {
          expect(new Set(due).size).toBe(due.length);
          // One at a time, where that was asked for.
          if (settings.overlap !== "allow") expect(live.length).toBeLessThanOrEqual(1);
        }
      },
    ),
    { numRuns: 300 },
  );
});
