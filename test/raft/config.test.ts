import { expect, test } from "bun:test";
import { type RaftOptions, resolveConfig } from "../../src/raft/config.ts";
import { MemoryLog } from "../../src/raft/memory-log.ts";
import { SeededRandom } from "../support/seeded-random.ts";

const least: RaftOptions = { id: 1, storage: new MemoryLog(), random: new SeededRandom(1) };

test("[RE1] [RE7] [RM12] pre-vote, quorum check and stepping down when removed are on unless switched off", () => {
  expect(resolveConfig(least)).toMatchObject({
    checkQuorum: true,
    preVote: true,
    stepDownOnRemoval: true,
    validateConfChanges: true,
    readMode: "safe",
  });
});

for (const name of [
  "applyingBytesMax",
  "uncommittedBytesMax",
  "inflightMessagesMax",
  "inflightBytesMax",
  "pendingReadsMax",
] as const) {
  test(`a bound that lets nothing through is refused: ${name}`, () => {
    const bounds = { ...least, messageBytesMax: 0, applyingBytesMax: 1 };

    expect(resolveConfig({ ...bounds, [name]: 1 })[name]).toBe(1);
    for (const value of [0, -1, 1.5, Number.NaN]) {
      expect(() => resolveConfig({ ...bounds, [name]: value })).toThrow(
        `raft settings: ${name} is ${value}; use a whole number from 1`,
      );
    }
  });
}

test("[RL4] settings that contradict each other are refused", () => {
  expect(() => resolveConfig({ ...least, readMode: "lease", checkQuorum: false })).toThrow(
    "turn checkQuorum on",
  );
  expect(() => resolveConfig({ ...least, electionTicks: 2, heartbeatTicks: 2 })).toThrow(
    "electionTicks is 2; use more than heartbeatTicks (2)",
  );
  expect(() => resolveConfig({ ...least, messageBytesMax: 1000, inflightBytesMax: 999 })).toThrow(
    "inflightBytesMax is 999; use at least messageBytesMax (1000)",
  );
});
