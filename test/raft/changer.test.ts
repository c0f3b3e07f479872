/**
 * Configurations that random changes lead to: a joint change must end where single ones end, must
 * never mutate what it starts from, and must survive being stored.
 */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import {
  type ChangeBase,
  type ChangeResult,
  changeMembership,
  enterJoint,
  type Layout,
  layoutProblem,
  leaveJoint,
  restoreMembership,
  simpleChange,
} from "../../src/raft/changer.ts";
import {
  type ConfChange,
  decodeConfChange,
  describeNodeChanges,
  encodeConfChange,
  leaveJointChange,
  type NodeChange,
  parseNodeChanges,
} from "../../src/raft/conf-change.ts";
import { emptyData } from "../../src/raft/message.ts";
import { describeMembership, emptyMembership, Tracker } from "../../src/raft/tracker.ts";

const nodeChange: fc.Arbitrary<NodeChange> = fc.record({
  kind: fc.constantFrom("addVoter", "addLearner", "remove", "update"),
  id: fc.integer({ min: 1, max: 7 }),
});
const someChanges = fc.array(nodeChange, { minLength: 1, maxLength: 6 });
const manySteps = fc.array(someChanges, { maxLength: 6 });

const emptyBase: ChangeBase = {
  membership: emptyMembership,
  progress: new Map(),
  lastIndex: 10,
  inflightMessagesMax: 4,
  inflightBytesMax: 0,
};

function layoutOf(result: ChangeResult): Layout | undefined {
  return result.kind === "changed" ? result.layout : undefined;
}

/** Some reachable plain configuration with voter 1 in it at first. */
function grow(steps: readonly (readonly NodeChange[])[]): ChangeBase {
  let base = { ...emptyBase, ...layoutOf(simpleChange(emptyBase, [{ kind: "addVoter", id: 1 }])) };
  for (const changes of steps) {
    const joint = layoutOf(enterJoint(base, false, changes));
    if (joint === undefined) continue;
    base = { ...base, ...layoutOf(leaveJoint({ ...base, ...joint })) };
  }
  return base;
}

describe("a joint change", () => {
  test("ends where the same changes, one at a time, end", () => {
    fc.assert(
      fc.property(manySteps, someChanges, (steps, changes) => {
        const base = grow(steps);
        let oneByOne: ChangeBase | undefined = base;
        for (const change of changes) {
          const layout: Layout | undefined = layoutOf(simpleChange(oneByOne, [change]));
          if (layout === undefined) return; // An intermediate step without voters.
          oneByOne = { ...oneByOne, ...layout };
        }
        const joint = layoutOf(enterJoint(base, false, changes));
        const left = layoutOf(leaveJoint({ ...base, ...joint }));
        expect(left && describeMembership(left.membership)).toBe(
          describeMembership(oneByOne.membership),
        );
        expect(left && [...left.progress.keys()].sort()).toEqual(
          [...oneByOne.progress.keys()].sort(),
        );
      }),
      { numRuns: 1500 },
    );
  });

  test("keeps the old voters in the outgoing half and leaves the original untouched", () => {
    fc.assert(
      fc.property(manySteps, someChanges, fc.boolean(), (steps, changes, autoLeave) => {
        const base = grow(steps);
        const before = describeMembership(base.membership);
        const joint = layoutOf(enterJoint(base, autoLeave, changes));
        if (joint === undefined) return;
        expect(joint.membership.voters.outgoing).toEqual([...base.membership.voters.incoming]);
        expect(layoutProblem(joint)).toBeUndefined();
        expect(describeMembership(base.membership)).toBe(before);
        expect(layoutProblem(base)).toBeUndefined();
      }),
      { numRuns: 1000 },
    );
  });
});

test("[RM1] a simple change moves at most one voter", () => {
  fc.assert(
    fc.property(manySteps, someChanges, (steps, changes) => {
      const base = grow(steps);
      const layout = layoutOf(simpleChange(base, changes));
      if (layout === undefined) return;
      const before = new Set(base.membership.voters.incoming);
      const after = new Set(layout.membership.voters.incoming);
      expect(before.symmetricDifference(after).size).toBeLessThanOrEqual(1);
      expect(after.size).toBeGreaterThan(0);
    }),
    { numRuns: 1000 },
  );
});

