/** What a node takes up on disk and in memory, and what is left. */
import { statfsSync, statSync } from "node:fs";
import type { NodeCondition } from "../../net/peer/condition.ts";
import type { Blobs } from "./blobs.ts";
import type { ShardStorage, Storage } from "./storage.ts";

export interface Sizes {
  readonly logBytes: number;
  readonly stateBytes: number;
  readonly memoryBytes: number;
}

/** Of one shard; the log and the memory are those of the whole node. */
export function sizesOf({ log, files }: Pick<ShardStorage, "log" | "files">): Sizes {
  const { bytes, walBytes } = log.size();
  return {
    logBytes: bytes + walBytes,
    stateBytes: statSync(files.statePath).size,
    memoryBytes: process.memoryUsage.rss(),
  };
}

/** How this node is, as it tells the others. */
export function conditionOf(
  { dir, shards }: Storage,
  drain: { readonly isOn: boolean },
  blobs: Blobs,
): NodeCondition {
  const { bavail, bsize } = statfsSync(dir.path);
  const sizes = shards.map(sizesOf);
  const stateBytes = sizes.reduce((sum, size) => sum + size.stateBytes, 0);
  return {
    diskFreeBytes: bavail * bsize,
    dataBytes: (sizes[0]?.logBytes ?? 0) + stateBytes + blobs.store.totalBytes,
    isDraining: drain.isOn,
    lacksBlobs: blobs.keeper.missing > 0,
  };
}
