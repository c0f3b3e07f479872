/** Batches on a node with two shards. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { shardOfQueue } from "../../src/base/placement.ts";
import { type LiveServer, liveServer } from "../support/live-server.ts";

const shards = 2;

/** A name in each shard. */
function spread(stem: string): string[] {
  return Array.from({ length: shards }, (_, shard) => {
    for (let i = 0; ; i++)
      if (shardOfQueue(`${stem}-${i}`, shards) === shard) return `${stem}-${i}`;
  });
}

let server: LiveServer;
beforeAll(async () => {
  server = await liveServer({ shards });
});
afterAll(() => server.stop());

test("[F31] a batch is in one shard with its jobs and what follows them, and all batches are in one list", async () => {
  const [here = "", there = ""] = spread("counted");
  const [onSuccess, end] = [{ queue: there }, `{${here}}:end`];

  const refusals = await Promise.all([
    server.call("POST", "/api/v1/batches", { queue: here, on_success: onSuccess }),
    server.call("POST", "/api/v1/enqueue/batch", {
      jobs: [{ queue: here }],
      batch: { on_success: onSuccess },
    }),
    server.call("POST", "/api/v1/enqueue/batch", {
      jobs: [{ queue: here }, { queue: there }],
      batch: { on_complete: { queue: end } },
    }),
  ]);
  const ids: string[] = [];
  for (const queue of [here, there]) {
    const { batch_id } = await server.post<{ batch_id: string }>("/batches", { queue });
    ids.push(batch_id);
  }
  const [mine = "", other = ""] = ids;
  await server.post("/enqueue", { queue: here, batch_id: mine });
  refusals.push(await server.call("POST", "/api/v1/enqueue", { queue: here, batch_id: other }));

  for (const refusal of refusals) {
    expect(refusal).toMatchObject({ status: 400, body: { code: "VALIDATION_ERROR" } });
  }
  const { batches } = await server.get<{ batches: { id: string; total: number }[] }>("/batches");
  const totals = Object.fromEntries(batches.map(({ id, total }) => [id, total]));
  expect(totals).toEqual({ [other]: 0, [mine]: 1 });
  expect(await server.post(`/batches/${mine}/seal`, {})).toMatchObject({ state: "running" });
});
