/** Opens what a node keeps on disk: one log for all shards, and a state for each. */
import type { AppendWork, Log } from "../../base/log.ts";
import type { Logger } from "../../base/ports.ts";
import { encodeConfChange } from "../../raft/conf-change.ts";
import { emptyData } from "../../raft/message.ts";
import { toLogEntry } from "../../replica/raft-log.ts";
import { type DataDir, DataDirError } from "../../store/data-dir.ts";
import { defaultEventRetention, type EventRetention } from "../../store/event-rows.ts";
import { logPaths } from "../../store/log-files.ts";
import { logLimits } from "../../store/log-format.ts";
import { type NodeIdentity, writeNodeIdentity } from "../../store/node-identity.ts";
import { makeRoomToOpen, noRoomMessage } from "../../store/reserve.ts";
import { type ShardFiles, shardFiles } from "../../store/shard-files.ts";
import { alignLog, openSnapshotFolder, placeIncoming } from "../../store/snapshots.ts";
import { StateStore } from "../../store/state-store.ts";
import { removeTextIndex } from "../../store/text-files.ts";
import { TextIndex } from "../../store/text-index.ts";
import { openLog } from "../../store/worker-log.ts";

/** The first format whose programs know that there may be several. */
const shardsLevel = 2;

export interface ShardStorage {
  /** Number of the shard, which is also that of its consensus group in the log and between nodes. */
  readonly shard: number;
  readonly dir: DataDir;
  readonly files: ShardFiles;
  readonly log: Log;
  readonly store: StateStore;
  /** What follows these entries is still to be read, and stays in the log. */
  readonly pins: Set<{ readonly afterIndex: number }>;
  /** Undefined when there is to be none. */
  readonly texts: TextIndex | undefined;
}

export interface Storage {
  readonly dir: DataDir;
  readonly log: Log;
  readonly shards: readonly ShardStorage[];
  close(): Promise<void>;
}

export interface StorageOptions {
  readonly shards: number;
  readonly cachedJobsMax: number;
  /** Keep an index of texts. Undefined: yes. */
  readonly textIndex?: boolean | undefined;
  readonly events?: EventRetention;
}

interface OpenedState {
  readonly files: ShardFiles;
  readonly store: StateStore;
  readonly texts: TextIndex | undefined;
  /** A snapshot that an earlier run received and this start put in place. */
  readonly received: { readonly index: number; readonly term: number } | undefined;
}

/** `dir` is closed with what this gives; when it fails the caller closes it. */
export async function openStorage(
  dir: DataDir,
  options: StorageOptions,
  logger: Logger,
): Promise<Storage> {
  const opened: OpenedState[] = [];
  try {
    await openStates(dir, options, { opened, logger });
    const log = await openLog(dir.path, {
      storeId: dir.storeId,
      // A snapshot that is just being installed is ahead of the log by intent.
      minimumLast: new Map(
        opened.flatMap(({ files, store, received }) =>
          received === undefined ? [[files.shard, store.stored.index] as const] : [],
        ),
      ),
      onNote: (note) => logger.warn(note),
    });
    for (const { files, received } of opened) {
      if (received !== undefined) await alignLog(files, log, received);
    }
    // A crash, or a snapshot of a later level, may have left it lower than what is kept.
    const levels = opened.map(({ store }) => store.state.meta.featureLevel);
    dir.raiseFormat(Math.max(options.shards > 1 ? shardsLevel : 1, ...levels));
    const shards = opened.map(({ files, store, texts }) => ({
      shard: files.shard,
      dir,
      files,
      log,
      store,
      pins: new Set<{ readonly afterIndex: number }>(),
      texts,
    }));
    for (const shard of shards) checkAlignment(shard);
    const close = async () => {
      for (const shard of shards) await closeState(shard);
      await log.close();
      dir.close();
    };
    return { dir, log, shards, close };
  } catch (error) {
    for (const one of opened) await closeState(one);
    throw error;
  }
}

