/** Webhooks, results, calls from outside and subscriptions of a node with three shards. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { shardOfId } from "../../src/base/ids.ts";
import { shardOfQueue } from "../../src/base/placement.ts";
import { parseAllowRule } from "../../src/net/outbound/address.ts";
import { until } from "../support/cluster/cluster.ts";
import { type LiveServer, liveServer } from "../support/live-server.ts";
import { Receiver } from "../support/receiver.ts";

const shards = 3;
/** One queue in each shard. */
const queues = Array.from({ length: shards }, (_, shard) => {
  let i = 0;
  while (shardOfQueue(`q${i}`, shards) !== shard) i++;
  return `q${i}`;
});

interface Delivery {
  readonly id: string;
  readonly state: string;
  readonly job_id: string;
}
interface Deliveries {
  readonly deliveries: readonly Delivery[];
  readonly total: number;
  readonly has_more: boolean;
  readonly cursor?: string;
}
type Shown = Record<string, unknown>;

let server: LiveServer;
let receiver: Receiver;
beforeAll(async () => {
  const loopback = parseAllowRule("127.0.0.1");
  server = await liveServer({ shards, webhookAllow: loopback === undefined ? [] : [loopback] });
  receiver = new Receiver();
});
afterAll(async () => {
  receiver[Symbol.dispose]();
  await server.stop();
});

const shown = (id: string) => server.get<Shown>(`/webhooks/${id}`);

test("a webhook is one thing over all shards: made, counted, listed, paused, sent again and deleted", async () => {
  const made = await server.post<Shown>("/webhooks", {
    ...{ id: "w", url: `${receiver.url}/w`, events: ["enqueued"], queues },
  });
  expect(made).toEqual({ status: "ok", id: "w", secret: expect.stringMatching(/^whsec_/) });
  const ids: string[] = [];
  for (const queue of queues) {
    ids.push((await server.post<{ job_id: string }>("/enqueue", { queue, payload: 1 })).job_id);
  }

  await until("all arrived", async () => (await shown("w"))["delivered"] === shards);
  expect(await server.get<Shown[]>("/webhooks")).toHaveLength(1);
  expect(new Set(receiver.calls.map(({ body }) => body.event.job_id))).toEqual(new Set(ids));
  const first = await server.get<Deliveries>("/webhooks/w/deliveries?limit=2");
  expect(first).toMatchObject({ total: shards, has_more: true });
  const rest = await server.get<Deliveries>(
    `/webhooks/w/deliveries?limit=2&cursor=${first.cursor}`,
  );
  const all = [...first.deliveries, ...rest.deliveries];
  expect(all.map(({ job_id }) => job_id).sort()).toEqual([...ids].sort());
  expect(new Set(all.map(({ id }) => shardOfId(id)))).toEqual(new Set([0, 1, 2]));

  for (const { id } of all) {
    const count = receiver.calls.length;
    await server.post(`/webhooks/w/deliveries/${id}/redeliver`);
    await receiver.until("once more", (calls) => calls.length > count);
    expect(receiver.calls.at(-1)?.headers["webhook-id"]).toBe(id);
  }
  await server.post("/webhooks/w/pause");
  for (const queue of queues) await server.post("/enqueue", { queue, payload: 1 });
  expect(await shown("w")).toMatchObject({ paused: true, waiting: shards });
  await server.post("/webhooks/w/enable");
  await until("what waited arrived", async () => (await shown("w"))["waiting"] === 0);
  expect((await server.call("DELETE", "/api/v1/webhooks/w")).status).toBe(200);
  expect((await server.call("GET", "/api/v1/webhooks/w")).status).toBe(404);
});

test("results of jobs of all shards are listed together, and the status adds up", async () => {
  for (const queue of queues) {
    const callback_url = `${receiver.url}/result`;
    const { job_id } = await server.post<{ job_id: string }>("/enqueue", { queue, callback_url });
    await server.post(`/jobs/${job_id}/cancel`);
  }

  const results = () => receiver.calls.filter(({ path }) => path === "/result");
  await receiver.until("three results", () => results().length === shards);
  const list = await until("all are written down", async () => {
    const page = await server.get<Deliveries>("/webhooks/callbacks/deliveries?state=delivered");
    return page.total === shards ? page : undefined;
  });
  expect(new Set(list.deliveries.map(({ id }) => shardOfId(id)))).toEqual(new Set([0, 1, 2]));
  const { deliveries } = await server.get<{ deliveries: Shown }>("/status");
  expect(deliveries).toMatchObject({ waiting: 0, failed: 0, missed: 0 });
  expect(deliveries["delivered"]).toBeGreaterThanOrEqual(shards);
});

test("what is expected of calls from outside stands with its queue, and all of it in one list", async () => {
  for (const queue of queues) {
    await server.call("PUT", `/api/v1/webhooks/incoming/${queue}`, {
      ...{ scheme: "none", id_header: "x-id", tag_headers: ["x-kind"] },
    });
    const send = () =>
      server.call("POST", `/api/v1/webhooks/${queue}?priority=high`, "plain text", {
        headers: { "x-id": "1", "x-kind": "k" },
      });
    const [one, two] = [await send(), await send()];
    expect(one.status).toBe(201);
    expect(two.body).toEqual(one.body);
    const { job_id } = one.body as { job_id: string };
    expect(await server.get<Shown>(`/jobs/${job_id}`)).toMatchObject({
      ...{ queue, payload: "plain text", priority: 1, tags: { "x-kind": "k" } },
    });
  }
  const list = await server.get<{ queues: { queue: string }[] }>("/webhooks/incoming");
  expect(list.queues.map(({ queue }) => queue)).toEqual([...queues].sort());
});

test("a subscription tells of queues in every shard, and ends in all of them", async () => {
  const fresh = queues.map((queue) => `{${queue}}:s`);
  await server.post("/subscriptions", {
    ...{ id: "s", url: `${receiver.url}/wake`, queues: fresh, min_interval: "100ms" },
  });
  for (const queue of fresh) await server.post("/enqueue", { queue, payload: 1 });

  const told = () =>
    new Set(
      receiver.calls
        .filter(({ path }) => path === "/wake")
        .map(({ text }) => JSON.parse(text).queue as string),
    );
  await receiver.until("all are told of", () => told().size === shards);
  expect(told()).toEqual(new Set(fresh));
  const { subscriptions } = await server.get<{ subscriptions: Shown[] }>("/subscriptions");
  expect(subscriptions).toMatchObject([{ id: "s", mode: "fanout" }]);
  await server.post("/subscriptions/s/renew", { ttl: "1h" });
  expect((await server.call("DELETE", "/api/v1/subscriptions/s")).status).toBe(200);
  expect((await server.call("DELETE", "/api/v1/subscriptions/s")).status).toBe(404);
});
