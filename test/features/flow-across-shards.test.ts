/** What is promised of jobs that belong together, on servers with three shards: the queues of a story are wherever their names put them. */
import { test } from "bun:test";
import { testShards } from "../support/binary.ts";
import { Cluster } from "../support/cluster/cluster.ts";
import { flow } from "./flow.ts";
import { tell } from "./stories.ts";

const { features } = flow;
const stemOf = (id: string) => `f-${id}`;
const words = testShards() === undefined ? ["--shards", "3"] : [];

test("[F50] [F51] [F52] [F53] what is promised of flow holds across the shards of a node", async () => {
  await using cluster = await Cluster.of(1, { words });

  await tell(cluster, { features, stemOf, meanwhile: async () => {} });
}, 60_000);

test("[F50] [F51] [F52] [F53] [F55] it holds across the shards of three nodes, when one of the leaders is killed", async () => {
  await using cluster = await Cluster.of(3, { words });

  await tell(cluster, { features, stemOf, meanwhile: async () => (await cluster.leader()).kill() });
}, 90_000);
