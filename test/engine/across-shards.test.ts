/** What jobs of different shards mean to each other, with engines that are joined by hand. */
import { expect, test } from "bun:test";
import { formatGroupId } from "../../src/base/ids.ts";
import type { Change } from "../../src/engine/change.ts";
import { engineLimits } from "../../src/engine/limits.ts";
import type { Errand, Mail } from "../../src/engine/mail.ts";
import { ShardsRig } from "../support/shards-rig.ts";

const records = (rig: ShardsRig, shard: number, kind: "watchers" | "followers" | "mail") => [
  ...rig.at(shard).state.records(kind).entries(),
];

/** Nothing is left of what was said. */
function expectQuiet(rig: ShardsRig): void {
  rig.shards.forEach((_, shard) => {
    for (const kind of ["watchers", "followers", "mail"] as const) {
      expect(records(rig, shard, kind)).toEqual([]);
    }
  });
}

test("[F50] a job waits for jobs of other shards, and runs when all are completed", () => {
  const rig = new ShardsRig(3);
  const [a = "", b = "", c = ""] = rig.queues("q");
  const first = rig.add(a);
  const second = rig.add(b);
  const last = rig.add(c, { dependsOn: [first, second] });
  rig.settle();
  expect(rig.claim(c)).toBeUndefined();

  rig.run(a);
  rig.settle();
  rig.restart(2);
  expect(rig.claim(c)).toBeUndefined();
  rig.run(b);
  rig.settle();

  expect(rig.idOf(2, rig.run(c))).toBe(last);
  rig.settle();
  expectQuiet(rig);
});

for (const [end, reason] of [
  ["fail", "is dead"],
  ["cancel", "was cancelled"],
  ["delete", "was deleted"],
] as const) {
  test(`[F50] a job fails, waits or runs as it was asked to when one of another shard ${reason}`, () => {
    for (const isBefore of [true, false]) {
      const rig = new ShardsRig(2);
      const [a = "", b = ""] = rig.queues("q");
      const first = rig.add(a);
      const finish = () => (end === "fail" ? rig.run(a, "fail") : rig.manage(end, first));
      if (isBefore && end !== "delete") finish();
      const [failing = "", waiting = "", careless = ""] = (["fail", "wait", "ignore"] as const).map(
        (onDependencyFailure) => rig.add(b, { dependsOn: [first], onDependencyFailure }),
      );
      rig.settle();
      if (!isBefore || end === "delete") finish();
      rig.settle();

      expect(rig.job(failing)).toMatchObject({
        state: "dead",
        reason: `dependency ${first} ${reason}`,
      });
      expect(rig.idOf(1, rig.run(b))).toBe(careless);
      expect(rig.claim(b)).toBeUndefined();
      if (end === "delete") {
        expect(rig.job(waiting)?.state).toBe("dead");
      } else {
        rig.manage("retry", first);
        rig.settle();
        rig.run(a);
        rig.settle();
        expect(rig.idOf(1, rig.run(b))).toBe(waiting);
      }
      rig.settle();
      expectQuiet(rig);
    }
  });
}

test("[F50] a dependent that is run again by hand waits only for what is unfinished then", () => {
  const rig = new ShardsRig(2);
  const [a = "", b = ""] = rig.queues("q");
  const first = rig.add(a);
  const later = rig.add(b, { dependsOn: [first] });
  rig.settle();
  rig.run(a, "fail");
  rig.settle();
  expect(rig.job(later)?.state).toBe("dead");

  rig.manage("retry", later);
  rig.settle();
  rig.run(b, "fail");
  rig.manage("retry", first);
  rig.manage("retry", later);
  rig.settle();
  expect(rig.claim(b)).toBeUndefined();
  rig.run(a);
  rig.settle();

  rig.run(b);
  rig.settle();
  expectQuiet(rig);
});

