/** Life-cycle events of real clusters: whoever follows them misses nothing and hears nothing twice, whoever dies. */
import { expect, test } from "bun:test";
import type { Event } from "../../src/api/events.ts";
import { testShards } from "../support/binary.ts";
import { Cluster, type ClusterNode, until } from "../support/cluster/cluster.ts";

interface Page {
  readonly events: readonly Event[];
  readonly cursor: string;
  readonly has_more: boolean;
}
interface Claimed {
  readonly job_id: string;
  readonly lease_token: string;
}

/** `corvo events --follow`, which knows all nodes. */
function follow(cluster: Cluster, ...words: string[]) {
  const env = { CORVO_SERVER: cluster.nodes.map(({ url }) => url).join(",") };
  const child = cluster.place.start(["events", "--follow", "--json", ...words], { env });
  const events: (Event & { id?: string })[] = [];
  const collect = async () => {
    let text = "";
    const decoder = new TextDecoder();
    for await (const chunk of child.stdout) {
      text += decoder.decode(chunk, { stream: true });
      const lines = text.split("\n");
      text = lines.pop() ?? "";
      events.push(...lines.map((line) => JSON.parse(line) as Event));
    }
  };
  collect().catch(() => {});
  return { events, stop: () => child.kill("SIGKILL") };
}

async function everything(node: ClusterNode): Promise<readonly Event[]> {
  const events: Event[] = [];
  for (let after = "0", more = true; more; ) {
    const path = `/api/v1/cluster/events?limit=40&after_seq=${after}`;
    const page: Page = await node.json("GET", path);
    events.push(...page.events);
    after = page.cursor;
    more = page.has_more;
  }
  return events;
}

/** Jobs that are run, made again on the next leader while there is none. */
async function work(cluster: Cluster, queue: string, count: number): Promise<string[]> {
  const ids: string[] = [];
  for (let i = 0; i < count; i++) {
    ids.push(
      await until("a job is taken", async () => {
        const { body, status } = await (await cluster.leader()).request("POST", "/api/v1/enqueue", {
          queue,
          idempotency_key: `${queue} ${i}`,
        });
        return status < 300 && String(body["job_id"]);
      }),
    );
    await until("a job is done", async () => {
      const leader = await cluster.leader();
      const body = { queues: [queue], wait_ms: 200, worker_id: "w" };
      const job = (await leader.request("POST", "/api/v1/fetch", body)).body as Partial<Claimed>;
      if (job.job_id === undefined) return false;
      const { lease_token } = job;
      const acked = await leader.request("POST", `/api/v1/ack/${job.job_id}`, { lease_token });
      return acked.status === 200;
    });
  }
  return ids;
}

/** Numbers of a shard, in the order in which they came. */
function numbersOf(events: readonly Event[], shard: number): number[] {
  return events.filter((event) => (event.shard ?? 0) === shard).map(({ seq }) => seq);
}

test.each([1, 3])(
  "[EV2] [EV5] who follows the events of %p shards over the death of leaders hears each once, and all nodes tell the same",
  async (shards) => {
    const words = shards === 1 || testShards() !== undefined ? [] : ["--shards", String(shards)];
    await using cluster = await Cluster.of(3, { words });
    const reader = follow(cluster, "--after", "0");
    const filtered = follow(cluster, "--last", "0", "--type", "completed", "--queue", "late");

    await work(cluster, "early", 5);
    const first = await cluster.leader();
    await first.kill();
    await until("another one leads", async () => (await cluster.findLeader()) !== undefined);
    const ids = await work(cluster, "late", 5);
    await first.start();
    await cluster.settled(3);
    await (await cluster.leader()).kill();
    ids.push(...(await work(cluster, "later", 3)));

    const [one, other] = cluster.running;
    if (one === undefined || other === undefined) throw new Error("two nodes run");
    const told = await everything(one);
    await until("the reader has everything", async () => reader.events.length >= told.length);
    await until("the other node has, too", async () => {
      return (await everything(other)).length >= told.length;
    });
    const inShards = (events: readonly Event[]) =>
      Array.from({ length: testShards() ?? shards }, (_, shard) =>
        events.filter((event) => (event.shard ?? 0) === shard),
      );
    expect(inShards(await everything(other))).toEqual(inShards(told));
    const heard = reader.events.map(({ id: _, ...event }) => event);
    expect(inShards(heard as Event[])).toEqual(inShards(told));
    for (let shard = 0; shard < (testShards() ?? shards); shard++) {
      const numbers = numbersOf(told, shard);
      expect(numbers).toEqual(numbers.map((_, i) => i + 1));
    }
    const types = told.filter(({ job_id }) => job_id === ids.at(-1)).map(({ type }) => type);
    expect(types.at(0)).toBe("enqueued");
    expect(types.at(-1)).toBe("completed");
    const done = filtered.events.map(({ type, queue }) => `${type} ${queue}`);
    expect(done).toEqual(Array(5).fill("completed late"));
    reader.stop();
    filtered.stop();
  },
  60_000,
);

test("[EV4] the events of a node that is killed are there when it comes back, under the same numbers", async () => {
  await using cluster = await Cluster.of(1);
  const [node] = cluster.nodes;
  if (node === undefined) throw new Error("there is a node");
  const [id] = await work(cluster, "q", 3);
  const before = await everything(node);
  await node.kill();
  await node.start();
  await cluster.leader();

  expect(await everything(node)).toEqual(before);
  const log = await node.json<{ events: Event[]; complete: boolean }>(
    "GET",
    `/api/v1/jobs/${id}/events`,
  );
  expect(log.complete).toBe(true);
  expect(log.events.map(({ type }) => type)).toEqual(["enqueued", "started", "completed"]);
  const shown = await cluster.place.run(["jobs", "log", id ?? "", "--server", node.url]);
  expect(shown.stdout).toMatch(
    /^\S+Z {2}enqueued\n\S+Z {2}started {12}attempt 1 {2}\{"worker_id":"w"\}\n\S+Z {2}completed {10}attempt 1\n$/,
  );
  const gone = await node.request("GET", "/api/v1/cluster/events?after_seq=0&types=dead");
  expect(gone.body).toMatchObject({ events: [], has_more: false });
}, 30_000);
