/**
 * What the leader knows of one member: how each answer and each loss moves it between probing,
 * replicating and waiting for a snapshot.
 */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { Inflights } from "../../src/raft/inflights.ts";
import { Progress } from "../../src/raft/progress.ts";

function replicating(match: number, next: number): Progress {
  const progress = new Progress(match + 1, new Inflights(4, 0), false);
  progress.maybeUpdate(match);
  progress.becomeReplicate();
  if (next > match + 1) progress.sentEntries(next - match - 1, 10);
  return progress;
}

describe("[RR10] a late answer", () => {
  test("that refuses what was acknowledged since changes nothing", () => {
    const progress = replicating(5, 9);

    expect(progress.maybeDecrease(5, 2)).toBe(false);
    expect(progress.maybeDecrease(3, 2)).toBe(false);
    expect([progress.match, progress.next]).toEqual([5, 9]);
  });

  test("that refuses another probe than the last changes nothing", () => {
    const probing = new Progress(10, new Inflights(4, 0), false);

    expect(probing.maybeDecrease(8, 3)).toBe(false);
    expect(probing.next).toBe(10);
    expect(probing.maybeDecrease(9, 3)).toBe(true);
    expect(probing.next).toBe(4);
  });

  test("that acknowledges less than is known changes nothing", () => {
    const progress = replicating(5, 9);

    expect(progress.maybeUpdate(4)).toBe(false);
    expect(progress.maybeUpdate(5)).toBe(false);
    expect([progress.match, progress.next]).toEqual([5, 9]);
  });
});

test("[RR1] probing goes on behind a delivered snapshot, and where it was after a lost one", () => {
  for (const [isDelivered, next] of [
    [true, 21],
    [false, 6],
  ] as const) {
    const progress = replicating(5, 9);
    progress.becomeSnapshot(20);
    expect([progress.isPaused, progress.next]).toEqual([true, 21]);

    if (!isDelivered) progress.pendingSnapshot = 0;
    progress.becomeProbe();

    expect([progress.state, progress.next]).toEqual(["StateProbe", next]);
  }
});

test("[RR10] a commit index that is on its way already is not sent again", () => {
  const progress = replicating(5, 9);

  expect(progress.canBumpCommit(6)).toBe(true);
  progress.sentCommit(6);
  expect(progress.canBumpCommit(6)).toBe(false);
  expect(progress.canBumpCommit(7)).toBe(true);
  progress.sentCommit(8);
  expect(progress.canBumpCommit(9)).toBe(false);
  // A refusal means that the message with the commit index did not count.
  progress.maybeDecrease(8, 5);
  progress.sentEntries(1, 1);
  expect([progress.next, progress.canBumpCommit(8)]).toEqual([7, true]);
});

test("[RR3] whatever is answered or lost, match stays below next and never falls", () => {
  const operation = fc.record({
    kind: fc.constantFrom("send", "acknowledge", "reject", "lose", "snapshot", "commit"),
    index: fc.integer({ min: 0, max: 30 }),
  });
  fc.assert(
    fc.property(fc.array(operation, { maxLength: 60 }), (operations) => {
      const progress = new Progress(5, new Inflights(3, 0), false);
      let match = 0;
      for (const { kind, index } of operations) {
        if (kind === "send" && !progress.isPaused) progress.sentEntries(index % 4, 1);
        else if (kind === "acknowledge" && progress.maybeUpdate(index)) {
          if (progress.state === "StateProbe") progress.becomeReplicate();
          else progress.inflights.freeTo(index);
        } else if (kind === "reject") progress.maybeDecrease(index, index - 2);
        else if (kind === "lose") progress.becomeProbe();
        else if (kind === "snapshot") progress.becomeSnapshot(Math.max(index, progress.match));
        else if (kind === "commit") progress.sentCommit(Math.min(index, progress.next - 1));
        expect(progress.match).toBeGreaterThanOrEqual(match);
        expect(progress.next).toBeGreaterThan(progress.match);
        match = progress.match;
      }
    }),
  );
});
