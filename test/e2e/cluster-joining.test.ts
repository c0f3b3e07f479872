/** A node whose join is cut off, at any point, goes on by the very line that it was started with. */
import { expect, test } from "bun:test";
import { Cluster, freePort, until } from "../support/cluster/cluster.ts";

test.each([1, 3])(
  "a node that is killed after it joined, before it got the state, becomes a voter all the same (%p shards)",
  async (shards) => {
    await using cluster = await Cluster.of(1, {
      words: ["--log-tail", "50", "--shards", String(shards)],
    });
    const [first] = cluster.nodes;
    if (first === undefined) throw new Error("there is no node");
    const jobs = Array.from({ length: 100 }, (_, n) => ({ queue: `q${n}` }));
    await first.json("POST", "/api/v1/enqueue/batch", { jobs });
    const joiner = await cluster.add();

    joiner.spawn();
    await until("it has joined", async () => joiner.said.includes("a learner for now"));
    await joiner.kill();
    await joiner.start();

    await until("it votes", async () =>
      (await first.status()).nodes.some(({ id, voter }) => voter && Number(id) !== first.id),
    );
    expect(await joiner.json<object>("GET", "/api/v1/queues/q7")).toMatchObject({ pending: 1 });
  },
  30_000,
);

test("a node that others cannot call is told so, by name of the address, and so is whoever asks how the cluster is", async () => {
  await using cluster = await Cluster.of(1);
  const [first] = cluster.nodes;
  if (first === undefined) throw new Error("there is no node");
  const nowhere = `127.0.0.1:${await freePort()}`;
  const joiner = await cluster.add({ words: ["--peer-advertise", nowhere] });

  joiner.spawn();
  await until("it says so", async () =>
    joiner.said.includes(
      `${first.url} leads the cluster and does not reach this node at ${nowhere}: Failed to connect`,
    ),
  );

  const status = await first.status();
  expect(status.summary).toContain(
    `runs, but cannot be reached at ${nowhere} (Failed to connect). Look at what lies between`,
  );
  expect(status.nodes.find(({ address }) => address === nowhere)).toMatchObject({
    state: "unreachable",
    failure: "Failed to connect",
  });
}, 30_000);
