/** Jobs that belong together in three shards, on the compiled program, while those who lead the shards are killed. */
import { expect, test } from "bun:test";
import { Api, type Claimed } from "../features/api.ts";
import { testShards } from "../support/binary.ts";
import { Cluster, until } from "../support/cluster/cluster.ts";

const words = testShards() === undefined ? ["--shards", "3"] : [];
/** Each set of jobs has queues of its own: which shards they are in is up to their names. */
const sets = Array.from({ length: 12 }, (_, i) => `set${i}`);

interface Added {
  readonly batch_id: string;
  readonly job_ids: string[];
}

/** A batch over several queues, with a chain in it and a fan of dependencies; two jobs follow its end. */
function callOf(set: string): object {
  const queue = (name: string) => `${set}-${name}`;
  const step = (name: string) => ({ queue: queue(name) });
  return {
    idempotency_key: set,
    batch: { name: set, on_success: step("good"), on_complete: step("end") },
    jobs: [
      { queue: queue("a") },
      { queue: queue("b"), depends_on: ["$0"] },
      { queue: queue("c"), chain: { steps: [step("c"), step("a"), step("b")] } },
      { queue: queue("d"), depends_on: ["$1", "$2"], max_retries: 5 },
    ],
  };
}

/** Runs whatever is ready until told to stop. Acks may come twice: their answer may have got lost with a node. */
async function work(api: Api, state: { readonly isOver: boolean }): Promise<void> {
  const queues = sets.flatMap((set) => ["a", "b", "c", "d"].map((name) => `${set}-${name}`));
  while (!state.isOver) {
    const answer = await api.call("POST", "/api/v1/fetch/batch", {
      ...{ queues, count: 5, wait_ms: 200, lease_ms: 2000, worker_id: "w" },
    });
    for (const job of (answer.body["jobs"] ?? []) as Claimed[]) {
      const body = { lease_token: job.lease_token, result: { of: job.job_id } };
      await api.call("POST", `/api/v1/ack/${job.job_id}`, body);
    }
  }
}

async function checkSet(api: Api, set: string, added: Added): Promise<void> {
  const shown = await until(`${set} is over`, async () => {
    const batch = await api.json("GET", `/api/v1/batches/${added.batch_id}`);
    return batch["complete_job"] !== undefined && batch["success_job"] !== undefined && batch;
  });
  const counts = { total: 6, completed: 6, dead: 0, cancelled: 0 };
  expect(shown).toMatchObject({ state: "completed", pending: 0, ...counts });
  for (const name of ["good", "end"]) {
    const queue = await api.json("GET", `/api/v1/queues/${set}-${name}`);
    expect([set, name, queue["enqueued"]]).toEqual([set, name, 1]);
    const { payload } = await api.take(`${set}-${name}`);
    expect(payload).toEqual({ batch_id: added.batch_id, ...counts });
  }
  const jobs = await api.json("POST", "/api/v1/jobs/search", { batch_id: added.batch_id });
  expect([set, jobs["total"]]).toEqual([set, 6]);
}

async function story(cluster: Cluster, meanwhile: () => Promise<void>): Promise<void> {
  const api = new Api(
    cluster.place,
    cluster.nodes.map(({ url }) => url),
  );
  const state = { isOver: false };
  const worker = work(api, state);
  const added = new Map<string, Added>();
  const add = async (set: string) => {
    const body = await until(`${set} is added`, async () => {
      const answer = await api.call("POST", "/api/v1/enqueue/batch", callOf(set));
      // Some shards may have their part already: the same call adds the rest.
      return answer.status === 201 && answer.body;
    });
    added.set(set, body as unknown as Added);
  };
  for (const set of sets.slice(0, 6)) await add(set);
  const [rest] = await Promise.all([
    (async () => {
      for (const set of sets.slice(6)) await add(set);
    })(),
    meanwhile(),
  ]);
  expect(rest).toBeUndefined();
  for (const [set, one] of added) await checkSet(api, set, one);
  state.isOver = true;
  await worker;
}

test("[F50] [F51] [F52] [F55] a node that is killed and started again carries on what its shards told each other", async () => {
  await using cluster = await Cluster.of(1, { words });
  const [node] = cluster.nodes;
  if (node === undefined) throw new Error("there is a node");

  await story(cluster, async () => {
    await node.kill();
    await node.start();
  });
}, 60_000);

test("[F50] [F51] [F52] [F55] everything that follows runs once while the leaders of three nodes are killed", async () => {
  await using cluster = await Cluster.of(3, { words });

  await story(cluster, async () => {
    const node = await cluster.leader();
    await node.kill();
    await cluster.leader();
    await node.start();
    await cluster.settled(3);
    await (await cluster.leader()).kill();
  });
}, 90_000);

test("[F55] what belongs together across shards goes on in a cluster that is restored from a backup", async () => {
  await using cluster = await Cluster.of(1, { words });
  const [node] = cluster.nodes;
  if (node === undefined) throw new Error("there is a node");
  const api = new Api(cluster.place, [node.url]);
  const added: Added[] = [];
  for (const set of sets.slice(0, 4)) {
    const { body } = await api.call("POST", "/api/v1/enqueue/batch", callOf(set));
    added.push(body as unknown as Added);
  }
  // Each chain goes on to a queue that is, for some, in another shard.
  for (const set of sets.slice(0, 4)) await api.ack(await api.take(`${set}-c`));
  await until("all parts are counted", async () => {
    const shown = await api.json("GET", "/api/v1/batches?state=running");
    return (shown["batches"] as unknown[]).length === 4;
  });
  await api.cli("backup", "all.backup");
  await node.kill();

  await api.cli("restore", "all.backup", "--data-dir", "data");
  const server = await cluster.place.serve();
  const again = new Api(cluster.place, [server.url]);
  const state = { isOver: false };
  const worker = work(again, state);
  for (const [i, one] of added.entries()) await checkSet(again, sets[i] ?? "", one);
  state.isOver = true;
  await worker;
}, 60_000);

test("[F57] what belongs together across shards goes on when one node is all that is left", async () => {
  await using cluster = await Cluster.of(3, { words });
  const api = new Api(
    cluster.place,
    cluster.nodes.map(({ url }) => url),
  );
  const added: Added[] = [];
  for (const set of sets.slice(0, 4)) {
    const { body } = await api.call("POST", "/api/v1/enqueue/batch", callOf(set));
    added.push(body as unknown as Added);
  }
  await until("all parts are counted", async () => {
    const shown = await api.json("GET", "/api/v1/batches?state=running");
    return (shown["batches"] as unknown[]).length === 4;
  });
  const [, , kept] = cluster.nodes;
  if (kept === undefined) throw new Error("there are three nodes");
  const { cluster_id } = await kept.status();
  for (const name of ["a", "b", "c", "d"]) {
    await until("the node that is left has it all", async () => {
      const path = `/api/v1/queues/set3-${name}?consistency=stale`;
      return (await kept.json<{ pending: number }>("GET", path)).pending === 1;
    });
  }
  await Promise.all(cluster.nodes.map((node) => node.kill()));
  const flags = ["--unsafe", "--yes-i-lose-data", cluster_id];
  const { code } = await cluster.place.run(["recover", "--data-dir", kept.name, ...flags]);
  expect(code).toBe(0);
  await kept.start();

  const again = new Api(cluster.place, [kept.url]);
  const state = { isOver: false };
  const worker = work(again, state);
  for (const [i, one] of added.entries()) await checkSet(again, sets[i] ?? "", one);
  state.isOver = true;
  await worker;
}, 60_000);
