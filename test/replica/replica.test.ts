/** What is stored while an entry is between consensus, which has counted it, and the engine, which has it not yet. */
import { expect, test } from "bun:test";
import { encodeBatch } from "../../src/engine/change.ts";
import { newestFeatureLevel } from "../../src/engine/feature-levels.ts";
import { MemoryState } from "../../src/engine/memory-state.ts";
import { emptyConfState } from "../../src/raft/message.ts";
import type { AppliedPoint, Consensus } from "../../src/replica/ports.ts";
import { Replica } from "../../src/replica/replica.ts";
import { ManualTime } from "../support/node-rig.ts";
import { memoryLogger } from "../support/system-ports.ts";

test("what is stored while the next batch is proposed ends before the entry that is not applied yet", async () => {
  const time = new ManualTime();
  const state = new MemoryState();
  state.meta.featureLevel = newestFeatureLevel;
  const stored: { readonly point: AppliedPoint; readonly jobs: number }[] = [];
  const replica = new Replica({
    clock: time,
    timers: time,
    random: { uint32: () => 1 },
    logger: memoryLogger(),
    store: {
      state,
      stored: { index: 0, conf: emptyConfState },
      dirtyCount: 1,
      checkpoint: async (point) => void stored.push({ point, jobs: state.jobs.size }),
    },
    onStored: () => {},
    onFatal: (reason) => {
      throw new Error(reason);
    },
    onEffects: () => {},
  });
  // As the core does when a member needs a snapshot: it is asked for while entries are sent.
  const consensus: Consensus & { appliedIndex: number } = {
    isReady: true,
    appliedIndex: 0,
    readBarrier: () => Promise.resolve(),
    propose: () => {
      void replica.storeState();
      return { kind: "appended", term: 1, first: 3, last: 3, refused: undefined };
    },
  };
  replica.attach(consensus);
  const change = { kind: "enqueue", jobs: [{ queue: "q", payload: "1" }] } as const;
  const data = new TextEncoder().encode(encodeBatch({ nowMs: 1, seed: 1, changes: [change] }, 1));
  const conf = { ...emptyConfState, voters: [1] };

  consensus.appliedIndex = 1;
  replica.applyConf(conf, 1);
  replica.propose(change, 64, () => {});
  consensus.appliedIndex = 2;
  replica.applyEntry({ term: 1, index: 2, type: "EntryNormal", data });
  await replica.storeState();

  expect(stored).toEqual([
    { point: { index: 1, conf }, jobs: 0 },
    { point: { index: 2, conf }, jobs: 1 },
  ]);
});

test("who waits for a state that cannot be stored is told that, and that it may be another time", async () => {
  const { replica } = replicaWith({
    checkpoint: () => Promise.reject(new Error("database or disk is full")),
  });

  const refused = await replica.storeState().catch((error: unknown) => error);

  expect(refused).toMatchObject({
    code: "READ_ONLY",
    message: "the state cannot be stored: database or disk is full",
    retryAfterMs: 1000,
  });
});

test("a log that cannot be shortened is told of, and the state counts as stored", async () => {
  const { replica, logger } = replicaWith({
    onStored: () => {
      throw new Error("damaged");
    },
  });

  await replica.storeState();

  expect(replica.checkpointedIndex).toBe(1);
  expect(logger.lines).toEqual(["what the state holds could not be taken out of the log"]);
});

/** One whose membership was applied, and nothing was stored of it. */
function replicaWith({
  checkpoint = () => Promise.resolve(),
  onStored = () => {},
}: {
  readonly checkpoint?: () => Promise<void>;
  readonly onStored?: () => void;
}) {
  const time = new ManualTime();
  const logger = memoryLogger();
  const replica = new Replica({
    clock: time,
    timers: time,
    random: { uint32: () => 1 },
    logger,
    store: {
      state: new MemoryState(),
      stored: { index: 0, conf: emptyConfState },
      dirtyCount: 1,
      checkpoint,
    },
    onStored,
    onFatal: () => {},
    onEffects: () => {},
  });
  replica.applyConf(emptyConfState, 1);
  return { replica, logger };
}
