/**
 * Header by which one node of a cluster asks another for a single shard: the call is about nothing else, and is answered
 * only by the node that leads the shard.
 */
export const shardHeader = "x-corvo-group";