async function openStates(
  { path }: DataDir,
  options: StorageOptions,
  { opened, logger }: { readonly opened: OpenedState[]; readonly logger: Logger },
): Promise<void> {
  const hasRoom = makeRoomToOpen({
    path: logPaths(path).reserve,
    bytes: logLimits.reserveBytes,
  });
  try {
    for (let shard = 0; shard < options.shards; shard++) {
      opened.push(await openState(shardFiles(path, shard), options, logger));
    }
  } catch (error) {
    // SQLite says "disk I/O error" of a file that finds no room.
    throw hasRoom ? error : new Error(noRoomMessage(path), { cause: error });
  }
}

async function openState(
  files: ShardFiles,
  { cachedJobsMax, shards, textIndex = true, events = defaultEventRetention }: StorageOptions,
  logger: Logger,
): Promise<OpenedState> {
  const received = placeIncoming(files);
  openSnapshotFolder(files.snapshotPath);
  let texts: TextIndex | undefined;
  const store = await StateStore.open(files.statePath, {
    cachedJobsMax: Math.ceil(cachedJobsMax / shards),
    listTextChanges: textIndex,
    onNote: (note) => logger.warn(note),
    onStored: (rows) => texts?.advanced(rows),
    events: {
      eventsMax: Math.ceil(events.eventsMax / shards),
      bytesMax: Math.ceil(events.bytesMax / shards),
      keepMs: events.keepMs,
    },
  });
  if (textIndex) {
    texts = new TextIndex({
      path: files.textPath,
      statePath: files.statePath,
      onTakenIn: (change) => {
        store.state.textTakenIn = change;
      },
      onNote: (note) => logger.warn(note),
    });
  } else {
    // Changes are not listed without an index, so a later one could not go on from it.
    removeTextIndex(files.textPath);
  }
  return { files, store, texts, received };
}

async function closeState({ store, texts }: Pick<OpenedState, "store" | "texts">): Promise<void> {
  await texts?.close();
  await store.close();
}

/** The state must reach the beginning of the log: what is between them would be lost without a word. */
function checkAlignment({ shard, log, store, files }: ShardStorage): void {
  const { first } = log.bounds(shard);
  if (first <= store.stored.index + 1) return;
  throw new Error(
    `the log begins at entry ${first}, but the stored state ends at ${store.stored.index}: ${files.statePath} is missing or older than its log; restore both from one backup`,
  );
}

/** Makes this node the founder of a cluster of one. */
export async function foundCluster(storage: Storage, identity: NodeIdentity): Promise<void> {
  const { last } = storage.log.bounds(0);
  // The jobs of one shard cannot be told apart by queue later.
  if (last > 1 && identity.shards > 1) {
    throw new DataDirError(
      "unreadable",
      `The data directory ${storage.dir.path} holds jobs in one shard, and ${identity.shards} shards were asked for. Choose an empty directory, or leave out --shards.`,
    );
  }
  for (const { shard } of storage.shards) await appendFirst(storage.log, shard, identity.nodeId);
  writeNodeIdentity(storage.dir.path, identity);
}

/**
 * The first entry of a shard makes the founder its only voter. It is committed by decree: there is nobody else. A crash
 * before the identity is written leaves an entry that the next start finds and uses.
 */
async function appendFirst(log: Log, group: number, nodeId: number): Promise<void> {
  if (log.bounds(group).last > 0) return;
  const change = encodeConfChange({
    transition: "auto",
    changes: [{ kind: "addVoter", id: nodeId }],
    context: emptyData,
  });
  const entry = { term: 1, index: 1, type: "EntryConfChangeV2", data: change } as const;
  const work: AppendWork = {
    group,
    entries: [toLogEntry(entry)],
    hardState: { term: 1, vote: "0", commit: 1 },
  };
  await new Promise<void>((resolve, reject) => {
    log.append(work, (fault) =>
      fault === undefined ? resolve() : reject(new Error(fault.message)),
    );
  });
}
