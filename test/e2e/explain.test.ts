/** `corvo explain` where there is nobody to ask but one node of a cluster that lost its majority. */
import { expect, test } from "bun:test";
import { Cluster, until } from "../support/cluster/cluster.ts";
import { enqueue } from "../support/cluster/cluster-steps.ts";

test("[EX5] a node that lost its majority explains what it has, and says that no leader is the reason", async () => {
  await using cluster = await Cluster.of(3);
  const leader = await cluster.leader();
  const [last, ...others] = await cluster.followers();
  if (last === undefined) throw new Error("there is no follower");
  const { job_id: id } = await enqueue(leader, 1);
  await cluster.level();
  for (const node of [leader, ...others]) await node.kill();
  const explain = (what: string) =>
    cluster.place.run(["explain", what, "--server", last.url, "--json"]);

  // Until its election time-out it still takes the dead node for the leader.
  const found = await until("the node has noticed", async () => {
    const answer = await explain(id);
    return answer.code === 0 ? answer : undefined;
  });
  const queue = await explain("q");

  expect(JSON.parse(found.stdout)).toMatchObject({
    state: "pending",
    stale: true,
    causes: [{ code: "no_leader" }],
    starts: { basis: "unknown" },
  });
  expect(JSON.parse(queue.stdout).summary).toStartWith("No job is handed out while the cluster");
}, 60_000);
