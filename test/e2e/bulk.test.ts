/** A bulk action in the background outlasts its leader, and every node. */
import { expect, test } from "bun:test";
import { Cluster, type ClusterNode, until } from "../support/cluster/cluster.ts";

interface View {
  readonly status: string;
  readonly processed: number;
  readonly affected: number;
  readonly skipped: number;
}

const count = 20_000;

/** Asks whoever leads; undefined while nobody does. */
async function viewOf(cluster: Cluster, id: string): Promise<View | undefined> {
  for (const node of cluster.running) {
    const answer = await node.request("GET", `/api/v1/bulk/${id}`).catch(() => undefined);
    if (answer?.status === 200) return answer.body as unknown as View;
  }
  return undefined;
}

async function begin(node: ClusterNode, body: object): Promise<string> {
  const asked = { async: true, ...body };
  const begun = await node.json<{ bulk_operation_id: string }>("POST", "/api/v1/jobs/bulk", asked);
  return begun.bulk_operation_id;
}

test("[BK3] an action on many jobs whose leader is killed again and again is done to each of them once", async () => {
  await using cluster = await Cluster.of(3);
  const first = await cluster.leader();
  const jobs = Array.from({ length: 1000 }, () => ({ queue: "many" }));
  for (let i = 0; i < count / 1000; i++) {
    await first.json("POST", "/api/v1/enqueue/batch", { jobs });
  }
  const id = await begin(first, { filter: { queue: "many" }, action: "hold", reason: "wait" });

  for (let kills = 0; kills < 2; kills++) {
    const leader = await cluster.leader();
    const before = (await viewOf(cluster, id))?.processed ?? 0;
    await until("it gets on", async () => {
      const view = await viewOf(cluster, id);
      return view !== undefined && (view.processed > before || view.status !== "running");
    });
    await leader.kill();
    await leader.start();
  }
  const ended = await until("it ends", async () => {
    const view = await viewOf(cluster, id);
    return view !== undefined && view.status !== "running" ? view : undefined;
  });

  expect(ended).toMatchObject({ status: "completed", processed: count, affected: count });
  const queue = await (await cluster.leader()).json<object>("GET", "/api/v1/queues/many");
  expect(queue).toMatchObject({ held: count, pending: 0 });

  // Any node tells the end.
  const [follower] = await cluster.followers();
  const events = await (await fetch(`${follower?.url}/api/v1/bulk/${id}/progress`)).text();
  expect(events).toStartWith("id: 1\nevent: bulk.async.completed\ndata: {");

  // All of them at once, in the middle of another one.
  const last = await begin(await cluster.leader(), { filter: { queue: "many" }, action: "delete" });
  await Promise.all(cluster.nodes.map((node) => node.kill()));
  await Promise.all(cluster.nodes.map((node) => node.start()));
  await until("it ends", async () => (await viewOf(cluster, last))?.status === "completed", 30_000);
  const gone = await (await cluster.leader()).json<object>("GET", "/api/v1/queues/many");
  expect(gone).toMatchObject({ enqueued: 0 });
}, 90_000);
