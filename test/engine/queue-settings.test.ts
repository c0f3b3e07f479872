import { expect, test } from "bun:test";
import { EngineRig } from "../support/engine-rig.ts";

const drain = (rig: EngineRig, queue: string, draining: boolean) =>
  rig.apply({ kind: "drainQueue", queue, draining });

test("[J80] a drained queue takes no new job and none by a move, and works off what it has", () => {
  const rig = new EngineRig();
  const first = rig.add();
  const elsewhere = rig.add({ queue: "r" });
  drain(rig, "q", true);

  expect(rig.enqueue()).toMatchObject({ kind: "rejected", code: "QUEUE_DRAINING" });
  expect(rig.manage("move", elsewhere, { queue: "q" })).toMatchObject({ code: "QUEUE_DRAINING" });
  const job = rig.claim();
  expect(job.seq).toBe(first);
  rig.fail(job);
  expect(rig.manage("retry", first)).toMatchObject({ state: "pending" });

  drain(rig, "q", false);
  expect(rig.enqueue()).toMatchObject({ kind: "added" });
  expect(rig.state.records("queueSettings").size).toBe(0);
});

test("[J80] what follows from earlier jobs is let into a drained queue: the next step of a chain, and the copy of a dead job", () => {
  const rig = new EngineRig();
  const chain = { steps: [{ queue: "later", payload: "{}" }], shard: 0 };
  rig.add({ options: { chain } });
  rig.add({ options: { maxRetries: 1, deadQueue: "later" } });
  drain(rig, "later", true);

  rig.ack(rig.claim());
  rig.fail(rig.claim());

  expect(rig.claimMany(5, ["later"])).toHaveLength(2);
});

test("[J81] jobs have the defaults of their queue where they say nothing, from when those are set until they are removed", () => {
  const rig = new EngineRig();
  const before = rig.add();
  const defaults = { maxRetries: 8, baseDelayMs: 70, timeoutMs: 900 };
  rig.apply({ kind: "setQueueDefaults", queue: "q", defaults, written: "{}" });
  const plain = rig.add();
  const own = rig.add({ options: { maxRetries: 1, tags: "{}" } });
  const step = { queue: "q", payload: "{}", options: { timeoutMs: 5 } };
  rig.add({ queue: "other", options: { chain: { steps: [step], shard: 0 } } });
  const [first] = rig.claimMany(1, ["other"]);
  if (first !== undefined) rig.ack(first);
  rig.apply({ kind: "setQueueDefaults", queue: "q" });
  const after = rig.add();

  expect(rig.job(before).options.maxRetries).toBe(3);
  expect(rig.job(plain).options).toMatchObject(defaults);
  expect(rig.job(own).options).toMatchObject({ ...defaults, maxRetries: 1, tags: "{}" });
  expect(rig.job(after - 1).options).toMatchObject({ ...defaults, timeoutMs: 5 });
  expect(rig.job(after).options).toMatchObject({ maxRetries: 3, timeoutMs: 0 });
});

test("[J81] a job that gives a share of jitter means the mode that has one, whatever the queue's is", () => {
  const rig = new EngineRig();
  rig.apply({ kind: "setQueueDefaults", queue: "q", defaults: { jitterMode: "full" } });

  expect(rig.job(rig.add({ options: { jitter: 0.5 } })).options).toMatchObject({
    jitter: 0.5,
    jitterMode: "additive",
  });
  expect(rig.job(rig.add()).options.jitterMode).toBe("full");
});

test("[J82] a dead job stays, and its payload goes to the dead queue as a new job that is not passed on again", () => {
  const rig = new EngineRig();
  const options = { maxRetries: 1, tags: '{"a":"b"}', deadQueue: "dead", uniqueKey: "k" };
  const seq = rig.add({ payload: '{"n":1.0}', priority: 1, options });
  rig.fail(rig.claim());

  const [copy] = rig.claimMany(5, ["dead"]);
  expect(rig.job(seq)).toMatchObject({ state: "dead", queue: "q" });
  expect(copy).toMatchObject({ payload: '{"n":1.0}', priority: 1, attempt: 1 });
  expect(copy?.options).toMatchObject({
    tags: '{"a":"b"}',
    deadOf: [seq, rig.job(seq).createdAtMs],
    maxRetries: 3,
    uniqueKey: undefined,
  });

  rig.apply({ kind: "setQueueDefaults", queue: "dead", defaults: { deadQueue: "q" } });
  if (copy !== undefined) rig.fail(copy, { retryable: false });
  expect(rig.claimMany(5)).toEqual([]);
});

test("[J82] whatever makes a job dead passes it on: its time, a lost lease, a rejection by hand; a retry can do so again", () => {
  const rig = new EngineRig();
  rig.apply({
    kind: "setQueueDefaults",
    queue: "q",
    defaults: { deadQueue: "dead", maxRetries: 1 },
  });
  rig.add({ expireMs: 10 });
  const held = rig.add();
  rig.manage("hold", held);
  rig.manage("reject", held);
  const lost = rig.add();
  rig.pass(20).tick();
  rig.claim(100);
  rig.pass(200).tick();
  expect(rig.claimMany(5, ["dead"])).toHaveLength(3);

  rig.manage("retry", lost);
  rig.fail(rig.claim());
  expect(rig.claimMany(5, ["dead"])).toHaveLength(1);
});
