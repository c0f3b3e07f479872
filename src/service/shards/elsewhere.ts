/** Why a job cannot go to a queue of another shard. */
export function elsewhere(queue: string, shard: number): string {
  return `queue "${queue}" is in shard ${shard}, and a job cannot leave the shard that its id names`;
}
