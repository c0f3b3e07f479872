/** What befalls whole clusters, told event by event: several machines at once, links that fail for good, full disks. */
import { expect, test } from "bun:test";
import { Scenario } from "./scenario.ts";

const settled = 3000;

test("all machines lose power at once, with writes under way: nothing acknowledged is lost", () => {
  for (let round = 0; round < 10; round++) {
    const scenario = new Scenario(3);
    const before = scenario.enqueue(20);
    scenario.pass(100 + round);
    for (const node of scenario.nodes.values()) node.mood.latencyMs = 40;
    const during = scenario.enqueue(20);
    // What is under way is durable on none, some or all of them.
    scenario.pass(round * 15);
    for (const node of scenario.nodes.values()) node.crash();
    scenario.pass(100);
    for (const node of scenario.nodes.values()) {
      node.mood.latencyMs = 1;
      node.start();
    }

    scenario.expectWhole();

    expect(before.answered).toBe(20);
    expect(during.answered + during.failed).toBe(20);
    const jobs = scenario.leader().store?.state.jobs.size ?? 0;
    expect(jobs).toBeGreaterThanOrEqual(before.answered + during.answered);
  }
});

test("two nodes that reach each other only through a third do not depose each other in turn", () => {
  const scenario = new Scenario(3);
  scenario.pass(settled);
  const [one, other] = [1, 2, 3].filter((id) => id !== scenario.leader().id) as [number, number];
  const hub = scenario.leader().id;
  for (const edge of [one, other]) {
    // The leader is at one end of the chain, then in its middle.
    const middle = edge === one ? other : hub;
    const ends = [1, 2, 3].filter((id) => id !== middle) as [number, number];
    scenario.network.mend();
    scenario.network.cut(ends[0], ends[1]);
    scenario.network.cut(ends[1], ends[0]);
    scenario.pass(10_000);
    const terms = scenario.oracle.counts["terms"] ?? 0;
    const calls = scenario.enqueue(10);
    scenario.pass(60_000);

    expect(calls.answered).toBe(10);
    expect(scenario.oracle.counts["terms"]).toBe(terms);
  }
  scenario.network.mend();
  scenario.expectWhole();
});

test("a leader that starts again at once does not keep the others from having one", () => {
  const scenario = new Scenario(3);
  for (let round = 0; round < 10; round++) {
    const leader = scenario.leader();
    leader.crash();
    leader.start();
    const sinceMs = scenario.events.nowMs;
    scenario.leader();

    expect(scenario.events.nowMs - sinceMs).toBeLessThan(3000);
    scenario.enqueue(1);
    scenario.pass(settled);
  }
  scenario.expectWhole();
});

test("nodes that start in the same millisecond have a leader within three seconds", () => {
  for (const founders of [2, 3, 5, 7]) {
    const scenario = new Scenario(founders);
    for (let round = 0; round < 5; round++) {
      for (const node of scenario.nodes.values()) node.crash();
      for (const node of scenario.nodes.values()) node.start();
      const sinceMs = scenario.events.nowMs;

      scenario.leader();

      expect(scenario.events.nowMs - sinceMs).toBeLessThan(3000);
    }
  }
});

test("a majority with full disks takes no writes, says so, and does again when there is space", () => {
  const scenario = new Scenario(3);
  scenario.pass(settled);
  const leader = scenario.leader();
  const [follower] = scenario.followers();
  const full = [leader, follower];
  for (const node of full) if (node !== undefined) node.mood.isFull = true;

  const during = scenario.enqueue(5);
  scenario.pass(2000);
  const refused = scenario.enqueue(5, leader);
  scenario.pass(10_000);

  expect(during.answered).toBe(0);
  expect(refused.answered).toBe(0);
  expect(refused.faults.length).toBe(5);
  for (const node of full) if (node !== undefined) node.mood.isFull = false;
  scenario.pass(settled);
  const after = scenario.enqueue(5);
  scenario.pass(settled);
  expect(after).toMatchObject({ answered: 5, failed: 0 });
  scenario.expectWhole();
});