test("[F51] a chain goes from shard to shard, and each step is told the result of the one before", () => {
  const rig = new ShardsRig(3);
  const [a = "", b = "", c = ""] = rig.queues("q");
  const step = (queue: string) => ({ queue, payload: "{}" });
  const chain = { steps: [b, c, a].map(step), onExit: step(b), shard: 0 };
  const { ids } = rig.enqueue([{ queue: a, payload: "{}", options: { chain } }]);
  const [first = ""] = ids;
  rig.run(a, "ack", { result: "1" });
  rig.settle();
  rig.restart(0);
  const second = rig.run(b, "ack", { result: "2" });
  expect(JSON.parse(second.payload)).toEqual({ previous_job_id: first, previous_result: 1 });
  rig.settle();
  rig.run(c, "fail");
  rig.settle();
  const records = rig.at(0).state.records("chain");
  const shown = () => [...records.entries()][0]?.[1];
  expect(shown()).toMatchObject({ state: "failed", at: 2 });
  const [third] = rig.jobsOf(c);
  rig.manage("retry", third === undefined ? "" : rig.idOf(2, third));
  rig.settle();
  expect(shown()).toMatchObject({ state: "running", at: 2 });
  rig.run(c, "ack", { result: "3" });
  rig.settle();
  expect(JSON.parse(rig.run(a).payload)).toMatchObject({ previous_result: 3 });
  rig.settle();
  rig.run(b);
  rig.settle();

  expect(shown()).toMatchObject({ state: "completed", at: 3 });
  expect(shown()?.jobs.map(([, , shard]) => shard)).toEqual([undefined, 1, 2, undefined]);
  expect(shown()?.exitJob?.[2]).toBe(1);
  expectQuiet(rig);
});

test("[F51] a step of another shard that is run again after the chain went on begins nothing", () => {
  const rig = new ShardsRig(3);
  const [a = "", b = "", c = ""] = rig.queues("q");
  const steps = [b, c, a].map((queue) => ({ queue, payload: "{}" }));
  rig.enqueue([{ queue: a, payload: "{}", options: { chain: { steps, shard: 0 } } }]);
  rig.run(a);
  rig.settle();
  const job = rig.run(b);
  rig.settle();

  rig.manage("retry", rig.idOf(1, job));
  rig.run(b);
  rig.settle();
  expect(rig.jobsOf(c)).toHaveLength(1);
  rig.manage("retry", rig.idOf(1, job));
  rig.manage("cancel", rig.idOf(1, job));
  rig.settle();

  const [chain] = [...rig.at(0).state.records("chain").entries()].map(([, found]) => found);
  expect(chain).toMatchObject({ state: "running", at: 2 });
});

test("[F51] [F52] what another shard cannot add fails its chain, is counted no more, and is named by its batch", () => {
  const rig = new ShardsRig(2);
  const [a = "", b = ""] = rig.queues("q");
  const step = { queue: b, payload: "{}" };
  const { batch } = rig.enqueue([{ queue: a, payload: "{}" }], {
    batch: { shard: 0, openMs: 5000, onComplete: step },
  });
  const [seq = 0, createdAtMs = 0] = batch ?? [];
  const batchId = formatGroupId("batch", { seq, createdAtMs, shard: 0 });
  const chain = { steps: [step], shard: 0 };
  rig.enqueue([{ queue: a, payload: "{}", options: { chain, batchId } }]);
  rig.apply(0, { kind: "sealBatch", batch: seq });
  rig.run(a);
  rig.run(a);
  const { mails } = rig.at(0).engine.post.after(1, 0, 10);
  const answer = (errand: Errand, first: number) =>
    rig.apply(0, {
      ...{ kind: "deliver", from: 1, first },
      mails: [{ kind: "added", errand, problem: "no room" }],
    });
  const errands = (from: readonly Mail[]) =>
    from.flatMap((mail) => (mail.kind === "add" && mail.errand ? [mail.errand] : []));

  const [ofStep] = errands(mails);
  if (ofStep === undefined) throw new Error("a step was sent");
  answer(ofStep, 1);
  const [, ofBatch] = errands(rig.at(0).engine.post.after(1, 0, 10).mails);
  if (ofBatch === undefined) throw new Error("a callback was sent");
  answer(ofBatch, 2);

  const [[, found] = []] = [...rig.at(0).state.records("chain").entries()];
  expect(found).toMatchObject({ state: "failed", reason: "no room", at: 0 });
  expect(found?.jobs).toHaveLength(1);
  const counted = rig.at(0).state.records("batch").get(String(seq));
  expect(counted).toMatchObject({ state: "completed", total: 2, completed: 2, reason: "no room" });
  expect(counted?.completeJob).toBeUndefined();
});

