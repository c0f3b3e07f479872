/** What a node takes up on disk and in memory, and what is left. */
import { statfsSync, statSync } from "node:fs";
import type { NodeCondition } from "../../net/peer/condition.ts";
import { systemClock } from "../_shared/system.ts";
import type { Blobs } from "./blobs.ts";
import type { ShardCore } from "./shard.ts";
import type { ShardStorage, Storage } from "./storage.ts";

export interface Sizes {
  readonly logBytes: number;
  readonly stateBytes: number;
  readonly memoryBytes: number;
  readonly texts: { readonly bytes: number; readonly throughSeq: number } | undefined;
}

/** Of one shard; the log and the memory are those of the whole node. */
export function sizesOf({
  log,
  files,
  texts,
}: Pick<ShardStorage, "log" | "files" | "texts">): Sizes {
  const { bytes, walBytes } = log.size();
  return {
    logBytes: bytes + walBytes,
    stateBytes: bytesOf(files.statePath),
    memoryBytes: process.memoryUsage.rss(),
    texts:
      texts === undefined
        ? undefined
        : { bytes: bytesOf(files.textPath), throughSeq: texts.throughSeq ?? 0 },
  };
}

/** Of a database with what waits in its write-ahead log. A thread may be making the files anew at this moment. */
function bytesOf(path: string): number {
  const sizes = [path, `${path}-wal`].map((one) => statSync(one, { throwIfNoEntry: false })?.size);
  return sizes.reduce<number>((sum, size) => sum + (size ?? 0), 0);
}

/** How this node is, as it tells the others. */
export function conditionOf(
  { dir, shards }: Storage,
  cores: readonly ShardCore[],
  { drain, blobs }: { readonly drain: { readonly isOn: boolean }; readonly blobs: Blobs },
): NodeCondition {
  const { bavail, bsize } = statfsSync(dir.path);
  const sizes = shards.map(sizesOf);
  const stateBytes = sizes.reduce(
    (sum, size) => sum + size.stateBytes + (size.texts?.bytes ?? 0),
    0,
  );
  return {
    diskFreeBytes: bavail * bsize,
    dataBytes: (sizes[0]?.logBytes ?? 0) + stateBytes + blobs.store.totalBytes,
    isDraining: drain.isOn,
    lacksBlobs: blobs.lacksAny(),
    appliedIndexes: cores.map(({ replica }) => replica.appliedIndex),
    clockMs: systemClock.nowMs(),
  };
}
