/**
 * Which shard a queue belongs to. This is part of the format of data on disk: a queue whose shard came out differently
 * would leave its jobs behind, so neither the hash nor what is hashed may ever change.
 *
 * The shard is the 32-bit FNV-1a hash of the name, mixed once more so that names which differ in their last character
 * spread, modulo the number of shards. Of a name with a non-empty part in braces only the first such part is hashed:
 * `{order}:mail` and `{order}:bill` are in one shard.
 */

/** Shards of one cluster at most. Job ids have room for 4096; each shard costs a node some five megabytes and two threads. */
export const shardsMax = 64;

export function shardOfQueue(queue: string, shards: number): number {
  if (shards === 1) return 0;
  const from = queue.indexOf("{") + 1;
  const to = from === 0 ? -1 : queue.indexOf("}", from);
  return to > from ? hash(queue, from, to) % shards : hash(queue, 0, queue.length) % shards;
}

function hash(text: string, from: number, to: number): number {
  let value = 0x811c9dc5;
  for (let i = from; i < to; i++) value = Math.imul(value ^ text.charCodeAt(i), 0x01000193);
  value = Math.imul(value ^ (value >>> 16), 0x85ebca6b);
  value = Math.imul(value ^ (value >>> 13), 0xc2b2ae35);
  return (value ^ (value >>> 16)) >>> 0;
}
