/** A shard's configuration becomes that of shard 0, step by step, and never loses its last voter on the way. */
import { expect, test } from "bun:test";
import fc from "fast-check";
import { type ConfState, emptyConfState } from "../../src/raft/message.ts";
import { nextStep, type Step } from "../../src/replica/shard-members.ts";

const conf = (voters: number[], learners: number[] = []): ConfState => ({
  ...emptyConfState,
  voters,
  learners,
});

const view = (id: number, more: Partial<Parameters<typeof nextStep>[2]> = {}) => ({
  id,
  isCaughtUp: () => true,
  successor: () => undefined,
  ...more,
});

function after(own: ConfState, step: Extract<Step, { kind: "change" }>): ConfState {
  const without = (ids: readonly number[]) => ids.filter((id) => id !== step.id);
  const voters = [...without(own.voters), ...(step.change === "addVoter" ? [step.id] : [])];
  const learners = [...without(own.learners), ...(step.change === "addLearner" ? [step.id] : [])];
  return conf(voters, learners);
}

test("a node comes in as a learner and votes once it has caught up", () => {
  const wanted = conf([1, 2]);

  const first = nextStep(conf([1]), wanted, view(1));
  const behind = nextStep(conf([1], [2]), wanted, view(1, { isCaughtUp: () => false }));
  const then = nextStep(conf([1], [2]), wanted, view(1));

  expect(first).toEqual({ kind: "change", change: "addLearner", id: 2 });
  expect(behind).toBeUndefined();
  expect(then).toEqual({ kind: "change", change: "addVoter", id: 2 });
});

test("a leader that is not to vote hands over, and stays while there is nobody to take over", () => {
  const wanted = conf([2], [1]);

  expect(nextStep(conf([1, 2]), wanted, view(1, { successor: () => 2 }))).toEqual({
    kind: "handOver",
    to: 2,
  });
  expect(nextStep(conf([1], [2]), wanted, view(1, { isCaughtUp: () => false }))).toBeUndefined();
});

test("nothing is done while a change is under way, or before shard 0 has anybody", () => {
  const changing = { ...conf([1, 2]), votersOutgoing: [1] };

  expect(nextStep(changing, conf([1]), view(1))).toBeUndefined();
  expect(nextStep(conf([1]), changing, view(1))).toBeUndefined();
  expect(nextStep(conf([1]), conf([]), view(1))).toBeUndefined();
});

test("from any configuration to any other, with a voter at every step", () => {
  const ids = fc.uniqueArray(fc.integer({ min: 1, max: 6 }), { minLength: 1, maxLength: 6 });
  const some = ids.chain((all) =>
    fc.integer({ min: 1, max: all.length }).map((n) => conf(all.slice(0, n), all.slice(n))),
  );
  fc.assert(
    fc.property(some, some, (from, wanted) => {
      let own = from;
      let leader = own.voters[0] ?? 0;
      for (let steps = 0; ; steps++) {
        expect(steps).toBeLessThan(40);
        expect(own.voters).toContain(leader);
        const { voters } = own;
        const successor = () => voters.find((id) => id !== leader);
        const step = nextStep(own, wanted, view(leader, { successor }));
        if (step === undefined) break;
        if (step.kind === "handOver") leader = step.to;
        else own = after(own, step);
      }
      expect(own.voters.toSorted()).toEqual(wanted.voters.toSorted());
      expect(own.learners.toSorted()).toEqual(wanted.learners.toSorted());
    }),
  );
});
