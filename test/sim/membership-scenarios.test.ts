/** Nodes that come, go, lose their disks and change roles, while leaders come and go, told event by event. */
import { expect, test } from "bun:test";
import type { CorvoError } from "../../src/base/errors.ts";
import { SeededRandom } from "../support/seeded-random.ts";
import { describeMachine } from "./machine.ts";
import type { SimNode } from "./node.ts";
import { Scenario } from "./scenario.ts";

const settled = 3000;

function fulfilled(scenario: Scenario): void {
  scenario.passUntil(() => scenario.operator.open === 0, 60_000);
}

function voters(scenario: Scenario): readonly number[] {
  return scenario.leader().replica?.conf.voters ?? [];
}

test("two nodes that join at the same moment are both let in and both promoted", () => {
  const scenario = new Scenario(1);
  scenario.operator.join("one");
  scenario.operator.join("other");
  fulfilled(scenario);

  scenario.passUntil(() => voters(scenario).length === 3);

  expect(voters(scenario)).toEqual([1, 2, 3]);
  scenario.expectWhole();
});

test("a node whose log is damaged is not started, and another machine takes its place under a new number", () => {
  for (let seed = 1; seed <= 6; seed++) {
    const scenario = new Scenario(3);
    const before = scenario.enqueue(20);
    scenario.pass(settled);
    const lost = scenario.leader();
    expect(lost.damage(new SeededRandom(seed))).toBe(true);
    lost.start();
    expect(lost.isUp).toBe(false);

    scenario.operator.replace(lost.id, "new machine");
    fulfilled(scenario);
    scenario.passUntil(() => voters(scenario).includes(4));

    expect(voters(scenario)).not.toContain(lost.id);
    expect(scenario.node(4).store?.state.jobs.size).toBe(before.answered);
    scenario.expectWhole();
  }
});

test("the leader goes at any moment of a join or a removal: both come to their end, once", () => {
  for (let afterMs = 0; afterMs < 400; afterMs += 20) {
    const scenario = new Scenario(3);
    const before = scenario.enqueue(10);
    scenario.pass(settled);
    const leader = scenario.leader();
    const [gone] = scenario.followers();
    scenario.operator.join("new machine");
    scenario.operator.remove(gone?.id ?? 0);
    scenario.pass(afterMs / 2);
    leader.crash();
    scenario.pass(5000);
    leader.start();
    fulfilled(scenario);

    const wanted = [1, 2, 3, 4].filter((id) => id !== gone?.id);
    scenario.passUntil(() => voters(scenario).length === wanted.length);

    expect(voters(scenario)).toEqual(wanted);
    const members = scenario.leader().replica?.engine.state.meta.members ?? [];
    expect(members.map(({ id }) => id)).toEqual(wanted);
    expect(before.answered).toBe(10);
    scenario.expectWhole();
  }
});

test("a leader that is to be removed hands over and is removed by the next one", () => {
  const scenario = new Scenario(3);
  scenario.pass(settled);
  const { id } = scenario.leader();

  scenario.operator.remove(id);
  fulfilled(scenario);

  expect(voters(scenario)).toEqual([1, 2, 3].filter((other) => other !== id));
  scenario.expectWhole();
});

test("a demoted node stays a learner across changes of leader until it is promoted again", () => {
  const scenario = new Scenario(4);
  scenario.pass(settled);
  const demoted = scenario.followers()[0]?.id ?? 0;
  scenario.operator.setVoter(demoted, false);
  fulfilled(scenario);
  const first = scenario.leader();
  first.crash();
  scenario.pass(10_000);
  first.start();
  scenario.pass(settled);
  expect(voters(scenario)).not.toContain(demoted);

  scenario.operator.setVoter(demoted, true);
  fulfilled(scenario);

  expect(voters(scenario)).toEqual([1, 2, 3, 4]);
  scenario.expectWhole();
});

test("a learner that nobody has heard from is not promoted, however often that is wished, until it is there", () => {
  const scenario = new Scenario(2);
  let admitted = 0;
  scenario.leader().ask(
    (membership) => membership.join(describeMachine("late machine")),
    (answer) => {
      admitted = answer?.nodeId ?? 0;
    },
  );
  scenario.passUntil(() => admitted > 0);
  scenario.operator.setVoter(admitted, true);
  scenario.pass(30_000);

  expect(voters(scenario)).toEqual([1, 2]);
  // With it among the voters, the loss of one more node would end all writes.
  scenario.operator.join("late machine");
  fulfilled(scenario);
  expect(voters(scenario)).toEqual([1, 2, 3]);
  scenario.expectWhole();
});

