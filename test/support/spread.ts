/** Names of queues by the shard that they are in. */
import { shardOfQueue } from "../../src/base/placement.ts";

/** A name in this shard that begins so. */
export function nameIn(shard: number, shards: number, stem: string): string {
  for (let i = 0; ; i++) if (shardOfQueue(`${stem}-${i}`, shards) === shard) return `${stem}-${i}`;
}

/** One in each of two shards. */
export function spreadOverTwo(stem: string): [string, string] {
  return [nameIn(0, 2, stem), nameIn(1, 2, stem)];
}

/** One in each of three. */
export function spreadOverThree(stem: string): [string, string, string] {
  return [nameIn(0, 3, stem), nameIn(1, 3, stem), nameIn(2, 3, stem)];
}
