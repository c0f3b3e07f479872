/** What is promised of jobs that belong together, on servers with three shards: each story has queues in all of them. */
import { test } from "bun:test";
import { shardOfQueue } from "../../src/base/placement.ts";
import { testShards } from "../support/binary.ts";
import { Cluster } from "../support/cluster/cluster.ts";
import { flow } from "./flow.ts";
import { tell } from "./stories.ts";

const { features } = flow;

/** A stem whose queues are in several shards. */
function stemOf(id: string): string {
  for (let i = 0; ; i++) {
    const stem = `f${i}-${id}`;
    const places = ["", "-later", "-end", "-good"].map((name) => shardOfQueue(stem + name, 3));
    if (new Set(places).size === 3 && places[0] !== places[1]) return stem;
  }
}

const words = testShards() === undefined ? ["--shards", "3"] : [];

test("[F50] [F51] [F52] [F53] what is promised of flow holds across the shards of a node", async () => {
  await using cluster = await Cluster.of(1, { words });

  await tell(cluster, { features, stemOf, meanwhile: async () => {} });
}, 60_000);

test("[F50] [F51] [F52] [F53] [F55] it holds across the shards of three nodes, when one of the leaders is killed", async () => {
  await using cluster = await Cluster.of(3, { words });

  await tell(cluster, { features, stemOf, meanwhile: async () => (await cluster.leader()).kill() });
}, 90_000);
