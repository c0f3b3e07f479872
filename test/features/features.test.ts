/** Every promised feature on one node, and on three of which the leader is killed in the middle. */
import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { testShards } from "../support/binary.ts";
import { Cluster } from "../support/cluster/cluster.ts";
import { chapters } from "./chapters.ts";
import { describeFeatures } from "./page.ts";
import { tell } from "./stories.ts";

/** Stories receive what the servers send on this machine. */
const options = { words: ["--webhook-allow", "127.0.0.1"] };

const features = chapters.flatMap((chapter) => chapter.features);

/**
 * With several shards a story keeps its queues in one, since some are about what holds jobs together; those about flow are told
 * across shards as well (`flow-across-shards.test.ts`). The names of schedules are made of the same stem, and take no braces.
 */
function stemOf(id: string): string {
  return testShards() === undefined || id.startsWith("schedule") ? `f-${id}` : `{f-${id}}`;
}

test("every feature of the list works on one node", async () => {
  await using cluster = await Cluster.of(1, options);

  await tell(cluster, { features, stemOf, meanwhile: async () => {} });
}, 120_000);

test("every feature of the list works on three nodes, across the death of the leader", async () => {
  await using cluster = await Cluster.of(3, options);

  await tell(cluster, { features, stemOf, meanwhile: async () => (await cluster.leader()).kill() });
}, 180_000);

test("the page of features says what these stories prove, and each has a name of its own", () => {
  const page = new URL("../../docs/reference/features.md", import.meta.url);

  expect(readFileSync(page, "utf8")).toBe(describeFeatures(chapters));
  expect(new Set(features.map(({ id }) => id)).size).toBe(features.length);
});