test("[F51] a worker of another shard ends a chain, and one that fails runs its handler once", () => {
  const rig = new ShardsRig(3);
  const [a = "", b = "", c = ""] = rig.queues("q");
  const step = (queue: string) => ({ queue, payload: "{}" });
  const chain = { steps: [step(b), step(a)], onExit: step(c), onFailure: step(c), shard: 0 };
  rig.enqueue([{ queue: a, payload: "{}", options: { chain } }]);
  rig.run(a);
  rig.settle();
  rig.run(b, "ack", { exit: "enough" });
  rig.settle();
  expect(JSON.parse(rig.run(c).payload)).toHaveProperty("previous_job_id");

  rig.enqueue([{ queue: a, payload: "{}", options: { chain } }]);
  rig.run(a);
  rig.settle();
  const { seq, createdAtMs } = rig.run(b, "fail");
  rig.settle();
  expect(JSON.parse(rig.run(c).payload)).toMatchObject({ failed_step: 1, error: "boom" });
  rig.manage("retry", rig.idOf(1, { ...rig.jobsOf(b)[1], seq, createdAtMs } as never));
  rig.run(b, "fail");
  rig.settle();

  expect(rig.claim(c)).toBeUndefined();
  expect(rig.claim(a)).toBeUndefined();
  const chains = [...rig.at(0).state.records("chain").entries()].map(([, found]) => found);
  expect(chains).toMatchObject([{ state: "exited", reason: "enough" }, { state: "failed" }]);
});

test("[F52] a batch counts jobs of all shards, and what follows its end runs once, wherever it is", () => {
  const rig = new ShardsRig(3);
  const [a = "", b = "", c = ""] = rig.queues("q");
  const onSuccess = { queue: b, payload: "{}" };
  const onComplete = { queue: c, payload: "{}" };
  const { batch } = rig.enqueue([{ queue: a, payload: "{}" }], {
    batch: { shard: 0, parts: 2, onSuccess, onComplete },
  });
  const [seq = 0, createdAtMs = 0] = batch ?? [];
  const id = formatGroupId("batch", { seq, createdAtMs, shard: 0 });
  const job = { payload: "{}" };
  rig.enqueue(
    [
      { queue: b, ...job },
      { queue: b, ...job },
    ],
    { partOf: id },
  );
  const record = () => rig.at(0).state.records("batch").get(String(seq));
  rig.run(a);
  expect(rig.claim(b)).toBeUndefined();
  rig.settle();
  rig.run(b);
  rig.settle();
  expect(record()).toMatchObject({ state: "open", total: 3, pending: 1 });
  rig.enqueue([{ queue: c, ...job }], { partOf: id });
  rig.settle();
  rig.run(c);
  rig.settle();
  expect(record()).toMatchObject({ state: "running", total: 4, pending: 1, completed: 3 });
  rig.run(b);
  rig.settle();

  expect(JSON.parse(rig.run(b).payload)).toMatchObject({ batch_id: id, total: 4, completed: 4 });
  expect(JSON.parse(rig.run(c).payload)).toMatchObject({ batch_id: id, total: 4 });
  expect(record()).toMatchObject({
    state: "completed",
    successJob: [expect.any(Number), rig.nowMs, 1],
  });
  rig.settle();
  expectQuiet(rig);
});

test("[F52] a job that comes to a sealed batch of another shard does not run, and is in no batch", () => {
  const rig = new ShardsRig(2);
  const [a = "", b = ""] = rig.queues("q");
  const { batch } = rig.enqueue([{ queue: a, payload: "{}" }], {
    batch: { shard: 0, openMs: 5000 },
  });
  const [seq = 0, createdAtMs = 0] = batch ?? [];
  const batchId = formatGroupId("batch", { seq, createdAtMs, shard: 0 });
  const inTime = rig.add(b, { batchId });
  const gone = rig.add(b, { batchId });
  rig.manage("cancel", gone);
  rig.settle();
  rig.apply(0, { kind: "sealBatch", batch: seq });
  const late = rig.add(b, { batchId });
  rig.settle();

  expect(rig.job(late)).toMatchObject({ state: "dead", options: { batchId: undefined } });
  expect(rig.at(0).state.records("batch").get(String(seq))).toMatchObject({
    total: 3,
    pending: 2,
    cancelled: 1,
  });
  rig.apply(0, { kind: "cancelBatch", batch: seq });
  rig.settle();
  expect(rig.job(inTime)).toMatchObject({ state: "cancelled" });
  expect(rig.at(0).state.records("batch").get(String(seq))?.state).toBe("cancelled");
  expectQuiet(rig);
});

