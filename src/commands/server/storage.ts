/** Opens what a node keeps on disk: the first half of a start. */
import { join } from "node:path";
import type { AppendWork, Log } from "../../base/log.ts";
import type { Logger } from "../../base/ports.ts";
import { encodeConfChange } from "../../raft/conf-change.ts";
import { emptyData } from "../../raft/message.ts";
import { toLogEntry } from "../../replica/raft-log.ts";
import { type DataDir, openDataDir } from "../../store/data-dir.ts";
import { type NodeIdentity, writeNodeIdentity } from "../../store/node-identity.ts";
import { alignLog, openSnapshotFolder, placeIncoming } from "../../store/snapshots.ts";
import { StateStore } from "../../store/state-store.ts";
import { openLog } from "../../store/worker-log.ts";

export interface Storage {
  readonly dir: DataDir;
  readonly statePath: string;
  /** Folder in which snapshots are made and received. */
  readonly snapshotPath: string;
  readonly log: Log;
  readonly store: StateStore;
  close(): Promise<void>;
}

export interface StorageOptions {
  readonly dataDir: string;
  readonly cachedJobsMax: number;
}

/** One group until a node hosts several. */
export const mainGroup = 0;

export async function openStorage(options: StorageOptions, logger: Logger): Promise<Storage> {
  const dir = openDataDir(options.dataDir);
  const statePath = join(dir.path, "state.db");
  try {
    const received = placeIncoming(dir.path, statePath);
    const store = await StateStore.open(statePath, {
      cachedJobsMax: options.cachedJobsMax,
      onNote: (note) => logger.warn(note),
    });
    try {
      const log = await openLog(dir.path, {
        storeId: dir.storeId,
        // A snapshot that is just being installed is ahead of the log by intent.
        minimumLast: new Map(received === undefined ? [[mainGroup, store.stored.index]] : []),
        onNote: (note) => logger.warn(note),
      });
      const close = async () => {
        await store.close();
        await log.close();
        dir.close();
      };
      if (received !== undefined) await alignLog(dir.path, log, mainGroup, received);
      // A crash, or a snapshot of a later level, may have left it lower than what is kept.
      dir.raiseFormat(store.state.meta.featureLevel);
      const snapshotPath = openSnapshotFolder(dir.path);
      const storage = { dir, statePath, snapshotPath, log, store, close };
      checkAlignment(storage);
      return storage;
    } catch (error) {
      await store.close();
      throw error;
    }
  } catch (error) {
    dir.close();
    throw error;
  }
}

/** The state must reach the beginning of the log: what is between them would be lost without a word. */
function checkAlignment({ log, store, statePath }: Storage): void {
  const { first } = log.bounds(mainGroup);
  if (first <= store.stored.index + 1) return;
  throw new Error(
    `the log begins at entry ${first}, but the stored state ends at ${store.stored.index}: ${statePath} is missing or older than its log; restore both from one backup`,
  );
}

/** What an identity says of the voters that are waited for. */
export function expecting(expect: number | undefined): { expect?: number } {
  return expect === undefined ? {} : { expect };
}

/** Makes this node the founder of a cluster of one. */
export async function foundCluster(storage: Storage, expect?: number): Promise<NodeIdentity> {
  const identity = {
    clusterId: crypto.randomUUID(),
    nodeId: 1,
    recoveryEpoch: 0,
    ...expecting(expect),
  };
  await appendFirst(storage.log, identity.nodeId);
  writeNodeIdentity(storage.dir.path, identity);
  return identity;
}

/**
 * The first entry of a cluster makes its founder the only voter. It is committed by decree: there is nobody else. A crash
 * before the identity is written leaves an entry that the next start finds and uses.
 */
async function appendFirst(log: Log, nodeId: number): Promise<void> {
  if (log.bounds(mainGroup).last > 0) return;
  const change = encodeConfChange({
    transition: "auto",
    changes: [{ kind: "addVoter", id: nodeId }],
    context: emptyData,
  });
  const entry = { term: 1, index: 1, type: "EntryConfChangeV2", data: change } as const;
  const work: AppendWork = {
    group: mainGroup,
    entries: [toLogEntry(entry)],
    hardState: { term: 1, vote: "0", commit: 1 },
  };
  await new Promise<void>((resolve, reject) => {
    log.append(work, (fault) =>
      fault === undefined ? resolve() : reject(new Error(fault.message)),
    );
  });
}