test("whoever is promoted and removed at the same moment is either a voter with a record or gone", () => {
  for (let afterMs = 0; afterMs < 30; afterMs++) {
    const scenario = new Scenario(3);
    for (const node of scenario.nodes.values()) node.mood.latencyMs = 5;
    scenario.pass(settled);
    const id = scenario.followers()[0]?.id ?? 0;
    scenario.operator.setVoter(id, false);
    fulfilled(scenario);

    scenario.operator.remove(id);
    scenario.pass(afterMs);
    scenario.operator.setVoter(id, true);
    fulfilled(scenario);
    scenario.pass(settled);

    const { replica } = scenario.leader();
    const records = replica?.engine.state.meta.members.map((member) => member.id) ?? [];
    expect(voters(scenario)).toEqual(records);
    scenario.expectWhole();
  }
});

const promotes = ({ group, replica }: SimNode) =>
  replica?.conf.learners.length === 1 &&
  (group?.state.pendingConfIndex ?? 0) > (group?.state.confIndex ?? 0);

test("[RM19] as soon as three voters count any one of them may be lost for good, whichever of the others was away", () => {
  let lost = 0;
  for (let afterMs = 0; afterMs < 40; afterMs++) {
    const scenario = new Scenario(2);
    for (const node of scenario.nodes.values()) node.mood.latencyMs = 3;
    const before = scenario.enqueue(10);
    scenario.pass(settled);
    const leader = scenario.leader();
    const [away] = scenario.followers();
    scenario.operator.join("third");
    scenario.passUntil(() => promotes(leader), 5000, 1);
    scenario.pass(afterMs);
    // From now on nobody hears from the leader, not even what is on its way.
    away?.crash();
    scenario.network.cut(leader.id, 3);

    const counts = () => leader.replica?.conf.voters.length === 3;
    for (let ms = 0; ms < 200 && !counts(); ms++) scenario.pass(1);
    if (counts() && leader.damage(new SeededRandom(1))) lost++;
    scenario.pass(10);
    scenario.network.mend();
    away?.start();

    const left = [1, 2, 3].filter((id) => id !== leader.id || leader.isUp);
    const after = scenario.enqueue(10, scenario.leader(left));
    scenario.passUntil(() => after.answered === 10);
    expect(before.answered).toBe(10);
    expect(scenario.oracle.problem).toBeUndefined();
  }
  expect(lost).toBeGreaterThan(20);
});

test("[RM19] where a fourth voter is lost as it comes, and a third was away, calls end, and all goes on with either of them", () => {
  for (let afterMs = 0; afterMs < 10; afterMs++) {
    const scenario = new Scenario(3);
    for (const node of scenario.nodes.values()) node.mood.latencyMs = 3;
    scenario.pass(settled);
    const [away] = scenario.followers();
    away?.crash();
    const leader = scenario.leader();
    scenario.operator.join("fourth");
    scenario.passUntil(() => promotes(leader), 5000, 1);
    scenario.pass(afterMs);
    scenario.node(4).crash();

    const answers = scenario.enqueue(5, leader);
    scenario.passUntil(() => answers.answered + answers.failed === 5);

    scenario.node(afterMs % 2 === 0 ? 4 : (away?.id ?? 0)).start();
    const after = scenario.enqueue(5);
    scenario.passUntil(() => after.answered === 5);
    for (const node of scenario.nodes.values()) node.start();
    scenario.expectWhole();
  }
});

test("a transfer to a node that does not take over is answered once it is given up, and the leader leads on", () => {
  const scenario = new Scenario(3);
  scenario.pass(settled);
  const leader = scenario.leader();
  const [target] = scenario.followers();
  target?.pause();
  let fault: CorvoError | undefined;
  leader.ask(
    (membership) => membership.transferLeadership(target?.id),
    (_, reason) => {
      fault = reason;
    },
  );
  const tookMs = scenario.passUntil(() => fault !== undefined);

  // Eight ticks of 50 ms, and up to one look after that.
  expect(tookMs).toBeLessThanOrEqual(650);
  expect(fault?.message).toBe(
    `node ${target?.id} did not take over within an election timeout; node ${leader.id} leads on`,
  );
  const after = scenario.enqueue(1, leader);
  scenario.passUntil(() => after.answered === 1);
  // It finds then that it was asked to take over, and campaigns.
  target?.resume();
  scenario.pass(settled);
  scenario.expectWhole();
});

test("[RE17] nobody leads by a vote that the voter's disk does not have yet", () => {
  for (const laterMs of [0, 10, 20, 30, 40]) {
    const scenario = new Scenario(3);
    scenario.pass(settled + laterMs);
    const old = scenario.leader();
    const [voter, candidate] = scenario.followers();
    if (voter === undefined || candidate === undefined)
      throw new Error("there are no two followers");
    const term = candidate.group?.state.term ?? 0;
    const led = scenario.oracle.counts["terms"];
    voter.mood.latencyMs = 10_000;
    old.crash();

    scenario.passUntil(() => (candidate.group?.state.term ?? 0) > term);
    scenario.pass(2000);
    expect(scenario.oracle.counts["terms"]).toBe(led);

    // What was not on the disk was never said, so the voter may still vote for anybody.
    voter.crash();
    voter.mood.latencyMs = 1;
    voter.start();
    scenario.leader();
    old.start();
    scenario.expectWhole();
  }
});
