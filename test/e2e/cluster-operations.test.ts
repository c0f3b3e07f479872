/** What an operator asks of the nodes of a cluster, on the compiled program: snapshots, draining, recovery. */
import { expect, test } from "bun:test";
import { Cluster, until } from "../support/cluster/cluster.ts";
import { fill, firstIndex } from "../support/cluster/cluster-steps.ts";

test("a snapshot is made when it is asked for, on any node, and the log of that node gets shorter", async () => {
  await using cluster = await Cluster.of(2);
  const leader = await cluster.leader();
  const [follower] = await cluster.followers();
  if (follower === undefined) throw new Error("there is no follower");
  await fill(leader, 1300);
  await cluster.level();
  const run = (...words: string[]) =>
    cluster.place.run(["cluster", "snapshot", ...words, "--server", leader.url]);

  const ofLeader = await run();
  const ofFollower = await run(String(follower.id), "--json");

  expect(ofLeader.code).toBe(0);
  expect(ofLeader.stdout).toMatch(
    new RegExp(`^node ${leader.id}: snapshot at entry 1,\\d+, \\S+ kB, in \\S+; the log begins`),
  );
  const shown = JSON.parse(ofFollower.stdout);
  expect(shown.node_id).toBe(String(follower.id));
  expect(shown.log_first).toBe(shown.index - 1000 + 1);
  for (const node of cluster.nodes) {
    await until("the entries are gone from the disk", async () => firstIndex(node) > 100);
  }
  await cluster.level();
}, 30_000);
