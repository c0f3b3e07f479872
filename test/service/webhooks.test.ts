/** Webhooks over a node whose time and receivers are in the test's hands. */
import { expect, test } from "bun:test";
import type { InputOf } from "../../src/api/operation.ts";
import type { Operations } from "../../src/api/operations.ts";
import { CorvoError } from "../../src/base/errors.ts";
import type { OutboundAnswer, OutboundMessage } from "../../src/service/outbound-message.ts";
import { bodyOf, NodeRig, neverAborted, settle } from "../support/node-rig.ts";

interface Call extends OutboundMessage {
  readonly answer: (answer: OutboundAnswer) => Promise<void>;
}

/** Receivers that answer when they are told to. */
class Rig extends NodeRig {
  readonly calls: Call[] = [];

  constructor() {
    super();
    this.post = (message) =>
      new Promise((resolve) => {
        const answer = (given: OutboundAnswer) => {
          resolve(given);
          return settle();
        };
        this.calls.push({ ...message, answer });
      });
  }

  async set(body: Partial<InputOf<Operations["setWebhook"]>["body"]> = {}) {
    const input = { params: {}, query: {}, body: { url: "https://h.example/", ...body } };
    return bodyOf(await this.service.handlers.setWebhook(input, { signal: neverAborted }));
  }

  async show(id: string) {
    const input = { params: { name: id }, query: {}, body: {} };
    return bodyOf(await this.service.handlers.getWebhook(input, { signal: neverAborted }));
  }

  async control(name: "pauseWebhook" | "enableWebhook" | "deleteWebhook", id: string) {
    await this.service.handlers[name](
      { params: { name: id }, query: {}, body: {} },
      { signal: neverAborted },
    );
    await settle();
  }

  async deliveries(id: string, query = {}) {
    const input = { params: { name: id }, query, body: {} };
    return bodyOf(await this.service.handlers.listDeliveries(input, { signal: neverAborted }));
  }

  /** Types and jobs of the calls so far. */
  get told(): readonly string[] {
    return this.calls.map(({ body }) => JSON.parse(body).event.type);
  }

  async add(queue = "q", more: object = {}): Promise<string> {
    const { job_id } = await this.enqueue({ queue, ...more });
    await settle();
    return job_id;
  }
}

test("a webhook gets an id and a secret that is shown once, and its deliveries name event, job and queue", async () => {
  const rig = new Rig();
  const made = await rig.set({ events: ["enqueued"] });
  expect(made.id).toMatch(/^wh_[0-9a-f]{40}$/);
  expect(made.secret).toMatch(/^whsec_[A-Za-z0-9+/]{32}$/);
  expect(await rig.show(made.id)).not.toHaveProperty("secret");
  expect(await rig.set({ id: made.id, events: ["enqueued"] })).toEqual({
    status: "ok",
    id: made.id,
  });

  const job_id = await rig.add();

  const [call] = rig.calls;
  expect(call).toMatchObject({
    url: "https://h.example/",
    secret: made.secret,
    headers: { "x-corvo-webhook-id": made.id, "x-corvo-webhook-event": "enqueued" },
  });
  expect(JSON.parse(call?.body ?? "")).toMatchObject({
    webhook_id: made.id,
    event: { type: "enqueued", job_id, queue: "q", at_ns: expect.any(Number) },
    sent_at: expect.any(String),
  });
});

test("messages about one job are sent in order, also when one has to be sent again", async () => {
  const rig = new Rig();
  await rig.set({ id: "w" });
  await rig.add();
  const job = await rig.fetch({ queues: ["q"] });
  if (job === undefined) throw new Error("no job");
  await rig.ack(job);
  await settle();
  expect(rig.told).toEqual(["enqueued"]);

  await rig.calls[0]?.answer({ status: 500, error: "answered 500" });
  await rig.time.pass(700);
  expect(rig.told).toEqual(["enqueued"]);
  await rig.time.pass(600);
  expect(rig.told).toEqual(["enqueued", "enqueued"]);
  expect(rig.calls[1]?.id).toBe(rig.calls[0]?.id ?? "");
  await rig.calls[1]?.answer({ status: 200 });
  expect(rig.told.slice(2)).toEqual(["started"]);
  await rig.calls[2]?.answer({ status: 204 });
  expect(rig.told.slice(3)).toEqual(["completed"]);
  await rig.calls[3]?.answer({ status: 200 });

  expect(await rig.show("w")).toMatchObject({
    delivered: 3,
    waiting: 0,
    failures: 0,
    last_status_code: 200,
  });
});

