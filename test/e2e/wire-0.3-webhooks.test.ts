/**
 * Webhooks as 0.3 has them, as raw HTTP against a whole server; docs/decisions/0003-wire-compatibility.md lists where answers
 * differ.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { createHmac } from "node:crypto";
import { parseAllowRule } from "../../src/net/outbound/address.ts";
import { type JobBody, type LiveServer, liveServer } from "../support/live-server.ts";
import { Receiver } from "../support/receiver.ts";

let server: LiveServer;
let receiver: Receiver;
beforeAll(async () => {
  const loopback = parseAllowRule("127.0.0.1");
  server = await liveServer({ webhookAllow: loopback === undefined ? [] : [loopback] });
  receiver = new Receiver();
});
afterAll(async () => {
  receiver[Symbol.dispose]();
  await server.stop();
});

const hook = (id: string) =>
  server
    .get<Record<string, unknown>[]>("/webhooks")
    .then((all) => all.find((one) => one["id"] === id));

test("a webhook is set, listed as an array, sent to in the old form with the old signature, and deleted", async () => {
  const secret = "a secret of 0.3";
  const set = await server.call("POST", "/api/v1/webhooks", {
    ...{ id: "wh_old", url: receiver.url, events: ["enqueued"], secret, enabled: true },
    retry_limit: 3,
  });
  expect(set.status).toBe(200);
  expect(set.body).toEqual({ status: "ok", id: "wh_old" });
  const { job_id } = await server.post<{ job_id: string }>("/enqueue", { queue: "old" });

  const [call] = await receiver.until("a call", (calls) => calls.length > 0);
  expect(call?.body).toEqual({
    webhook_id: "wh_old",
    event: {
      ...{ seq: expect.any(Number), type: "enqueued", job_id, queue: "old" },
      at_ns: expect.any(Number),
    },
    sent_at: expect.stringMatching(/Z$/),
  } as never);
  expect(call?.headers).toMatchObject({
    "content-type": "application/json",
    "x-corvo-webhook-id": "wh_old",
    "x-corvo-webhook-event": "enqueued",
    "x-corvo-signature": `sha256=${createHmac("sha256", secret)
      .update(call?.text ?? "")
      .digest("hex")}`,
  });
  expect(await hook("wh_old")).toMatchObject({
    ...{ url: `${receiver.url}/`, events: ["enqueued"], enabled: true, retry_limit: 3 },
    created_at: expect.stringMatching(/Z$/),
  });
  const deleted = await server.call("DELETE", "/api/v1/webhooks/wh_old");
  expect(deleted.body).toEqual({ status: "deleted" });
  expect(await hook("wh_old")).toBeUndefined();
});

test("what is left out has its default, and a secret is shown to nobody", async () => {
  const made = await server.post<{ id: string; secret: string }>("/webhooks", {
    url: receiver.url,
    events: null,
    secret: null,
  });

  expect(made.id).toStartWith("wh_");
  expect(await hook(made.id)).toMatchObject({ events: ["*"], enabled: true, retry_limit: 3 });
  expect(JSON.stringify(await server.get("/webhooks"))).not.toContain(made.secret);
  await server.call("DELETE", `/api/v1/webhooks/${made.id}`);
});

test("a third party's call becomes a job, with the options of its query", async () => {
  const send = (queue: string, body: string) =>
    server.call(
      "POST",
      `/api/v1/webhooks/${queue}?priority=critical&unique_key=u1&max_retries=5&tags=a:b,c:d`,
      body,
    );

  const first = await send("third", '{"order": 12345678901234567890}');
  expect(first.status).toBe(201);
  const { job_id } = first.body as { job_id: string };
  expect(first.body).toEqual({ job_id, status: "pending", unique_existing: false });
  expect(await server.get<JobBody>(`/jobs/${job_id}`)).toMatchObject({
    ...{ queue: "third", priority: 0, unique_key: "u1", max_retries: 5, tags: { a: "b", c: "d" } },
  });
  const again = await send("third", "{}");
  expect(again.status).toBe(200);
  expect(again.body).toEqual({ job_id, status: "duplicate", unique_existing: true });

  const text = await server.call("POST", "/api/v1/webhooks/words", "no JSON");
  const { job_id: other } = text.body as { job_id: string };
  expect(await server.get<JobBody>(`/jobs/${other}`)).toMatchObject({
    payload: "no JSON",
  } as never);
  const bad = await server.call("POST", "/api/v1/webhooks/words?priority=soon", "{}");
  expect(bad.status).toBe(400);
});