test("[RM4] [RM6] a configuration is restored from what is stored of it, joint or not", () => {
  fc.assert(
    fc.property(manySteps, someChanges, fc.boolean(), (steps, changes, autoLeave) => {
      const base = grow(steps);
      const layout = layoutOf(enterJoint(base, autoLeave, changes)) ?? base;
      const tracker = new Tracker(4, 0);
      tracker.install(layout.membership, layout.progress);
      const restored = layoutOf(restoreMembership(emptyBase, tracker.confState()));
      expect(restored && describeMembership(restored.membership)).toBe(
        describeMembership(layout.membership),
      );
    }),
    { numRuns: 1000 },
  );
});

describe("a change in the log", () => {
  const confChange: fc.Arbitrary<ConfChange> = fc.record({
    transition: fc.constantFrom("auto", "implicit", "explicit"),
    changes: fc.array(
      fc.record({
        kind: nodeChange.map(({ kind }) => kind),
        id: fc.oneof(fc.nat({ max: 300 }), fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER })),
      }),
    ),
    context: fc.uint8Array({ maxLength: 9 }),
  });

  test("is read back as it was written", () => {
    fc.assert(
      fc.property(confChange, (change) => {
        expect(decodeConfChange(encodeConfChange(change))).toEqual(change);
      }),
    );
  });

  test("is empty when it leaves a joint configuration, so that no limit can refuse it", () => {
    expect(encodeConfChange(leaveJointChange).length).toBe(0);
    expect(decodeConfChange(new Uint8Array(0))).toEqual(leaveJointChange);
  });

  test("is refused, and not misread, when it is damaged", () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 12 }), (bytes) => {
        const change = decodeConfChange(bytes);
        if (change === undefined) return;
        for (const { id } of change.changes) expect(Number.isSafeInteger(id)).toBe(true);
        expect(decodeConfChange(encodeConfChange(change))).toEqual(change);
      }),
      { numRuns: 2000 },
    );
  });

  test("is refused when it is cut off, instead of being read as a smaller one", () => {
    fc.assert(
      fc.property(confChange, fc.nat(), (change, cut) => {
        const bytes = encodeConfChange({ ...change, context: emptyData });
        fc.pre(bytes.length > 1);

        expect(decodeConfChange(bytes.slice(0, 1 + (cut % (bytes.length - 1))))).toBeUndefined();
      }),
    );
  });

  test("is refused when it counts more changes than it can have, or a number has no end", () => {
    expect(decodeConfChange(Uint8Array.of(0, 0xff, 0xff, 0xff, 0x7f, 0, 1))).toBeUndefined();
    expect(decodeConfChange(new Uint8Array(14).fill(0xff).with(0, 0))).toBeUndefined();
  });

  test("has a short form that is read back", () => {
    fc.assert(
      fc.property(fc.array(nodeChange), (changes) => {
        expect(parseNodeChanges(describeNodeChanges(changes))).toEqual(changes);
      }),
    );
  });

  test("leads to a joint configuration only if asked for or if more than one node changes", () => {
    const base = grow([]);
    const step = (change: Partial<ConfChange>) =>
      layoutOf(changeMembership(base, { ...leaveJointChange, ...change }))?.membership;
    const one: NodeChange[] = [{ kind: "addVoter", id: 2 }];
    const two: NodeChange[] = [...one, { kind: "addLearner", id: 3 }];

    expect(step({ changes: one })?.voters.outgoing).toEqual([]);
    expect(step({ changes: two })).toMatchObject({ voters: { outgoing: [1] }, autoLeave: true });
    expect(step({ changes: one, transition: "implicit" })?.autoLeave).toBe(true);
    expect(step({ changes: one, transition: "explicit" })?.autoLeave).toBe(false);
    expect(step({})).toBeUndefined();
  });
});
