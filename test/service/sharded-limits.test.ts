/** Limits and explanations on a node with three shards. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { type Claimed, type LiveServer, liveServer } from "../support/live-server.ts";
import { spreadOverThree as spread } from "../support/spread.ts";

const shards = 3;

let server: LiveServer;
beforeAll(async () => {
  server = await liveServer({ shards });
});
afterAll(() => server.stop());

const add = (queue: string, extra: object = {}) =>
  server.post<{ job_id: string }>("/enqueue", { queue, payload: 1, ...extra });

test("a resource limits jobs of its own shard, and those of others cannot name it", async () => {
  const [here = "", there = ""] = spread("gpu");
  await server.call("PUT", `/api/v1/limits/resources/${encodeURIComponent(`{${here}}`)}`, {
    concurrency: 1,
  });
  const resources = { [`{${here}}`]: 1 };
  await add(here, { resources });
  await add(here, { resources });

  const first = await server.post<Claimed>("/fetch", { queues: [here], wait_ms: 0 });
  const none = await server.call("POST", "/api/v1/fetch", { queues: [here], wait_ms: 0 });
  const scattered = await server.call("POST", "/api/v1/enqueue", { queue: there, resources });
  const pause = await server.call("POST", `/api/v1/fail/${first.job_id}`, {
    ...{ lease_token: first.lease_token, error: "429", pause: "1m" },
    ...{ pause_scope: "resource", pause_resource: there },
  });

  expect(none.status).toBe(204);
  expect(scattered.body).toMatchObject({ code: "VALIDATION_ERROR" });
  expect(pause.body).toMatchObject({
    code: "VALIDATION_ERROR",
    error: `pause_resource: "${there}" is in shard 1, and the job in shard 0`,
  });
});

test("limits of all shards are one list, in pages", async () => {
  const queues = spread("listed");
  for (const name of queues) {
    await server.call("PUT", `/api/v1/limits/queues/${name}`, { concurrency: 2 });
  }
  const found: string[] = [];
  for (let cursor = ""; ; ) {
    const page = await server.get<{ limits: { queue?: string }[]; cursor?: string }>(
      `/limits?limit=1${cursor === "" ? "" : `&cursor=${encodeURIComponent(cursor)}`}`,
    );
    found.push(...page.limits.flatMap(({ queue }) => queue ?? []));
    if (page.cursor === undefined) break;
    cursor = page.cursor;
  }

  expect(found).toEqual(queues.toSorted());
});

test("[EX1] a job and a queue of any shard are explained", async () => {
  for (const queue of spread("silent")) {
    const { job_id } = await add(queue);
    await server.post(`/queues/${queue}/pause`);

    expect(await server.get(`/jobs/${job_id}/explain`)).toMatchObject({
      queue,
      causes: [{ code: "queue_paused" }],
      stale: false,
    });
    expect(await server.get(`/queues/${queue}/explain`)).toMatchObject({
      causes: [{ code: "queue_paused" }],
      ready: 1,
      open: 0,
    });
  }
});
