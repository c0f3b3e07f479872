/** The files that each shard has for itself. Those of shard 0 keep the names that they had when there was only one. */
import { join } from "node:path";

export interface ShardFiles {
  readonly shard: number;
  /** The data directory, in which all of these are. */
  readonly directory: string;
  readonly statePath: string;
  /** Index of texts, made from the state. */
  readonly textPath: string;
  /** Folder in which snapshots are made. */
  readonly snapshotPath: string;
  /** Names of a received state that the next start puts in place, and of the note that says so. */
  readonly incoming: string;
  readonly note: string;
}

export function shardFiles(directory: string, shard: number): ShardFiles {
  const suffix = shard === 0 ? "" : `-${String(shard).padStart(3, "0")}`;
  return {
    shard,
    directory,
    statePath: join(directory, `state${suffix}.db`),
    textPath: join(directory, `text${suffix}.db`),
    snapshotPath: join(directory, `snapshots${suffix}`),
    incoming: `incoming${suffix}.db`,
    note: `incoming${suffix}.json`,
  };
}