test("[F52] a job that is cancelled and run again before it asked for its batch waits for the answer", () => {
  const rig = new ShardsRig(2);
  const [a = "", b = ""] = rig.queues("q");
  const made = rig.enqueue([{ queue: a, payload: "1" }], { batch: { shard: 0, openMs: 5000 } });
  const [number = 0, createdAtMs = 0] = made.batch ?? [];
  const batchId = formatGroupId("batch", { seq: number, createdAtMs, shard: 0 });
  const { state, engine } = rig.at(1);
  const seqs = [state.meta.nextNumber];
  const { nowMs } = rig;
  const changes: Change[] = [
    { kind: "enqueue", jobs: [{ queue: b, payload: "1", options: { batchId } }], across: true },
    { kind: "manage", action: "cancel", seqs },
    { kind: "manage", action: "retry", seqs },
  ];
  engine.apply({ nowMs, seed: 1, changes });
  rig.take(1, 0);
  while (rig.take(0, 1, { most: 1 }))
    if (state.records("joining").size > 0) expect(rig.claim(b)).toBeUndefined();
  rig.settle();

  expect(state.records("joining").size).toBe(0);
  expect(rig.at(0).state.records("batch").get(String(number))).toMatchObject({ total: 2 });
  expect(rig.claim(b)?.seq).toBe(seqs[0]);
});

test("[F52] a batch waits for all steps of a chain, though they are in other shards than it", () => {
  const rig = new ShardsRig(3);
  const [a = "", b = "", c = ""] = rig.queues("q");
  const step = (queue: string) => ({ queue, payload: "{}" });
  const onComplete = step(a);
  const { batch } = rig.enqueue([{ queue: a, payload: "{}" }], {
    batch: { shard: 0, openMs: 5000, onComplete },
  });
  const [seq = 0, createdAtMs = 0] = batch ?? [];
  const batchId = formatGroupId("batch", { seq, createdAtMs, shard: 0 });
  const chain = { steps: [c, a, b].map(step), shard: 1 };
  rig.enqueue([{ queue: b, payload: "{}", options: { chain, batchId } }]);
  rig.run(a);
  rig.settle();
  rig.apply(0, { kind: "sealBatch", batch: seq });
  for (const queue of [b, c, a]) {
    rig.run(queue);
    // One message at a time, the others later: whatever the order, no end may show in between.
    for (let i = 0; i < 20; i++) {
      for (const from of [2, 1, 0]) for (const to of [0, 1, 2]) rig.take(from, to, { most: 1 });
    }
    expect(rig.at(0).state.records("batch").get(String(seq))?.finishedAtMs).toBe(0);
    rig.settle();
  }
  rig.run(b);
  rig.settle();

  expect(rig.at(0).state.records("batch").get(String(seq))).toMatchObject({
    state: "completed",
    total: 5,
    completed: 5,
  });
  rig.run(a);
  rig.settle();
  expectQuiet(rig);
});

test("[F53] children in other shards are cancelled with their parent, and their children with them", () => {
  const rig = new ShardsRig(3);
  const [a = "", b = "", c = ""] = rig.queues("q");
  const parent = rig.add(a);
  const child = rig.add(b, { parentId: parent, cascadeCancel: true });
  const free = rig.add(b, { parentId: parent });
  const grandchild = rig.add(c, { parentId: child, cascadeCancel: true });
  rig.settle();

  rig.manage("cancel", parent);
  rig.settle();

  expect([child, grandchild].map((id) => rig.job(id)?.state)).toEqual(["cancelled", "cancelled"]);
  expect(rig.job(grandchild)?.reason).toBe(`cancelled with its parent ${child}`);
  expect(rig.job(free)?.state).toBe("pending");
  const late = rig.add(c, { parentId: parent, cascadeCancel: true });
  rig.settle();
  expect(rig.job(late)?.state).toBe("cancelled");
  expectQuiet(rig);
});

