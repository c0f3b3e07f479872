/** Runs stories: all of them act, then all are checked, several at a time. */
import { expect } from "bun:test";
import type { Cluster } from "../support/cluster/cluster.ts";
import { Api } from "./api.ts";
import type { Feature } from "./feature.ts";

interface Run {
  readonly features: readonly Feature[];
  /** What the names of the queues of a story begin with. */
  readonly stemOf: (id: string) => string;
  /** Between acting and checking. */
  readonly meanwhile: () => Promise<unknown>;
}

/** Fails with every story that does; one does not hide the others. */
export async function tell(cluster: Cluster, run: Run): Promise<void> {
  const failures: string[] = [];
  const urls = cluster.nodes.map((node) => node.url);
  const api = new Api(cluster.place, urls);
  const acted: [Feature, () => Promise<void>][] = [];
  await inGroups(run.features, async (feature) => {
    try {
      acted.push([feature, await feature.story(api, run.stemOf(feature.id))]);
    } catch (error) {
      failures.push(`${feature.id}: ${error}`);
    }
  });
  await run.meanwhile();
  await inGroups(acted, async ([feature, check]) => {
    try {
      await check();
    } catch (error) {
      failures.push(`${feature.id}, afterwards: ${error}`);
    }
  });
  expect(failures).toEqual([]);
}

/** Stories wait for time to pass more than they work, so several run at once. */
async function inGroups<T>(items: readonly T[], run: (item: T) => Promise<void>): Promise<void> {
  const left = [...items];
  const one = async () => {
    for (let item = left.shift(); item !== undefined; item = left.shift()) await run(item);
  };
  await Promise.all(Array.from({ length: 12 }, one));
}
