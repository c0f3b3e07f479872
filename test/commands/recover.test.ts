/** Cutting a cluster down to one node, whatever the membership in its log was. */
import { expect, test } from "bun:test";
import fc from "fast-check";
import type { AppendWork } from "../../src/base/log.ts";
import { inspect, openForRecovery, recover } from "../../src/commands/server/recover.ts";
import { foundCluster, openStorage, type Storage } from "../../src/commands/server/storage.ts";
import {
  type ConfChange,
  encodeConfChange,
  type NodeChange,
  parseNodeChanges,
} from "../../src/raft/conf-change.ts";
import { emptyData } from "../../src/raft/message.ts";
import { toLogEntry } from "../../src/replica/raft-log.ts";
import { openDataDir } from "../../src/store/data-dir.ts";
import { readNodeIdentity } from "../../src/store/node-identity.ts";
import { systemClock } from "../support/peer-node.ts";
import { memoryLogger } from "../support/system-ports.ts";
import { tempDir } from "../support/temp-dir.ts";

/** Node 1 founds a cluster, and its log has these changes of members after that. */
async function logged(path: string, changes: readonly ConfChange[]): Promise<void> {
  const sizes = { shards: 1, cachedJobsMax: 10, textIndex: false };
  const storage = await openStorage(openDataDir(path), sizes, memoryLogger());
  const identity = { clusterId: crypto.randomUUID(), nodeId: 1, shards: 1, recoveryEpoch: 0 };
  await foundCluster(storage, identity);
  const entries = changes.map((change, i) =>
    toLogEntry({
      term: 1,
      index: 2 + i,
      type: "EntryConfChangeV2",
      data: encodeConfChange(change),
    }),
  );
  await append(storage, {
    group: 0,
    entries,
    hardState: { term: 4, vote: "2", commit: 1 },
  });
  await storage.close();
}

function append({ log }: Storage, work: AppendWork): Promise<void> {
  return new Promise((resolve, reject) => {
    log.append(work, (fault) =>
      fault === undefined ? resolve() : reject(new Error(fault.message)),
    );
  });
}

function changesOf(text: string): NodeChange[] {
  const changes = parseNodeChanges(text);
  if (typeof changes === "string") throw new Error(changes);
  return changes;
}

const one = (text: string): ConfChange => ({
  transition: "auto",
  changes: changesOf(text),
  context: emptyData,
});

test.each([
  ["three voters", ["v2", "v3"], [2, 3]],
  ["learners", ["l2", "l3"], [2, 3]],
  ["a joint configuration", ["v2", "v3", "v4 r2 l3"], [2, 3, 4]],
  ["a node that votes no more", ["v2", "v3", "l1"], [2, 3]],
])("%s: only this node is left, and everything it had", async (_, texts, others) => {
  using dir = tempDir();
  await logged(dir.path, texts.map(one));
  const storage = await openForRecovery(dir.path, memoryLogger());
  const found = inspect(storage);

  const epoch = await recover(storage, found, systemClock);
  const after = inspect(storage);
  const { hardState } = storage.log.bounds(0);
  await storage.close();

  expect(found).toMatchObject({ others, lastIndex: 1 + texts.length, commitIndex: 1 });
  expect(after).toMatchObject({ voters: [1], others: [], lastTerm: 5 });
  // All of it is committed by decree.
  expect(hardState).toEqual({ term: 5, vote: "1", commit: after.lastIndex });
  expect([epoch, readNodeIdentity(dir.path)?.recoveryEpoch]).toEqual([1, 1]);
});

test("any sequence of members comes down to one", async () => {
  const change = fc.tuple(fc.constantFrom("v", "l", "r"), fc.integer({ min: 2, max: 6 }));
  await fc.assert(
    fc.asyncProperty(fc.array(change, { maxLength: 8 }), async (changes) => {
      using dir = tempDir();
      await logged(
        dir.path,
        changes.map(([kind, id]) => one(`${kind}${id}`)),
      );
      const storage = await openForRecovery(dir.path, memoryLogger());
      await recover(storage, inspect(storage), systemClock);
      const { voters, others } = inspect(storage);
      await storage.close();
      expect({ voters, others }).toEqual({ voters: [1], others: [] });
    }),
    { numRuns: 12 },
  );
}, 20_000);

test("a folder that is no node's is left alone", async () => {
  using dir = tempDir();
  const opening = openForRecovery(`${dir.path}/none`, memoryLogger());
  expect(opening).rejects.toThrow("is not the data directory of a node");
  await opening.catch(() => undefined);
});
