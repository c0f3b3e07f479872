/**
 * Whatever happens to jobs that belong together, it makes no difference in the end which shards they are in, and how the messages between
 * those travel.
 */
import { expect, test } from "bun:test";
import fc from "fast-check";
import {
  carry,
  expectAgreement,
  expectReunion,
  expectSettled,
  shards,
  shardsHistory,
  travel,
} from "../support/shards-check.ts";
import { HistoryWorld, historyStep } from "../support/shards-history.ts";

test("[F50] [F51] [F52] [F53] [F54] [F55] in three shards the same becomes of jobs as in one", () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(historyStep, fc.array(travel, { maxLength: 6 })), {
        minLength: 10,
        maxLength: 40,
        size: "max",
      }),
      (history) => {
        const one = new HistoryWorld(1);
        const three = new HistoryWorld(shards);
        for (const [step, travels] of history) {
          const isDone = one.act(step);
          // What is refused is refused before it comes to the shards.
          three.act(step, !isDone);
          for (const move of travels) carry(three.rig, move);
          for (const world of [one, three]) {
            world.rig.settle();
            world.claimAll();
            world.rig.settle();
          }
          expect(three.view()).toEqual(one.view());
          expectSettled(three);
        }
      },
    ),
    { numRuns: 100, endOnFailure: true },
  );
}, 60_000);

test("[F55] when messages travel at their own pace all agree in the end, and nothing that follows runs twice", () => {
  fc.assert(fc.property(shardsHistory({ minLength: 20, maxLength: 60 }), expectAgreement), {
    numRuns: 150,
    endOnFailure: true,
  });
}, 60_000);

test("[F57] shards that are restored from copies of different moments agree again, and nothing waits for what was lost", () => {
  const moments = fc.array(fc.nat(60), { minLength: 3, maxLength: 3 });
  fc.assert(fc.property(shardsHistory({ minLength: 10, maxLength: 60 }), moments, expectReunion), {
    numRuns: 100,
    endOnFailure: true,
    seed: 57,
  });
}, 60_000);
