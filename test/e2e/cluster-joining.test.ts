/** A node whose join is cut off, at any point, goes on by the very line that it was started with. */
import { expect, test } from "bun:test";
import { Cluster, until } from "../support/cluster/cluster.ts";

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
