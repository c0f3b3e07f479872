/** What a node takes up on disk and in memory, and what is left. */
import { statfsSync, statSync } from "node:fs";
import type { NodeCondition } from "../../net/peer/condition.ts";
import type { Storage } from "./storage.ts";

export interface Sizes {
  readonly logBytes: number;
  readonly stateBytes: number;
  readonly memoryBytes: number;
}

export function sizesOf(storage: Storage): Sizes {
  const { bytes, walBytes } = storage.log.size();
  return {
    logBytes: bytes + walBytes,
    stateBytes: statSync(storage.statePath).size,
    memoryBytes: process.memoryUsage.rss(),
  };
}

/** How this node is, as it tells the others. */
export function conditionOf(storage: Storage, drain: { readonly isOn: boolean }): NodeCondition {
  const { bavail, bsize } = statfsSync(storage.dir.path);
  const { logBytes, stateBytes } = sizesOf(storage);
  return {
    diskFreeBytes: bavail * bsize,
    dataBytes: logBytes + stateBytes,
    isDraining: drain.isOn,
  };
}
