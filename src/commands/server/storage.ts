/** Opens what a node keeps on disk, and joins the log with the stored state: the first half of a start. */
import { join } from "node:path";
import type { Log } from "../../base/log.ts";
import type { Logger } from "../../base/ports.ts";
import type { CommitLog } from "../../replica/ports.ts";
import type { Replica } from "../../replica/replica.ts";
import { type DataDir, openDataDir } from "../../store/data-dir.ts";
import { StateStore } from "../../store/state-store.ts";
import { openLog } from "../../store/worker-log.ts";

export interface Storage {
  readonly dir: DataDir;
  readonly statePath: string;
  readonly log: Log;
  readonly store: StateStore;
  close(): Promise<void>;
}

export interface StorageOptions {
  readonly dataDir: string;
  readonly cachedJobsMax: number;
}

/** One group until a node hosts several. */
const group = 0;
const replayBytes = 8 * 1024 * 1024;

export async function openStorage(options: StorageOptions, logger: Logger): Promise<Storage> {
  const dir = openDataDir(options.dataDir);
  const statePath = join(dir.path, "state.db");
  try {
    const store = await StateStore.open(statePath, { cachedJobsMax: options.cachedJobsMax });
    try {
      const log = await openLog(dir.path, {
        storeId: dir.storeId,
        minimumLast: new Map([[group, store.storedIndex]]),
        onNote: (note) => logger.warn(note),
      });
      const close = async () => {
        await store.close();
        await log.close();
        dir.close();
      };
      return { dir, statePath, log, store, close };
    } catch (error) {
      await store.close();
      throw error;
    }
  } catch (error) {
    dir.close();
    throw error;
  }
}

/** The local log as the committed sequence: what is durable here is committed, since this node is its whole group. */
export function createCommitLog(log: Log): CommitLog {
  const encoder = new TextEncoder();
  return {
    append(index, text, done) {
      const entry = { index, term: 1, kind: 0, data: encoder.encode(text) };
      log.append({ group, entries: [entry] }, (fault) =>
        done(
          fault === undefined
            ? undefined
            : { kind: fault.kind === "io" ? "io" : "disk_full", message: fault.message },
        ),
      );
    },
    compact: (throughIndex) => log.compact(group, throughIndex),
  };
}

/** Applies what the log holds beyond the stored state. Returns how many entries that were. */
export function replayLog(storage: Storage, replica: Replica): number {
  const decoder = new TextDecoder();
  const { log, store } = storage;
  const { first, last } = log.bounds(group);
  if (first > store.storedIndex + 1) {
    throw new Error(
      `the log begins at entry ${first}, but the stored state ends at ${store.storedIndex}: ${storage.statePath} is missing or older than its log; restore both from one backup`,
    );
  }
  let next = store.storedIndex + 1;
  while (next <= last) {
    for (const entry of log.read(group, next, replayBytes)) {
      replica.replay(entry.index, decoder.decode(entry.data));
      next = entry.index + 1;
    }
  }
  return Math.max(0, last - store.storedIndex);
}
