/** Telling others what happens, and taking in what others tell. */
import { expect } from "bun:test";
import { createHmac } from "node:crypto";
import { until } from "../support/cluster/cluster.ts";
import { Receiver } from "../support/receiver.ts";
import type { Api } from "./api.ts";
import type { Chapter } from "./feature.ts";

/** Ids of webhooks take no braces. */
const idOf = (queue: string) => queue.replaceAll(/[{}]/g, "");

const shown = (api: Api, queue: string) => api.json("GET", `/api/v1/webhooks/${idOf(queue)}`);

const deliveries = async (api: Api, id: string) =>
  (await api.json("GET", `/api/v1/webhooks/${id}/deliveries`))["deliveries"] as {
    readonly id: string;
    readonly state: string;
    readonly status_code?: number;
    readonly attempts: number;
  }[];

const set = (api: Api, queue: string, more: object) =>
  api.json("POST", "/api/v1/webhooks", { id: idOf(queue), queues: [queue], ...more });

export const webhooks: Chapter = {
  title: "Webhooks",
  features: [
    {
      id: "webhook-events",
      what: "Life-cycle events sent to a URL, by type, queue and tags; as durable as the event itself",
      shows: "corvo webhook set URL --events dead --queues 'mail*' --tag plan=paid",
      async story(api, queue) {
        const receiver = new Receiver();
        await set(api, queue, {
          ...{ url: `${receiver.url}/in`, events: ["enqueued", "completed"] },
          ...{ tags: { plan: "paid" }, retry_limit: 10 },
        });
        const paid = await api.add(queue, { tags: { plan: "paid" } });
        const free = await api.add(queue, { tags: { plan: "free" } });
        return async () => {
          for (let i = 0; i < 2; i++) await api.ack(await api.take(queue));
          await receiver.until("both events", () => receiver.about(paid).length >= 2);
          const types = new Set(receiver.about(paid).map(({ body }) => body.event.type));
          expect(types).toEqual(new Set(["enqueued", "completed"]));
          expect(receiver.about(free)).toEqual([]);
          receiver[Symbol.dispose]();
        };
      },
    },
    {
      id: "webhook-signature",
      what: "Signed with HMAC-SHA256 over id, time and body (Standard Webhooks), and over the body as 0.3 did",
      shows: "webhook-signature: v1,… and X-Corvo-Signature: sha256=…",
      async story(api, queue) {
        const receiver = new Receiver();
        const { secret } = await set(api, queue, { url: receiver.url, retry_limit: 10 });
        expect(await shown(api, queue)).not.toHaveProperty("secret");
        return async () => {
          await api.add(queue);
          const [call] = await receiver.until("a call", (calls) => calls.length > 0);
          const key = Buffer.from(String(secret).slice("whsec_".length), "base64");
          const { "webhook-id": id, "webhook-timestamp": at } = call?.headers ?? {};
          const signed = createHmac("sha256", key).update(`${id}.${at}.${call?.text}`);
          expect(call?.headers["webhook-signature"]).toBe(`v1,${signed.digest("base64")}`);
          const plain = createHmac("sha256", String(secret)).update(call?.text ?? "");
          expect(call?.headers["x-corvo-signature"]).toBe(`sha256=${plain.digest("hex")}`);
          receiver[Symbol.dispose]();
        };
      },
    },
    {
      id: "webhook-retries",
      what: "Sent again with growing pauses until it arrives, each time under the same id; what came back is listed",
      shows: "corvo webhook deliveries ID; corvo webhook redeliver ID DELIVERY",
      async story(api, queue) {
        const receiver = new Receiver();
        receiver.answer = () => (receiver.calls.length < 3 ? 503 : 200);
        await set(api, queue, { url: receiver.url, events: ["enqueued"], retry_limit: 10 });
        await api.add(queue);
        await receiver.until("a call", (calls) => calls.length > 0);
        return async () => {
          const [delivery] = await until("it arrived", async () => {
            const all = await deliveries(api, idOf(queue));
            return all[0]?.state === "delivered" ? all : undefined;
          });
          expect(delivery?.attempts).toBeGreaterThanOrEqual(2);
          expect(new Set(receiver.calls.map(({ headers }) => headers["webhook-id"])).size).toBe(1);
          const count = receiver.calls.length;
          await api.cli("webhook", "redeliver", idOf(queue), delivery?.id ?? "");
          await receiver.until("once more", (calls) => calls.length > count);
          expect(receiver.calls.at(-1)?.headers["webhook-id"]).toBe(delivery?.id ?? "");
          receiver[Symbol.dispose]();
        };
      },
    },
    {
      id: "webhook-control",
      what: "Test, pause, enable; disabled by itself with the reason when the receiver says 410",
      shows: "corvo webhook test ID; corvo webhook pause ID; corvo webhook enable ID",
      async story(api, queue) {
        const receiver = new Receiver();
        await set(api, queue, { url: receiver.url, events: ["enqueued"], retry_limit: 10 });
        await api.cli("webhook", "test", idOf(queue));
        expect(receiver.calls[0]?.body.event.type).toBe("test");
        await api.cli("webhook", "pause", idOf(queue));
        const kept = await api.add(queue);
        return async () => {
          expect(receiver.about(kept)).toEqual([]);
          expect(await shown(api, queue)).toMatchObject({ paused: true, waiting: 1 });
          await api.cli("webhook", "enable", idOf(queue));
          await receiver.until("what was kept", () => receiver.about(kept).length > 0);
          receiver.answer = () => 410;
          await api.add(queue);
          await until("it is disabled", async () => !(await shown(api, queue))["enabled"]);
          expect(await api.cli("webhook", "show", idOf(queue))).toContain("410 Gone");
          await api.cli("webhook", "delete", idOf(queue));
          receiver[Symbol.dispose]();
        };
      },
    },
    {
      id: "webhook-addresses",
      what: "No calls to addresses inside of the network, unless the operator allows them",
      shows: "corvo server --webhook-allow 10.1.0.0/16",
      async story(api, queue) {
        await set(api, queue, { url: "http://169.254.169.254/latest/meta-data" });
        const answer = await api.json("POST", `/api/v1/webhooks/${idOf(queue)}/test`);
        return async () => {
          const [delivery] = await until("it was given up", async () => {
            const all = await deliveries(api, idOf(queue));
            const own = all.filter(({ id }) => id === answer["delivery_id"]);
            return own[0]?.state === "failed" ? own : undefined;
          });
          expect(delivery).toMatchObject({ error: expect.stringContaining("not public") });
          await api.refused("VALIDATION_ERROR", "POST", "/api/v1/webhooks", { url: "file:///x" });
        };
      },
    },
    {
      id: "callback",
      what: "The result of a job sent to a URL that came with it, whatever its end",
      shows: "corvo enqueue QUEUE --callback-url URL --callback-secret TEXT",
      async story(api, queue) {
        const receiver = new Receiver();
        const options = { callback_url: `${receiver.url}/done`, max_retries: 1 };
        const good = await api.add(queue, { ...options, callback_headers: { "x-order": "7" } });
        await api.ack(await api.take(queue), { result: { n: 1 } });
        const bad = await api.add(queue, options);
        return async () => {
          await api.fail(await api.take(queue));
          await receiver.until("both results", () => {
            return receiver.about(good).length > 0 && receiver.about(bad).length > 0;
          });
          expect(receiver.about(good)[0]).toMatchObject({
            path: "/done",
            headers: { "x-order": "7", "x-corvo-webhook-event": "completed" },
            body: { event: { data: { state: "completed", result: { n: 1 } } } },
          });
          expect(receiver.about(bad)[0]?.body.event).toMatchObject({ type: "dead" });
          receiver[Symbol.dispose]();
        };
      },
    },
    {
      id: "webhook-incoming",
      what: "Calls from outside become jobs: the body is the payload, verified and taken once per id of its sender",
      shows:
        "corvo webhook incoming set QUEUE --scheme github --secret TEXT; POST /api/v1/webhooks/{queue}",
      async story(api, queue) {
        const secret = "0123456789abcdef";
        const words = ["--scheme", "github", "--secret", secret, "--tag-headers", "X-GitHub-Event"];
        await api.cli("webhook", "incoming", "set", queue, ...words);
        const send = (text: string, headers: Record<string, string>) =>
          api.raw(`/api/v1/webhooks/${encodeURIComponent(queue)}`, text, headers);
        const signed = (text: string) => ({
          "x-github-event": "push",
          "x-github-delivery": `d-${text}`,
          "x-hub-signature-256": `sha256=${createHmac("sha256", secret).update(text).digest("hex")}`,
        });
        const { status, body } = await send('{"ref":1.0}', signed('{"ref":1.0}'));
        expect(status).toBe(201);
        expect((await send("{}", signed("other"))).body).toMatchObject({ code: "UNAUTHORIZED" });
        return async () => {
          const again = await send('{"ref":1.0}', signed('{"ref":1.0}'));
          expect(again.body["job_id"]).toBe(body["job_id"]);
          expect(await api.job(String(body["job_id"]))).toMatchObject({
            payload: { ref: 1 },
            tags: { "x-github-event": "push" },
          });
          expect(await api.queue(queue)).toMatchObject({ pending: 1 });
          await api.cli("webhook", "incoming", "delete", queue);
          expect((await send("plain text", {})).status).toBe(201);
        };
      },
    },
    {
      id: "subscription",
      what: "A URL that is called when a queue has ready jobs: all, one of a group, or one by hash; with an end that is renewed",
      shows: "corvo subscription set URL QUEUE --mode group --group NAME --ttl 5m",
      async story(api, queue) {
        const receiver = new Receiver();
        const id = `${idOf(queue)}-`;
        const words = ["--min-interval", "100ms", "--ttl", "1m"];
        const group = ["--mode", "group", "--group", queue];
        const url = (name: string) => `${receiver.url}/${name}`;
        await api.cli("subscription", "set", url("all"), queue, "--id", `${id}all`, ...words);
        for (const one of ["a", "b"]) {
          await api.cli(
            "subscription",
            "set",
            url(one),
            queue,
            "--id",
            id + one,
            ...words,
            ...group,
          );
        }
        return async () => {
          await api.call("GET", "/api/v1/subscriptions");
          await api.cli("subscription", "renew", `${id}all`, "--ttl", "5m");
          const paths = () => receiver.calls.map(({ path }) => path);
          for (let i = 0; i < 2; i++) {
            const count = receiver.calls.length;
            await api.add(queue);
            await receiver.until("two are told", (calls) => calls.length >= count + 2);
            await Bun.sleep(150);
          }
          expect(new Set(paths())).toEqual(new Set(["/all", "/a", "/b"]));
          expect(JSON.parse(receiver.calls[0]?.text ?? "")).toMatchObject({ type: "ready", queue });
          for (const one of ["all", "a", "b"]) await api.cli("subscription", "delete", id + one);
          receiver[Symbol.dispose]();
        };
      },
    },
  ],
  notOffered: [],
};
