/** Where a state stands among the shards of its cluster. Neither number ever changes, and all replicas of a state have the same. */
import { parseJobId, shardOfId } from "../base/ids.ts";
import { shardOfQueue } from "../base/placement.ts";

export interface Place {
  readonly shard: number;
  readonly shards: number;
}

/** The one shard that there is. */
export const onlyPlace: Place = { shard: 0, shards: 1 };

/** The other shard that an id names; undefined when it is of this one, or of none. */
export function elsewhere(place: Place, id: string | undefined): number | undefined {
  if (place.shards === 1 || id === undefined) return undefined;
  const shard = shardOfId(id);
  return shard === undefined || shard === place.shard || shard >= place.shards ? undefined : shard;
}

/** The other shard that the id of a job names; undefined for that of anything else, which nobody can wait for. */
export function jobElsewhere(place: Place, id: string): number | undefined {
  return parseJobId(id) === undefined ? undefined : elsewhere(place, id);
}

/** The other shard that a queue is in; undefined when it is in this one. */
export function queueElsewhere(place: Place, queue: string): number | undefined {
  if (place.shards === 1) return undefined;
  const shard = shardOfQueue(queue, place.shards);
  return shard === place.shard ? undefined : shard;
}
