/** Clusters with three shards, as processes of their own: every node takes every call, and any of them may go. */
import { expect, test } from "bun:test";
import { shardOfQueue } from "../../src/base/placement.ts";
import { testShards } from "../support/binary.ts";
import { Cluster, type ClusterNode, until } from "../support/cluster/cluster.ts";

const shards = 3;
const words = testShards() === undefined ? ["--shards", String(shards)] : [];

/** Three queues, one in each shard. */
const queues = [0, 1, 2].map((shard) => {
  for (let i = 0; ; i++) if (shardOfQueue(`q${i}`, shards) === shard) return `q${i}`;
});

interface Claimed {
  readonly job_id: string;
  readonly queue: string;
  readonly attempt: number;
  readonly lease_token: string;
}
interface Shown {
  readonly shards: { readonly shard: number; readonly leader_id: string }[];
}

async function leaders(node: ClusterNode): Promise<string[]> {
  const status = (await node.status()) as unknown as Shown;
  return status.shards.map(({ leader_id }) => leader_id);
}

/** Every node knows a leader for each shard that is not this one. */
const allLed = (cluster: Cluster, gone = "") =>
  until("every shard has a leader", async () => {
    const all = (await Promise.all(cluster.running.map(leaders))).flat();
    return all.every((id) => id !== "" && id !== gone);
  });

const enqueue = (node: ClusterNode, queue: string) =>
  until(`a job for ${queue}`, () =>
    node.json<{ job_id: string }>("POST", "/api/v1/enqueue", { queue }),
  );

async function drain(node: ClusterNode, count: number): Promise<Claimed[]> {
  const jobs: Claimed[] = [];
  await until("all jobs are claimed", async () => {
    const body = { queues, count, wait_ms: 200 };
    const batch = await node.json<{ jobs: Claimed[] }>("POST", "/api/v1/fetch/batch", body);
    jobs.push(...batch.jobs);
    return jobs.length >= count;
  });
  return jobs;
}

test("three nodes vote in every shard, and any takes calls for all of them while one after the other dies", async () => {
  await using cluster = await Cluster.of(3, { words });
  // The founder led all of them; each node is to lead one.
  await until("the leaders are spread", async () => {
    const [first] = cluster.running;
    return first !== undefined && new Set(await leaders(first)).size === shards;
  });
  await allLed(cluster);
  const added: string[] = [];
  for (const node of cluster.running) {
    for (const queue of queues) added.push((await enqueue(node, queue)).job_id);
  }

  const victim = await cluster.leader();
  await victim.kill();
  await allLed(cluster, String(victim.id));
  for (const node of cluster.running) {
    for (const queue of queues) added.push((await enqueue(node, queue)).job_id);
  }
  await victim.start();
  await cluster.settled(3);
  const [node, other] = await cluster.followers();
  if (node === undefined || other === undefined) throw new Error("there are no two followers");

  const jobs = await drain(node, added.length);
  const acks = jobs.map(({ job_id, lease_token }) => ({ job_id, lease_token }));
  const acked = await other.json<{ acked: number }>("POST", "/api/v1/ack/batch", { acks });

  expect(jobs.map(({ job_id }) => job_id).toSorted()).toEqual(added.toSorted());
  expect(acked.acked).toBe(added.length);
  const search = { state: ["completed"], limit: 100 };
  const found = await other.json<{ jobs: { id: string }[]; total: number }>(
    "POST",
    "/api/v1/jobs/search",
    search,
  );
  expect(found.total).toBe(added.length);
}, 60_000);

test("a call that waits at a node which leads nothing is answered by whichever shard has a job first", async () => {
  await using cluster = await Cluster.of(2, { words });
  const [first, second] = cluster.nodes;
  if (first === undefined || second === undefined) throw new Error("there are no two nodes");

  for (const queue of queues) {
    const waiting = second.json<Claimed>("POST", "/api/v1/fetch", { queues, wait_ms: 8000 });
    const { job_id } = await enqueue(first, queue);
    const job = await waiting;
    expect(job).toMatchObject({ job_id, attempt: 1 });
    await second.json("POST", `/api/v1/ack/${job_id}`, { lease_token: job.lease_token });
  }
  // Waits that were left over when their call was answered give back what they bring.
  const late = await Promise.all(queues.map((queue) => enqueue(first, queue)));
  const jobs = await drain(second, shards);
  expect(jobs.map(({ job_id }) => job_id).toSorted()).toEqual(
    late.map(({ job_id }) => job_id).toSorted(),
  );
  expect(jobs.map(({ attempt }) => attempt)).toEqual([1, 1, 1]);
}, 60_000);

test("a node is removed from every shard, and another takes its place with the state of all", async () => {
  await using cluster = await Cluster.of(3, { words: [...words, "--log-tail", "20"] });
  const [gone] = await cluster.followers();
  if (gone === undefined) throw new Error("there is no follower");
  const leader = await cluster.leader();
  for (let i = 0; i < 60; i++) await enqueue(leader, queues[i % shards] ?? "");

  await until("the node is removed", async () => {
    const path = "/api/v1/cluster/remove";
    const answer = await (await cluster.leader()).request("POST", path, { node: String(gone.id) });
    if (answer.status === 200) return true;
    throw new Error(answer.text);
  });
  await gone.kill();
  cluster.nodes.splice(cluster.nodes.indexOf(gone), 1);
  await (await cluster.add()).start();
  await cluster.settled(3);
  await allLed(cluster);

  const line = await cluster.place.run(["cluster", "status", "--server", leader.url]);
  expect(line.stdout).toContain("LEADS");
  expect(await drain(leader, 60)).toHaveLength(60);
}, 60_000);
