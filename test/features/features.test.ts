/** Every promised feature on one node, and on three of which the leader is killed in the middle. */
import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { testShards } from "../support/binary.ts";
import { Cluster } from "../support/cluster/cluster.ts";
import { Api } from "./api.ts";
import { chapters } from "./chapters.ts";
import type { Feature } from "./feature.ts";
import { describeFeatures } from "./page.ts";

/** Stories receive what the servers send on this machine. */
const options = { words: ["--webhook-allow", "127.0.0.1"] };

const features = chapters.flatMap((chapter) => chapter.features);

/** Stories that act, and what they found out; one failing story does not hide the others. */
async function act(api: Api, failures: string[]): Promise<[Feature, () => Promise<void>][]> {
  const acted: [Feature, () => Promise<void>][] = [];
  await inGroups(features, async (feature) => {
    try {
      acted.push([feature, await feature.story(api, stemOf(feature.id))]);
    } catch (error) {
      failures.push(`${feature.id}: ${error}`);
    }
  });
  return acted;
}

async function verify(
  acted: readonly [Feature, () => Promise<void>][],
  failures: string[],
): Promise<void> {
  await inGroups(acted, async ([feature, check]) => {
    try {
      await check();
    } catch (error) {
      failures.push(`${feature.id}, afterwards: ${error}`);
    }
  });
}

/** Stories wait for time to pass more than they work, so several run at once. */
async function inGroups<T>(items: readonly T[], run: (item: T) => Promise<void>): Promise<void> {
  const left = [...items];
  const one = async () => {
    for (let item = left.shift(); item !== undefined; item = left.shift()) await run(item);
  };
  await Promise.all(Array.from({ length: 12 }, one));
}

/**
 * With several shards a story keeps its queues in one, since some are about what holds jobs together. The names of schedules
 * are made of the same stem, and take no braces.
 */
function stemOf(id: string): string {
  return testShards() === undefined || id.startsWith("schedule") ? `f-${id}` : `{f-${id}}`;
}

test("every feature of the list works on one node", async () => {
  await using cluster = await Cluster.of(1, options);
  const failures: string[] = [];
  const api = new Api(cluster.place, [cluster.nodes[0]?.url ?? ""]);

  await verify(await act(api, failures), failures);

  expect(failures).toEqual([]);
}, 120_000);

test("every feature of the list works on three nodes, across the death of the leader", async () => {
  await using cluster = await Cluster.of(3, options);
  const failures: string[] = [];
  const api = new Api(
    cluster.place,
    cluster.nodes.map((node) => node.url),
  );

  const acted = await act(api, failures);
  await (await cluster.leader()).kill();
  await verify(acted, failures);

  expect(failures).toEqual([]);
}, 180_000);

test("the page of features says what these stories prove, and each has a name of its own", () => {
  const page = new URL("../../docs/reference/features.md", import.meta.url);

  expect(readFileSync(page, "utf8")).toBe(describeFeatures(chapters));
  expect(new Set(features.map(({ id }) => id)).size).toBe(features.length);
});