test("a slow receiver holds up nobody else, and gets no more than eight calls at once", async () => {
  const rig = new Rig();
  await rig.set({ id: "slow", url: "https://slow.example/", queues: ["a"] });
  await rig.set({ id: "quick", url: "https://quick.example/", queues: ["b"] });
  for (let i = 0; i < 20; i++) await rig.add("a");
  await rig.add("b");

  const urls = rig.calls.map(({ url }) => url);
  expect(urls.filter((url) => url.includes("slow"))).toHaveLength(8);
  expect(urls.filter((url) => url.includes("quick"))).toHaveLength(1);
  await rig.calls[0]?.answer({ status: 200 });
  expect(rig.calls).toHaveLength(10);
});

test("what is asked for again while it waits for room goes once, and pauses as ever when it fails", async () => {
  const rig = new Rig();
  await rig.set({ id: "w", events: ["enqueued"] });
  for (let i = 0; i < 9; i++) await rig.add();
  expect(rig.calls).toHaveLength(8);
  const [last] = (await rig.deliveries("w")).deliveries;
  const params = { name: "w", delivery_id: last?.id ?? "" };
  await rig.service.handlers.redeliver({ params, query: {}, body: {} }, { signal: neverAborted });
  await settle();

  await rig.calls[0]?.answer({ status: 200 });
  expect(rig.calls).toHaveLength(9);
  expect(rig.calls[8]?.id).toBe(params.delivery_id);
  await rig.calls[8]?.answer({ status: 500, error: "answered 500" });
  await rig.time.pass(700);
  expect(rig.calls).toHaveLength(9);
  await rig.time.pass(600);

  expect(rig.calls).toHaveLength(10);
  expect(rig.calls[9]?.id).toBe(params.delivery_id);
});

test("a pause keeps messages, and enabling sends them; deleting forgets them", async () => {
  const rig = new Rig();
  await rig.set({ id: "w", events: ["enqueued"] });
  await rig.control("pauseWebhook", "w");
  await rig.add();
  expect(rig.calls).toEqual([]);
  expect(await rig.show("w")).toMatchObject({ paused: true, waiting: 1 });

  await rig.control("enableWebhook", "w");
  expect(rig.told).toEqual(["enqueued"]);
  await rig.control("deleteWebhook", "w");
  await rig.calls[0]?.answer({ status: 200 });
  await rig.add();

  expect(rig.calls).toHaveLength(1);
  await expect(rig.show("w")).rejects.toThrow('no webhook "w"');
});

test("a node that begins to lead sends what waits, and one that does not lead sends nothing", async () => {
  const rig = new Rig();
  await rig.set({ id: "w", events: ["enqueued"] });
  rig.log.isHeld = true;
  const enqueued = rig.enqueue({ queue: "q" });
  await settle();
  rig.log.isReady = false;
  await rig.log.release();
  await enqueued;
  expect(rig.calls).toEqual([]);

  rig.log.isReady = true;
  rig.node.lead();
  await settle();

  expect(rig.told).toEqual(["enqueued"]);
});

test("a result that could not be written down is written down as soon as that goes, and sent no second time", async () => {
  const rig = new Rig();
  await rig.set({ id: "w", events: ["enqueued"] });
  await rig.add();
  rig.log.isFull = true;
  await rig.calls[0]?.answer({ status: 200 });
  expect(await rig.show("w")).toMatchObject({ waiting: 1 });

  rig.log.isFull = false;
  await rig.time.pass(1000);

  expect(rig.calls).toHaveLength(1);
  expect(await rig.show("w")).toMatchObject({ waiting: 0, delivered: 1 });
});

test("the status says how many deliveries wait, since when, and what became of the others", async () => {
  const rig = new Rig();
  await rig.set({ id: "w", events: ["enqueued"], retry_limit: 1 });
  const status = async () => {
    const input = { params: {}, query: {}, body: {} };
    return bodyOf(await rig.service.handlers.status(input, { signal: neverAborted })).deliveries;
  };
  await rig.add();
  const since = new Date(rig.time.nowMs()).toISOString();
  await rig.time.pass(1000);
  await rig.add();
  await rig.add();
  await rig.calls[1]?.answer({ status: 200 });
  await rig.calls[2]?.answer({ status: 500, error: "answered 500" });

  expect(await status()).toEqual({
    ...{ waiting: 1, oldest_waiting_at: since, delivered: 1, failed: 1, missed: 0 },
  });
});

