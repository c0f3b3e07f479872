/** A node with a budget for jobs and blobs: what is refused, what goes on, and how it comes back by itself. */
import { expect, test } from "bun:test";
import { until } from "../support/cluster/cluster.ts";
import { type LiveServer, liveServer } from "../support/live-server.ts";

const blobBytes = 600_000;
const noise = () => crypto.getRandomValues(new Uint8Array(60_000));

/** In steps of 60,000. */
async function add(server: LiveServer, bytes: number): Promise<Response> {
  const body = Buffer.concat(Array.from({ length: Math.ceil(bytes / 60_000) }, noise));
  return fetch(`${server.url}/api/v1/queues/room/jobs`, { method: "POST", body });
}

async function refusing(server: LiveServer): Promise<string> {
  const text = await (await fetch(`${server.url}/metrics`)).text();
  return /^corvo_disk_refusing (\d)$/m.exec(text)?.[1] ?? "?";
}

test("[V9] a node that reaches its budget refuses payloads, lets work go on, and takes payloads once blobs are gone", async () => {
  await using server = await liveServer({
    blobGraceMs: 2000,
    disk: { budgetBytes: 4_000_000, minFreeBytes: 0 },
  });
  const ids: string[] = [];
  let refusal = { status: 0, code: "", error: "" };
  for (;;) {
    const answer = await add(server, blobBytes);
    const body = (await answer.json()) as { job_id: string; code: string; error: string };
    if (answer.status !== 201) {
      refusal = { ...body, status: answer.status };
      break;
    }
    ids.push(body.job_id);
    expect(ids.length).toBeLessThan(10);
  }
  // What is left is too little for any payload of some size.
  while ((await add(server, 120_000)).status === 201);

  const status = await server.get<{ disk_full?: string; disk_budget_bytes?: number }>("/status");
  const whileFull = await refusing(server);
  const claimed = await server.post<{ job_id: string; lease_token: string; payload_blob: string }>(
    "/fetch",
    { queues: ["room"], wait_ms: 0 },
  );
  await server.post(`/ack/${claimed.job_id}`, { lease_token: claimed.lease_token, result: 1 });
  const blob = await fetch(`${server.url}/api/v1/blobs/${claimed.payload_blob}`);
  const { length } = await blob.bytes();
  await server.call("DELETE", "/api/v1/queues/room");
  await until("there is room again", async () => (await add(server, blobBytes)).status === 201);

  expect(ids.length).toBeGreaterThan(3);
  expect(refusal).toMatchObject({ status: 507, code: "DISK_BUDGET" });
  expect(refusal.error).toContain("its budget is 4000000 (--disk-budget)");
  expect(status).toMatchObject({
    disk_budget_bytes: 4_000_000,
    disk_full: expect.stringContaining("its budget is 4000000"),
  });
  expect([whileFull, length]).toEqual(["1", blobBytes]);
  expect(await refusing(server)).toBe("0");
}, 30_000);
