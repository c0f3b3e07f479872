/**
 * Random histories of real nodes under faults, a fixed number of seeds for each kind of group. A
 * failure names its seed, which reproduces it exactly.
 */
import { expect, test } from "bun:test";
import { type ClusterOptions, RandomCluster } from "./random-cluster.ts";

type Variant = Omit<ClusterOptions, "seed">;

const defaults = { preVote: true, checkQuorum: true, forwardProposals: true } as const;

const variants: Record<string, Variant> = {
  "three nodes with pre-vote and quorum checks": {
    voters: 3,
    spares: 0,
    membershipChanges: false,
    settings: defaults,
  },
  "five nodes without pre-vote, with small windows": {
    voters: 5,
    spares: 0,
    membershipChanges: false,
    settings: {
      ...defaults,
      preVote: false,
      checkQuorum: false,
      messageBytesMax: 20,
      applyingBytesMax: 30,
      inflightMessagesMax: 2,
    },
  },
  "a group that changes its members": {
    voters: 3,
    spares: 2,
    membershipChanges: true,
    settings: defaults,
  },
  "a changing group that keeps removed leaders": {
    voters: 3,
    spares: 3,
    membershipChanges: true,
    settings: { ...defaults, preVote: false, stepDownOnRemoval: false },
  },
  "three nodes with leases and equal clocks": {
    voters: 3,
    spares: 0,
    membershipChanges: false,
    lockstep: true,
    settings: { ...defaults, readMode: "lease" },
  },
  "a group of one that grows": {
    voters: 1,
    spares: 3,
    membershipChanges: true,
    settings: defaults,
  },
};

// A longer hunt: RAFT_SEEDS=2000 RAFT_FIRST_SEED=1000 bun test test/raft/random-cluster.test.ts
const { RAFT_SEEDS, RAFT_FIRST_SEED } = process.env;
const seeds = Number(RAFT_SEEDS ?? 40);
const firstSeed = Number(RAFT_FIRST_SEED ?? 1);
const steps = 8000;

for (const [name, variant] of Object.entries(variants)) {
  test(`[RE17] [RR11] [RR13] [RL2] [RM1] ${name}: safe under loss, reordering and crashes; heals`, () => {
    let committed = 0;
    let reads = 0;
    for (let seed = firstSeed; seed < firstSeed + seeds; seed += 1) {
      const cluster = new RandomCluster({ ...variant, seed });
      try {
        for (let part = 0; part < 5; part += 1) {
          cluster.run(steps / 5);
          cluster.checkLogs();
        }
        cluster.heal();
        cluster.checkLogs();
      } catch (error) {
        const reason = error instanceof Error ? error.stack : String(error);
        throw new Error(`seed ${seed} of "${name}": ${reason}`, { cause: error });
      }
      committed += cluster.committedMax;
      reads += cluster.reads;
    }
    // A run in which nothing happens proves nothing.
    expect(committed / seeds).toBeGreaterThan(20);
    expect(reads).toBeGreaterThan(0);
  }, 30_000);
}