test("of five, one is cut off, three are killed and one is removed in quick succession: nothing is lost", () => {
  const scenario = new Scenario(5);
  const before = scenario.enqueue(50);
  scenario.pass(settled);
  const leader = scenario.leader();
  const [cut, ...rest] = scenario.followers();
  scenario.isolate(cut?.id ?? 0);
  scenario.change("remove", rest[0]?.id ?? 0);
  scenario.enqueue(10, leader);
  scenario.pass(3);
  const killed = [leader, ...rest.slice(1)];
  for (const node of killed) node.crash();
  scenario.pass(5000);
  for (const node of killed) node.start();
  scenario.network.mend();
  scenario.pass(settled);

  const after = scenario.enqueue(10);
  scenario.pass(settled);

  expect(before.answered).toBe(50);
  expect(after.answered).toBe(10);
  scenario.expectWhole();
});

test("the log gets shorter beside a job that nobody acks and with a write a second", () => {
  const scenario = new Scenario(3);
  scenario.enqueue(1);
  scenario.pass(settled);
  const claim = {
    kind: "claim",
    queues: ["q"],
    count: 1,
    leaseMs: 3_600_000,
    workerId: "w",
  } as const;
  const claimed = scenario.call(claim);
  for (let second = 0; second < 60; second++) {
    scenario.enqueue(1);
    scenario.pass(1000);
  }

  expect(claimed.outcome?.kind).toBe("claimed");
  for (const { group } of scenario.nodes.values()) {
    const { storage, appliedIndex } = group ?? {};
    expect((appliedIndex ?? 0) - (storage?.firstIndex() ?? 0)).toBeLessThan(20);
  }
  scenario.expectWhole();
});

test("of two nodes one is killed: calls are refused in time, and taken again when it is back", () => {
  const scenario = new Scenario(2);
  scenario.pass(settled);
  const alone = scenario.leader();
  scenario.followers()[0]?.crash();

  const first = scenario.enqueue(3, alone);
  scenario.pass(5000);
  const second = scenario.enqueue(3, alone);
  scenario.pass(5000);

  expect(first).toMatchObject({ answered: 0, failed: 3 });
  expect(second).toMatchObject({ answered: 0, failed: 3 });
  for (const fault of second.faults) expect(fault.code).toBe("UNAVAILABLE");
  for (const node of scenario.nodes.values()) node.start();
  scenario.pass(settled);
  const after = scenario.enqueue(3);
  scenario.pass(settled);
  expect(after.answered).toBe(3);
  scenario.expectWhole();
});

test("a member whose links swallow everything holds up neither writes nor members, and catches up without a restart", () => {
  const scenario = new Scenario(3);
  scenario.pass(settled);
  const [silent] = scenario.followers();
  scenario.isolate(silent?.id ?? 0);

  const writes = scenario.enqueue(30);
  scenario.pass(1000);
  const joiner = scenario.add(4);
  scenario.isolate(silent?.id ?? 0);
  scenario.change("addLearner", joiner.id);
  scenario.pass(settled);

  expect(writes.answered).toBe(30);
  expect(scenario.leader().replica?.conf.learners).toEqual([joiner.id]);
  scenario.network.mend();
  scenario.expectWhole();
  expect(silent?.store?.state.jobs.size).toBe(30);
});

test("a snapshot that is asked for while one is made is made of what came since", () => {
  const scenario = new Scenario(1);
  const made: number[] = [];
  scenario.enqueue(1);
  scenario.pass(settled);
  const make = () =>
    scenario.founder.enter(({ snapshots }) => {
      snapshots.make().then(
        ({ index }) => made.push(index),
        () => made.push(Number.NaN),
      );
    });

  make();
  scenario.enqueue(1);
  scenario.pass(2);
  const since = scenario.founder.group?.appliedIndex ?? 0;
  make();
  scenario.pass(settled);

  expect(made.length).toBe(2);
  expect(made[0]).toBeLessThan(made[1] ?? 0);
  expect(made[1]).toBeGreaterThanOrEqual(since);
});
