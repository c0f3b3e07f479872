/** Subscribers over a node whose time is in the test's hands. */
import { expect, test } from "bun:test";
import type { InputOf } from "../../src/api/operation.ts";
import type { Operations } from "../../src/api/operations.ts";
import { bodyOf, NodeRig, neverAborted, settle } from "../support/node-rig.ts";

type Body = InputOf<Operations["setSubscription"]>["body"];

class Rig extends NodeRig {
  /** Who was told of which queue, and of how many jobs. */
  readonly told: string[] = [];

  constructor() {
    super();
    this.post = ({ url, body }) => {
      const { queue, ready } = JSON.parse(body);
      this.told.push(`${url.slice("http://".length, -1)} ${queue} ${ready}`);
      return Promise.resolve({ status: 200 });
    };
  }

  async subscribe(id: string, more: Partial<Body> = {}) {
    const body = { id, url: `http://${id}`, queues: ["q"], min_interval: "1s", ttl: "1h", ...more };
    const input = { params: {}, query: {}, body };
    return bodyOf(await this.service.handlers.setSubscription(input, { signal: neverAborted }));
  }

  async renew(id: string): Promise<void> {
    const input = { params: { id }, query: {}, body: {} };
    await this.service.handlers.renewSubscription(input, { signal: neverAborted });
    await settle();
  }

  async unsubscribe(id: string): Promise<void> {
    const input = { params: { id }, query: {}, body: {} };
    await this.service.handlers.deleteSubscription(input, { signal: neverAborted });
    await settle();
  }

  async add(queue = "q"): Promise<void> {
    await this.enqueue({ queue });
    await settle();
  }

  /** Takes the one job that there is. */
  async take(): Promise<void> {
    const job = await this.fetch({ queues: ["q"] });
    if (job !== undefined) await this.ack(job);
  }

  async ids(): Promise<readonly string[]> {
    const input = { params: {}, query: {}, body: {} };
    const all = bodyOf(
      await this.service.handlers.listSubscriptions(input, { signal: neverAborted }),
    );
    return all.subscriptions.map(({ id }) => id);
  }
}

test("all with fanout are told of a queue that has ready jobs, and of no other", async () => {
  const rig = new Rig();
  await rig.subscribe("one");
  await rig.subscribe("two", { queues: ["q*"] });
  await rig.subscribe("other", { queues: ["elsewhere"] });

  await rig.add();

  expect(rig.told.sort()).toEqual(["one q 1", "two q 1"]);
});

test("nobody is told more often than it asked for, and what came meanwhile is told after that", async () => {
  const rig = new Rig();
  await rig.subscribe("one");
  for (let i = 0; i < 5; i++) await rig.add();
  expect(rig.told).toEqual(["one q 1"]);

  await rig.time.pass(999);
  expect(rig.told).toHaveLength(1);
  await rig.time.pass(1);
  expect(rig.told).toEqual(["one q 1", "one q 5"]);
});

test("jobs that nobody takes are told of again after pauses that grow, until they are taken", async () => {
  const rig = new Rig();
  await rig.subscribe("one", { ttl: "24h" });
  await rig.add();

  await rig.time.pass(30_000);
  expect(rig.told).toHaveLength(2);
  await rig.time.pass(59_999);
  expect(rig.told).toHaveLength(2);
  await rig.time.pass(1);
  expect(rig.told).toHaveLength(3);
  await rig.take();
  await rig.time.pass(3_600_000);
  expect(rig.told).toHaveLength(3);
});

test("of a group one is told after the other; who may not be called yet is passed over", async () => {
  const rig = new Rig();
  const group = { mode: "group" as const, group: "g" };
  for (const id of ["a", "b", "c"]) await rig.subscribe(id, group);

  for (let i = 0; i < 3; i++) await rig.add();
  expect(rig.told).toEqual(["a q 1", "b q 2", "c q 3"]);
  await rig.add();
  expect(rig.told).toHaveLength(3);
  await rig.time.pass(1000);
  expect(rig.told.slice(3)).toEqual(["a q 4"]);
});

test("with hash the same member is told of a queue for as long as it is there", async () => {
  const rig = new Rig();
  const group = { mode: "hash" as const, group: "g", queues: ["q*"] };
  for (const id of ["a", "b", "c"]) await rig.subscribe(id, group);
  const queues = Array.from({ length: 30 }, (_, i) => `q${i}`);
  const roundOf = async () => {
    rig.told.length = 0;
    for (const queue of queues) {
      await rig.add(queue);
      await rig.time.pass(1000);
    }
    return new Map(rig.told.map((line) => [line.split(" ")[1], line.split(" ")[0]]));
  };

  const first = await roundOf();
  expect(new Set(first.values())).toEqual(new Set(["a", "b", "c"]));
  expect(await roundOf()).toEqual(first);
  const input = { params: { id: "b" }, query: {}, body: {} };
  await rig.service.handlers.deleteSubscription(input, { signal: neverAborted });
  const second = await roundOf();
  for (const [queue, member] of first) {
    if (member !== "b") expect(second.get(queue)).toBe(member);
  }
});

