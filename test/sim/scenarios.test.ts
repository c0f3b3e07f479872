/** Single events on a simulated cluster, each of which once went wrong. */
import { expect, test } from "bun:test";
import { Scenario } from "./scenario.ts";

test("a node that joins a cluster without traffic gets a snapshot that it is in", () => {
  const scenario = new Scenario();
  for (let i = 0; i < 30; i++) {
    scenario.enqueue(1);
    scenario.pass(50);
  }
  scenario.pass(5000);
  expect(scenario.founder.group?.storage.firstIndex()).toBeGreaterThan(1);

  const joiner = scenario.add(2);
  scenario.change("addLearner", 2);
  scenario.pass(10_000);

  expect(joiner.group?.appliedIndex).toBe(scenario.founder.group?.appliedIndex ?? -1);
  expect(joiner.store?.state.jobs.size).toBe(30);
  expect(scenario.oracle.problem).toBeUndefined();
});

test("a log that refused one write too many takes the next ones", () => {
  const scenario = new Scenario();
  const { founder } = scenario;
  founder.mood.latencyMs = 100;
  founder.mood.pendingBytesMax = 100;
  const first = scenario.enqueue(1);
  scenario.pass(1);
  // The second write goes to the log while the first is under way, as a change of members does.
  scenario.change("addLearner", 2);
  scenario.pass(2000);
  founder.mood.pendingBytesMax = 1 << 30;
  scenario.pass(2000);

  const later = scenario.enqueue(1);
  scenario.pass(2000);

  expect(first.answered + first.failed).toBe(1);
  expect(later).toMatchObject({ answered: 1, failed: 0 });
});

test("a read on a node that was removed ends", () => {
  const scenario = new Scenario();
  const { founder } = scenario;
  const removed = scenario.add(2);
  scenario.add(3);
  for (const id of [2, 3]) {
    scenario.change("addVoter", id);
    scenario.pass(2000);
  }
  scenario.change("remove", 2);
  scenario.pass(5000);
  expect(founder.replica?.conf.voters).toEqual([1, 3]);

  const ends: (number | undefined)[] = [];
  for (let i = 0; i < 5; i++) {
    removed.read((index) => ends.push(index));
    scenario.enqueue(1);
    scenario.pass(500);
  }
  scenario.pass(10_000);

  expect(ends.length).toBe(5);
});

test("a schedule that is changed while it is being planned is planned again, and fires", () => {
  const scenario = new Scenario();
  const set = (everyMs: number) =>
    scenario.call({
      kind: "setSchedule",
      name: "s",
      spec: {
        timetable: { kind: "every", everyMs, anchorMs: 0 },
        job: { queue: "q", payload: '"by schedule"' },
        written: "{}",
        overlap: "allow",
        catchUp: "all",
        catchUpMs: 120_000,
        jitterMs: 0,
        startMs: 0,
        endMs: 0,
        maxRuns: 0,
      },
    });

  scenario.founder.mood.latencyMs = 20;
  set(5000);
  scenario.pass(0.1);
  // Goes into the batch before that of the first plan.
  set(1000);
  scenario.pass(10_500);

  expect(scenario.founder.store?.state.jobs.size).toBe(10);
  scenario.expectWhole();
});
