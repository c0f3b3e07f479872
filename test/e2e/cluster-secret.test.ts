/** The secret of a cluster is changed while it serves. */
import { expect, test } from "bun:test";
import { Cluster, until } from "../support/cluster/cluster.ts";

const old = "the secret of the first year";
const next = "the secret of the second year";

test("a cluster goes over to another secret node by node, and then takes the old one no more", async () => {
  await using cluster = await Cluster.create();
  for (let n = 0; n < 3; n++) {
    await (await cluster.add({ env: { CORVO_CLUSTER_SECRET: old } })).start();
  }
  await cluster.settled(3);
  const stages = [
    { CORVO_CLUSTER_SECRET: old, CORVO_CLUSTER_SECRET_ALSO: next },
    { CORVO_CLUSTER_SECRET: next, CORVO_CLUSTER_SECRET_ALSO: old },
    { CORVO_CLUSTER_SECRET: next },
  ];

  for (const env of stages) {
    for (const node of cluster.nodes) {
      await node.stop();
      node.setEnv(env);
      await node.start();
      await cluster.settled(3);
      const job = { queue: "emails", unique_key: `${stages.indexOf(env)} ${node.name}` };
      await until(
        `${node.name} has a job added`,
        async () => (await node.request("POST", "/api/v1/enqueue", job)).status < 300,
      );
    }
  }
  const [first] = cluster.nodes;
  const late = await cluster.add();
  const refused = await cluster.place.run(late.words, { env: { CORVO_CLUSTER_SECRET: old } });
  cluster.nodes.pop();

  expect(await first?.json<object>("GET", "/api/v1/queues/emails")).toMatchObject({ pending: 9 });
  expect(refused.code).not.toBe(0);
  expect(refused.stderr).toContain("has another cluster secret");
}, 90_000);

test("a second secret without a first one is a mistake", async () => {
  await using cluster = await Cluster.create();

  const run = await cluster.place.run(["server", "--also-accept-secret", next]);

  expect(run.code).toBe(2);
  expect(run.stderr).toContain("this node has no first one");
}, 30_000);
