import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { unbounded } from "../../src/raft/message.ts";
import {
  jointCommitted,
  jointVote,
  majorityCommitted,
  majorityVote,
  sortedIds,
} from "../../src/raft/quorum.ts";

const voters = fc.uniqueArray(fc.integer({ min: 1, max: 9 }), { maxLength: 9 }).map(sortedIds);
const acks = fc
  .array(fc.tuple(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 0, max: 20 })))
  .map((pairs) => new Map(pairs));
const ballots = fc
  .array(fc.tuple(fc.integer({ min: 1, max: 9 }), fc.boolean()))
  .map((pairs) => new Map(pairs));

/** Counts, for every index there could be, who has it. */
function countedCommit(ids: readonly number[], acked: ReadonlyMap<number, number>): number {
  if (ids.length === 0) return unbounded;
  let highest = 0;
  for (let index = 1; index <= 20; index += 1) {
    const having = ids.filter((id) => (acked.get(id) ?? 0) >= index).length;
    if (having * 2 > ids.length) highest = index;
  }
  return highest;
}

describe("[E18 E19] the committed index", () => {
  test("is the highest that a counted majority has", () => {
    fc.assert(
      fc.property(voters, acks, (ids, acked) => {
        expect(majorityCommitted(ids, (id) => acked.get(id))).toBe(countedCommit(ids, acked));
      }),
      { numRuns: 3000 },
    );
  });

  test("of a joint configuration is on a majority of both halves, in either order", () => {
    fc.assert(
      fc.property(voters, voters, acks, (incoming, outgoing, acked) => {
        const lookUp = (id: number) => acked.get(id);
        const committed = jointCommitted({ incoming, outgoing }, lookUp);
        const both = Math.min(countedCommit(incoming, acked), countedCommit(outgoing, acked));
        expect(committed).toBe(both);
        expect(jointCommitted({ incoming: outgoing, outgoing: incoming }, lookUp)).toBe(both);
      }),
      { numRuns: 2000 },
    );
  });

  test("never falls while acknowledgements arrive in any order", () => {
    const updates = fc.array(fc.tuple(fc.nat({ max: 4 }), fc.nat({ max: 20 })), { maxLength: 60 });
    fc.assert(
      fc.property(voters, voters, updates, (incoming, outgoing, arrivals) => {
        const acked = new Map<number, number>();
        let last = 0;
        for (const [position, index] of arrivals) {
          const id = [...incoming, ...outgoing][position];
          if (id !== undefined) acked.set(id, Math.max(acked.get(id) ?? 0, index));
          const committed = jointCommitted({ incoming, outgoing }, (voter) => acked.get(voter));
          expect(committed).toBeGreaterThanOrEqual(last);
          last = committed;
        }
      }),
    );
  });
});

describe("a vote", () => {
  test("is won, lost or open exactly when the outstanding answers cannot change that", () => {
    fc.assert(
      fc.property(voters, ballots, (ids, votes) => {
        const granted = ids.filter((id) => votes.get(id) === true).length;
        const open = ids.filter((id) => !votes.has(id)).length;
        const isWon = granted * 2 > ids.length || ids.length === 0;
        const canWin = (granted + open) * 2 > ids.length || ids.length === 0;
        const outcome = majorityVote(ids, votes);
        expect(outcome === "VoteWon").toBe(isWon);
        expect(outcome === "VoteLost").toBe(!canWin);
      }),
      { numRuns: 2000 },
    );
  });

  test("in a joint configuration needs both halves", () => {
    fc.assert(
      fc.property(voters, voters, ballots, (incoming, outgoing, votes) => {
        const halves = [majorityVote(incoming, votes), majorityVote(outgoing, votes)];
        const outcome = jointVote({ incoming, outgoing }, votes);
        expect(outcome === "VoteWon").toBe(halves.every((half) => half === "VoteWon"));
        expect(outcome === "VoteLost").toBe(halves.includes("VoteLost"));
      }),
      { numRuns: 2000 },
    );
  });

  test("cannot be won by two candidates at once, and not without the committed entry", () => {
    fc.assert(
      fc.property(voters, voters, ballots, acks, (incoming, outgoing, votes, acked) => {
        fc.pre(incoming.length > 0);
        const joint = { incoming, outgoing };
        const others = new Map([...votes].map(([id, granted]) => [id, !granted]));
        const won = [jointVote(joint, votes), jointVote(joint, others)];
        expect(won.filter((outcome) => outcome === "VoteWon").length).toBeLessThan(2);
        const committed = jointCommitted(joint, (id) => acked.get(id));
        const lacking = new Map(
          [...incoming, ...outgoing].map((id) => [id, (acked.get(id) ?? 0) < committed]),
        );
        if (committed > 0) expect(jointVote(joint, lacking)).not.toBe("VoteWon");
      }),
      { numRuns: 2000 },
    );
  });
});
