/** May a node vote, as far as the blobs of jobs go? */
import { expect, test } from "bun:test";
import { BlobReadiness } from "../../src/commands/server/blob-readiness.ts";
import type { NodeCondition } from "../../src/net/peer/condition.ts";
import { ManualTime } from "../support/node-rig.ts";

/** The leader's copies of two shards, and what node 2 last said of itself. */
class Rig {
  readonly time = new ManualTime();
  readonly one = { appliedIndex: 10, usesBlobs: false };
  readonly two = { appliedIndex: 20, usesBlobs: true };
  said: Pick<NodeCondition, "lacksBlobs" | "appliedIndexes"> | undefined;
  readonly readiness: BlobReadiness;

  constructor() {
    const conditionOf = () =>
      this.said === undefined
        ? undefined
        : { diskFreeBytes: 1, dataBytes: 1, isDraining: false, clockMs: 0, ...this.said };
    this.readiness = new BlobReadiness([this.one, this.two], { conditionOf }, this.time);
  }

  get lacks(): boolean {
    return this.readiness.lacksBlobs(2);
  }
}

test("without blobs there is nothing to wait for", () => {
  const rig = new Rig();
  rig.two.usesBlobs = false;
  expect(rig.lacks).toBe(false);
});

test("a node that has said nothing yet lacks them", () => {
  expect(new Rig().lacks).toBe(true);
});

test("what it said of an older state of any shard does not count, of this one it does", () => {
  const rig = new Rig();
  rig.said = { lacksBlobs: false, appliedIndexes: [10, 19] };
  expect(rig.lacks).toBe(true);
  rig.said = { lacksBlobs: true, appliedIndexes: [10, 20] };
  expect(rig.lacks).toBe(true);
  // The log goes on meanwhile; those blobs are on a majority without it.
  rig.two.appliedIndex = 25;
  rig.said = { lacksBlobs: false, appliedIndexes: [10, 20] };
  expect(rig.lacks).toBe(false);
});

test("an answer that comes late is about too old a state", () => {
  const rig = new Rig();
  expect(rig.lacks).toBe(true);
  rig.said = { lacksBlobs: true, appliedIndexes: [10, 20] };
  expect(rig.lacks).toBe(true);
  rig.time.spend(6000);
  rig.two.appliedIndex = 90;
  rig.said = { lacksBlobs: false, appliedIndexes: [10, 20] };
  expect(rig.lacks).toBe(true);
  rig.said = { lacksBlobs: false, appliedIndexes: [10, 90] };
  expect(rig.lacks).toBe(false);
});

test("an older version is believed, since it cannot say more", () => {
  const rig = new Rig();
  rig.said = { lacksBlobs: true, appliedIndexes: undefined };
  expect(rig.lacks).toBe(true);
  rig.said = { lacksBlobs: false, appliedIndexes: undefined };
  expect(rig.lacks).toBe(false);
});