test("[F54] a dead job is passed on to a queue of another shard, and no further", () => {
  const rig = new ShardsRig(2);
  const [a = "", b = ""] = rig.queues("q");
  rig.apply(1, { kind: "setQueueDefaults", queue: b, across: true, defaults: { deadQueue: a } });
  rig.add(a, { deadQueue: b });
  const { seq, createdAtMs } = rig.run(a, "fail");
  rig.settle();

  const copy = rig.run(b, "fail");
  rig.settle();

  expect(copy.options.deadOf).toEqual([seq, createdAtMs, 0]);
  expect(rig.jobsOf(a)).toHaveLength(1);
});

test("[F54] defaults that pass dead jobs on to a queue of another shard make no queue of that name here", () => {
  const rig = new ShardsRig(2);
  const [a = "", deadQueue = ""] = rig.queues("q");
  const defaults = { deadQueue, maxRetries: 0 };
  rig.apply(0, { kind: "setQueueDefaults", queue: a, across: true, defaults });
  expect(rig.at(0).state.getQueue(deadQueue)).toBeUndefined();

  rig.add(a);
  rig.run(a, "fail");
  rig.settle();

  expect(rig.claim(deadQueue)).toBeDefined();
});

test("[F55] a shard of an older copy than the others writes behind what they have taken", () => {
  const rig = new ShardsRig(2);
  const older = new ShardsRig(2);
  const [a = "", b = ""] = rig.queues("q");
  for (let i = 0; i < 3; i++) {
    rig.add(a, { deadQueue: b });
    rig.run(a, "fail");
  }
  rig.settle();
  for (const mail of [rig.at(1).engine.post.takenFrom(0), 0]) {
    older.apply(0, { kind: "forgetMail", to: 1, through: mail });
  }
  older.add(a, { deadQueue: b });
  older.run(a, "fail");
  const { first, mails } = older.at(0).engine.post.after(1, 3, 10);
  rig.apply(1, { kind: "deliver", from: 0, first, mails });

  expect([first, mails.length]).toEqual([4, 1]);
  expect(rig.jobsOf(b)).toHaveLength(4);
});

test("[F55] what is brought twice is taken once, and an engine that starts anew goes on where it was", () => {
  const rig = new ShardsRig(2);
  const [a = "", b = ""] = rig.queues("q");
  for (let i = 0; i < 5; i++) rig.add(a, { deadQueue: b });
  for (let i = 0; i < 5; i++) rig.run(a, "fail");

  rig.take(0, 1, { most: 2 });
  rig.restart(1);
  rig.take(0, 1, { most: 2, again: 2 });
  rig.take(0, 1, { most: 1 });
  rig.restart(0);
  rig.forget(0, 1);
  rig.take(0, 1, { again: 1 });
  rig.settle();

  expect(rig.jobsOf(b)).toHaveLength(5);
  expectQuiet(rig);
});

test("[F55] while too many messages wait, only jobs that can give rise to none are added", () => {
  const rig = new ShardsRig(2);
  const [a = "", b = ""] = rig.queues("q");
  const { engine } = rig.at(0);
  const apply = (change: Change) =>
    engine.apply({ nowMs: rig.nowMs, seed: 1, changes: [change] })[0];
  const passedOn = { queue: a, payload: "{}", options: { deadQueue: b } };
  const count = engineLimits.mailMax;
  apply({ kind: "enqueue", jobs: Array.from({ length: count }, () => passedOn) });
  const claimed = apply({ kind: "claim", queues: [a], count, leaseMs: 1000 });
  const jobs = claimed?.kind === "claimed" ? claimed.jobs : [];
  const items = jobs.map(({ seq, token }) => ({ seq, token, error: "e", retryable: false }));
  apply({ kind: "fail", items });

  const chain = { steps: [{ queue: b, payload: "{}" }], shard: 0 };
  const begins = { queue: a, payload: "{}", options: { chain } };
  const added = () =>
    apply({ kind: "enqueue", jobs: [passedOn, begins, { queue: a, payload: "{}" }] });
  expect(added()).toMatchObject({
    results: [
      { code: "OVERLOADED", message: expect.stringContaining("mailMax") },
      { code: "OVERLOADED" },
      { kind: "added" },
    ],
  });
  apply({ kind: "forgetMail", to: 1, through: 1 });

  expect(added()).toMatchObject({ results: Array(3).fill({ kind: "added" }) });
});