test("deliveries are listed newest first, a page at a time, and sent again by their id", async () => {
  const rig = new Rig();
  await rig.set({ id: "w", events: ["enqueued"], retry_limit: 1 });
  const ids = [await rig.add(), await rig.add(), await rig.add()];
  for (const call of rig.calls) await call.answer({ status: 404, error: "answered 404" });

  const page = await rig.deliveries("w", { limit: 2 });
  expect(page).toMatchObject({ total: 3, has_more: true });
  expect(page.deliveries.map(({ job_id }) => job_id)).toEqual([ids[2], ids[1]]);
  expect(page.deliveries[0]).toMatchObject({ state: "failed", status_code: 404, attempts: 1 });
  const rest = await rig.deliveries("w", { limit: 2, cursor: page.cursor ?? "" });
  expect(rest).toMatchObject({ total: 3, has_more: false });
  const [oldest] = rest.deliveries;

  const params = { name: "w", delivery_id: oldest?.id ?? "" };
  await rig.service.handlers.redeliver({ params, query: {}, body: {} }, { signal: neverAborted });
  await settle();
  expect(rig.calls[3]?.id).toBe(params.delivery_id);
  await rig.calls[3]?.answer({ status: 200 });
  expect((await rig.deliveries("w", { state: "delivered" })).deliveries).toMatchObject([
    { id: params.delivery_id },
  ]);
});

test("the result of a job goes to its callback, with its headers and as the text that the worker sent", async () => {
  const rig = new Rig();
  const job_id = await rig.add("q", {
    callback_url: "https://h.example/cb",
    callback_secret: "0123456789",
    callback_headers: { Authorization: "Bearer x" },
  });
  const job = await rig.fetch({ queues: ["q"] });
  if (job === undefined) throw new Error("no job");
  await rig.ack(job);
  await settle();

  expect(rig.calls).toHaveLength(1);
  expect(rig.calls[0]).toMatchObject({
    url: "https://h.example/cb",
    secret: "0123456789",
    headers: { Authorization: "Bearer x", "x-corvo-webhook-event": "completed" },
  });
  expect(await rig.job(job_id)).toMatchObject({ callback_url: "https://h.example/cb" });
  expect(JSON.stringify(await rig.job(job_id))).not.toContain("0123456789");
  await rig.calls[0]?.answer({ status: 500, error: "answered 500" });
  expect((await rig.deliveries("callbacks", { job_id })).deliveries).toMatchObject([
    { state: "waiting", attempts: 1, event: "completed", url: "https://h.example/cb" },
  ]);
});

test("what cannot be called or sent is refused with its name", async () => {
  const rig = new Rig();
  const refused = async (code: string, said: string, call: Promise<unknown>) => {
    const error = await call.then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
    expect(error).toBeInstanceOf(CorvoError);
    expect(error).toMatchObject({ code, message: expect.stringContaining(said) });
  };

  for (const url of [
    "ftp://h.example/",
    "not a url",
    "https://user:pw@h.example/",
    "file:///etc/passwd",
  ]) {
    await refused("VALIDATION_ERROR", "url", rig.set({ url }));
    await refused(
      "VALIDATION_ERROR",
      "callback_url",
      rig.enqueue({ queue: "q", callback_url: url }),
    );
  }
  await refused("VALIDATION_ERROR", "id", rig.set({ id: "callbacks" }));
  await refused("VALIDATION_ERROR", "queues", rig.set({ queues: ["a b"] }));
  await refused(
    "VALIDATION_ERROR",
    "callback_secret",
    rig.enqueue({ queue: "q", callback_secret: "x" }),
  );
  const callback_url = "https://h.example/";
  for (const secret of [
    "whsec_!!!!!!!!",
    "whsec_MDEyMzQ1Njc4OQ",
    "whsec_MDEyMzQ1Njc4O-_=",
    "whsec_",
  ]) {
    await refused("VALIDATION_ERROR", "secret", rig.set({ secret }));
    const callback = { callback_url, callback_secret: secret };
    await refused("VALIDATION_ERROR", "callback_secret", rig.enqueue({ queue: "q", ...callback }));
  }
  await rig.set({ secret: "whsec_MDEyMzQ1Njc4OQ==" });
  for (const [name, value] of [
    ["Host", "h"],
    ["X-Corvo-Signature", "s"],
    ["webhook-id", "i"],
    ["a b", "c"],
    ["x", "line\nbreak"],
  ]) {
    const callback = { callback_url, callback_headers: { [name ?? ""]: value ?? "" } };
    await refused("VALIDATION_ERROR", "callback_headers", rig.enqueue({ queue: "q", ...callback }));
  }
});