test("a subscription ends by itself unless it is renewed", async () => {
  const rig = new Rig();
  await rig.subscribe("short", { ttl: "10s" });
  await rig.subscribe("renewed", { ttl: "10s" });
  await rig.time.pass(8000);
  const input = { params: { id: "renewed" }, query: {}, body: { ttl: "20s" } };
  const renewed = bodyOf(
    await rig.service.handlers.renewSubscription(input, { signal: neverAborted }),
  );
  expect(renewed).toMatchObject({ ttl_ms: 20_000 });

  await rig.time.pass(3000);
  expect(await rig.ids()).toEqual(["renewed"]);
  await rig.add();
  expect(rig.told).toEqual(["renewed q 1"]);
  await rig.time.pass(20_000);
  expect(await rig.ids()).toEqual([]);
});

test("who subscribes to a queue that has ready jobs already is told of them, and a new leader tells again", async () => {
  const rig = new Rig();
  await rig.add();
  await rig.subscribe("late");
  await settle();
  expect(rig.told).toEqual(["late q 1"]);

  await rig.time.pass(1000);
  rig.node.lead();
  await settle();
  expect(rig.told).toEqual(["late q 1", "late q 1"]);
});

test("a paused queue has no jobs to tell of", async () => {
  const rig = new Rig();
  await rig.subscribe("one");
  await rig.setPaused("q", true);
  await rig.add();
  expect(rig.told).toEqual([]);

  await rig.setPaused("q", false);
  await settle();
  expect(rig.told).toEqual(["one q 1"]);
});

test("settings that contradict each other or are out of bounds are refused", async () => {
  const rig = new Rig();
  const wrong: [Partial<Body>, string][] = [
    [{ mode: "group" }, "VALIDATION_ERROR"],
    [{ group: "g" }, "VALIDATION_ERROR"],
    [{ queues: ["a b"] }, "VALIDATION_ERROR"],
    [{ url: "gopher://x" }, "VALIDATION_ERROR"],
    [{ secret: "whsec_no base 64" }, "VALIDATION_ERROR"],
    [{ min_interval: "1ms" }, "LIMIT_EXCEEDED"],
    [{ ttl: "25h" }, "LIMIT_EXCEEDED"],
    [{ ttl: "10ms" }, "LIMIT_EXCEEDED"],
  ];
  for (const [more, code] of wrong) {
    await expect(rig.subscribe("x", more)).rejects.toMatchObject({ code });
  }
});

test("a renewal changes neither whose turn it is nor when jobs are told of again", async () => {
  const rig = new Rig();
  const group = { mode: "group" as const, group: "g" };
  for (const id of ["a", "b", "c"]) await rig.subscribe(id, group);
  await rig.add();
  await rig.renew("c");
  await rig.time.pass(5000);
  expect(rig.told).toEqual(["a q 1"]);

  await rig.add();
  expect(rig.told).toEqual(["a q 1", "b q 2"]);
});

test("who comes or goes begins neither turns nor pauses of the others anew", async () => {
  const rig = new Rig();
  const group = { mode: "group" as const, group: "g" };
  for (const id of ["a", "b", "c"]) await rig.subscribe(id, group);
  await rig.subscribe("short", { queues: ["elsewhere"], ttl: "3s" });
  await rig.add();
  expect(rig.told).toEqual(["a q 1"]);

  await rig.subscribe("other", { queues: ["elsewhere"] });
  await rig.time.pass(5000);
  expect(rig.told).toEqual(["a q 1"]);
  await rig.add();
  expect(rig.told).toEqual(["a q 1", "b q 2"]);
});

test("where the one who was told goes, another of its group is told in its place, and whoever comes to a group has it told", async () => {
  for (const mode of ["group", "hash"] as const) {
    const rig = new Rig();
    const group = { mode, group: "g" };
    for (const id of ["a", "b"]) await rig.subscribe(id, group);
    await rig.add();
    const [first] = rig.told.splice(0);
    await rig.unsubscribe(first?.startsWith("a") ? "b" : "a");
    await rig.time.pass(5000);
    expect(rig.told).toEqual([]);

    await rig.subscribe(first?.startsWith("a") ? "b" : "a", group);
    await rig.time.pass(5000);
    expect(rig.told.splice(0)).toHaveLength(1);
    const last = mode === "hash" ? first : "b q 1";
    await rig.unsubscribe(last?.startsWith("a") ? "a" : "b");
    await rig.time.pass(5000);
    expect(rig.told).toEqual([last?.startsWith("a") ? "b q 1" : "a q 1"]);
  }
});
