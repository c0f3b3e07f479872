/** Batches on a node with two shards. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { type LiveServer, liveServer } from "../support/live-server.ts";
import { spreadOverTwo as spread } from "../support/spread.ts";

const shards = 2;

let server: LiveServer;
beforeAll(async () => {
  server = await liveServer({ shards });
});
afterAll(() => server.stop());

test("[F31] a batch is in the shard of its queue, and all batches are in one list", async () => {
  const ids: string[] = [];
  for (const queue of spread("counted")) {
    const { batch_id } = await server.post<{ batch_id: string }>("/batches", { queue });
    ids.push(batch_id);
  }
  const [mine = "", other = ""] = ids;
  await server.post("/enqueue", { queue: spread("counted")[0], batch_id: mine });

  const { batches } = await server.get<{ batches: { id: string; total: number }[] }>("/batches");
  const totals = Object.fromEntries(batches.map(({ id, total }) => [id, total]));
  expect(totals).toEqual({ [other]: 0, [mine]: 1 });
  expect(await server.post(`/batches/${mine}/seal`, {})).toMatchObject({ state: "running" });
});
