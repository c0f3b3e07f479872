/** May a node vote, as far as the blobs of jobs go? */
import { expect, test } from "bun:test";
import { BlobReadiness } from "../../src/commands/server/blob-readiness.ts";
import type { ShardCore } from "../../src/commands/server/shard.ts";
import type { NodeCondition } from "../../src/net/peer/condition.ts";
import { ManualTime } from "../support/node-rig.ts";

/** The leader's copies of two shards, and what node 2 last said of itself. */
class Rig {
  readonly time = new ManualTime();
  readonly applied = [10, 20];
  readonly blobs = [new Set<string>(), new Set(["hash"])];
  said: Pick<NodeCondition, "lacksBlobs" | "appliedIndexes"> | undefined;
  readonly readiness: BlobReadiness;

  constructor() {
    const cores = this.applied.map((_, shard) => this.#core(shard));
    const conditionOf = () =>
      this.said === undefined
        ? undefined
        : { diskFreeBytes: 1, dataBytes: 1, isDraining: false, clockMs: 0, ...this.said };
    this.readiness = new BlobReadiness(cores, conditionOf, this.time);
  }

  get lacks(): boolean {
    return this.readiness.lacksBlobs(2);
  }

  #core(shard: number): Pick<ShardCore, "replica"> {
    const { applied, blobs } = this;
    const records = () => ({ entries: () => blobs[shard]?.entries() ?? [] });
    const replica = {
      get appliedIndex() {
        return applied[shard];
      },
      engine: { state: { records } },
    };
    return { replica } as unknown as Pick<ShardCore, "replica">;
  }
}

test("without blobs there is nothing to wait for", () => {
  const rig = new Rig();
  for (const hashes of rig.blobs) hashes.clear();
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
  rig.applied[1] = 25;
  rig.said = { lacksBlobs: false, appliedIndexes: [10, 20] };
  expect(rig.lacks).toBe(false);
});

test("an answer that comes late is about too old a state", () => {
  const rig = new Rig();
  expect(rig.lacks).toBe(true);
  rig.said = { lacksBlobs: true, appliedIndexes: [10, 20] };
  expect(rig.lacks).toBe(true);
  rig.time.spend(6000);
  rig.applied[1] = 90;
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
