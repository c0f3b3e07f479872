/** Limits, pauses, order and turns by example. Every combination is in `limits-model.test.ts`. */
import { expect, test } from "bun:test";
import type { Lane } from "../../src/engine/limits/lane.ts";
import type { LimitTarget, LimitValues } from "../../src/engine/limits/setting.ts";
import { engineLimits } from "../../src/engine/limits.ts";
import { EngineRig, verdictOf } from "../support/engine-rig.ts";

const ofQueue: LimitTarget = { scope: "queue", queue: "q", name: "" };
const eachKey: LimitTarget = { scope: "eachKey", queue: "q", name: "" };
const eachGroup: LimitTarget = { scope: "eachGroup", queue: "q", name: "" };
const resource = (name: string): LimitTarget => ({ scope: "resource", queue: "", name });
const group = (name: string): LimitTarget => ({ scope: "group", queue: "q", name });

function set(rig: EngineRig, target: LimitTarget, values: LimitValues) {
  return rig.apply({ kind: "setLimit", target, values });
}

function add(rig: EngineRig, lane: Lane, queue = "q"): number {
  return rig.add({ queue, options: { lane } });
}

const seqsOf = (jobs: readonly { seq: number }[]) => jobs.map(({ seq }) => seq);

test("[LM2] a unit comes back once, however the lease that holds it ends", () => {
  const endings: readonly ((rig: EngineRig, job: { seq: number; token: number }) => void)[] = [
    (rig, job) => rig.ack(job),
    (rig, job) => rig.fail(job),
    (rig, job) => rig.fail(job, { retryable: false }),
    (rig, job) => rig.release(job),
    (rig, job) => rig.release(job, 500),
    (rig, { seq }) => rig.manage("cancel", seq),
    (rig, { seq }) => rig.manage("delete", seq),
    (rig, { seq }) => rig.manage("hold", seq),
    (rig) => rig.pass(2000).tick(),
  ];
  for (const end of endings) {
    const rig = new EngineRig();
    set(rig, eachKey, { concurrency: 1 });
    set(rig, resource("r"), { concurrency: 3 });
    const lane: Lane = { key: "k", resources: [["r", 2]] };
    add(rig, lane);
    add(rig, lane);
    const job = rig.claim();
    expect(rig.claimMany(5)).toEqual([]);
    expect(rig.engine.limits.status(resource("r"), rig.nowMs).used).toBe(2);

    end(rig, job);
    rig.ack(job);

    expect(rig.engine.limits.status(resource("r"), rig.nowMs).used).toBe(0);
    expect(rig.claimMany(5)).toHaveLength(1);
    expect(rig.engine.limits.status({ scope: "key", queue: "q", name: "k" }, rig.nowMs).used).toBe(
      1,
    );
  }
});

test("[LM1] [LM2] a resource is shared by queues, and a claim over both sees what it takes on the way", () => {
  const rig = new EngineRig();
  set(rig, resource("r"), { concurrency: 3 });
  const a = add(rig, { resources: [["r", 2]] }, "q");
  add(rig, { resources: [["r", 2]] }, "p");
  const c = add(rig, { resources: [["r", 1]] }, "p");

  expect(seqsOf(rig.claimMany(9, ["p", "q"]))).toEqual([a, c]);
});

test("[LM1] what a claim takes on the way changes whose turn it is in other queues too", () => {
  const rig = new EngineRig();
  set(rig, resource("r"), { concurrency: 1 });
  rig.add({ queue: "q" });
  const without = rig.add({ queue: "q" });
  const last = add(rig, { group: "g", fifo: "f", resources: [["r", 1]] });
  add(rig, { group: "g", fifo: "f" });
  rig.ack(rig.claim());
  const later = rig.add({ queue: "p" });
  // To the end of the line, while the turn of its group stands.
  rig.manage("hold", last);
  rig.manage("approve", last);
  const first = rig.add({ queue: "p", priority: 0, options: { lane: { resources: [["r", 1]] } } });

  // The first claim takes the unit that the job of g would need, and with it that group's turn.
  expect(seqsOf(rig.claimMany(3, ["p", "q"]))).toEqual([first, without, later]);
});

test("[LM4] a job that needs more than there can be runs alone", () => {
  const rig = new EngineRig();
  set(rig, resource("r"), { concurrency: 2 });
  const small = add(rig, { resources: [["r", 1]] });
  const large = add(rig, { resources: [["r", 9]] });

  const [first] = rig.claimMany(9);
  expect(first?.seq).toBe(small);
  rig.ack({ seq: small });

  expect(seqsOf(rig.claimMany(9))).toEqual([large]);
});

test("[LM5] a limit holds from the next claim on, and goes on as it was when it is set again", () => {
  const rig = new EngineRig();
  for (let i = 0; i < 8; i++) rig.add();
  expect(rig.claimMany(3)).toHaveLength(3);
  const rate = { kind: "sliding", count: 1, windowMs: 1000 } as const;

  set(rig, ofQueue, { concurrency: 2 });
  expect(rig.claimMany(9)).toEqual([]);
  set(rig, ofQueue, { rate });
  expect(rig.claimMany(9)).toHaveLength(1);
  set(rig, ofQueue, { rate, concurrency: 100 });
  expect(rig.claimMany(9)).toEqual([]);
  set(rig, ofQueue, { rate: { ...rate, count: 2 } });
  expect(rig.claimMany(9)).toHaveLength(2);
  rig.apply({ kind: "removeLimit", target: ofQueue });
  expect(rig.claimMany(9)).toHaveLength(2);
  expect(rig.apply({ kind: "removeLimit", target: ofQueue })).toMatchObject({ code: "NOT_FOUND" });
});

test("[LM6] a pause that a worker raises stops others of the key until its time, and may keep the attempt", () => {
  const rig = new EngineRig();
  const [one, two] = [add(rig, { key: "k" }), add(rig, { key: "k" })];
  rig.claimMany(2);
  const other = add(rig, { key: "l" });
  const pause = { scope: "key", pauseMs: 3000 } as const;
  const shorter = { scope: "key", pauseMs: 10 } as const;

  rig.apply({ kind: "fail", items: [{ seq: one, error: "429", pause, keepAttempt: true }] });
  rig.apply({ kind: "release", items: [{ seq: two, pause: shorter }] });

  expect(rig.job(one)).toMatchObject({ state: "pending", attempt: 0 });
  expect(seqsOf(rig.claimMany(9, ["q"], 60_000))).toEqual([other]);
  expect(rig.engine.nextWakeMs()).toBe(rig.nowMs + 3000);
  expect(rig.pass(2999).claimMany(9)).toEqual([]);
  expect(seqsOf(rig.pass(1).claimMany(9))).toEqual([one, two]);
});

test("[LM6] a pause of a key asked for by a job without one is refused, and its lease goes on", () => {
  const rig = new EngineRig();
  rig.add();
  const { seq, token } = rig.claim();
  const pause = { scope: "key", pauseMs: 3000 } as const;

  const outcome = rig.apply({ kind: "fail", items: [{ seq, token, error: "429", pause }] });

  expect(verdictOf(itemOf(outcome))).toBe("VALIDATION_ERROR");
  expect(rig.job(seq).state).toBe("active");
});

test("[LM7] a job that waits for its retry, is scheduled or held keeps its key, and priority changes nothing", () => {
  const rig = new EngineRig();
  const options = { maxRetries: 3, baseDelayMs: 500, lane: { fifo: "f" } };
  const first = rig.add({ delayMs: 100, options });
  const second = rig.add({ priority: 0, options });

  expect(rig.claimMany(9)).toEqual([]);
  rig.pass(100).tick();
  expect(seqsOf(rig.claimMany(9))).toEqual([first]);
  rig.fail({ seq: first });
  expect(rig.claimMany(9)).toEqual([]);
  rig.manage("hold", first);
  expect(rig.claimMany(9)).toEqual([]);
  expect(rig.engine.limits.blockedKeys("q", "", 10)).toEqual([
    { key: "f", holder: first, waiting: 1 },
  ]);
  rig.manage("cancel", first);
  expect(seqsOf(rig.claimMany(9))).toEqual([second]);
  rig.manage("retry", first);
  expect(rig.claimMany(9)).toEqual([]);
  expect(rig.engine.why.job(rig.job(first), rig.nowMs)).toEqual([
    { kind: "fifo", key: "f", holder: second },
  ]);
  rig.ack({ seq: second });
  expect(seqsOf(rig.claimMany(9))).toEqual([first]);
});

test("[LM8] groups take turns by weight, whatever their backlogs, and save up none", () => {
  const rig = new EngineRig();
  set(rig, group("big"), { weight: 3 });
  for (let i = 0; i < 100; i++) add(rig, { group: "big" });
  for (let i = 0; i < 40; i++) add(rig, { group: "small" });
  const served = (count: number) => {
    const groups = rig.claimMany(count).map((job) => job.options.lane?.group ?? "none");
    return Object.fromEntries(
      [...new Set(groups)]
        .sort()
        .map((name) => [name, groups.filter((one) => one === name).length]),
    );
  };

  expect(served(40)).toEqual({ big: 30, small: 10 });
  for (let i = 0; i < 40; i++) rig.add();
  expect(served(50)).toEqual({ big: 30, none: 10, small: 10 });
  set(rig, group("big"), { weight: 1 });
  expect(served(30)).toEqual({ big: 10, none: 10, small: 10 });
});

test("[LM9] a group's backlog is bounded, by what was set for it or for each", () => {
  const rig = new EngineRig();
  set(rig, eachGroup, { backlog: 2 });
  set(rig, group("big"), { backlog: 3 });
  const verdicts = (name: string) =>
    Array.from({ length: 4 }, () => {
      const result = rig.enqueue({ options: { lane: { group: name } } });
      return result.kind === "rejected" ? result.message : result.kind;
    });

  expect(verdicts("big").slice(0, 3)).toEqual(["added", "added", "added"]);
  expect(verdicts("small")).toEqual([
    "added",
    "added",
    ...Array(2).fill(
      'group "small" of queue "q" has 2 waiting jobs; at most 2 (its backlog limit)',
    ),
  ]);
  rig.claimMany(9);
  expect(verdicts("small")[0]).toBe("added");
});

test("a queue that is deleted takes its limits along", () => {
  const rig = new EngineRig();
  set(rig, ofQueue, { concurrency: 1 });
  set(rig, eachKey, { concurrency: 1 });
  rig.apply({ kind: "pauseLimit", target: ofQueue, pauseMs: 1000 });

  expect(rig.apply({ kind: "deleteQueue", queue: "q" })).toEqual({ kind: "ok" });
  for (let i = 0; i < 3; i++) add(rig, { key: "k" });

  expect(rig.claimMany(9)).toHaveLength(3);
  expect([...rig.state.contents().records()]).toEqual([]);
});

test("the number of limits is bounded by limitsMax", () => {
  const rig = new EngineRig();
  const limits = rig.state.records("limits");
  for (let i = 0; i < engineLimits.limitsMax; i++) {
    const target = resource(`r${i}`);
    limits.put(`resource\n\nr${i}`, { target, revision: 1, concurrency: 1 });
  }

  expect(set(rig, resource("one more"), { concurrency: 1 })).toMatchObject({
    code: "LIMIT_EXCEEDED",
    message: `resource "one more" would be limit number 100001; at most 100000 (limitsMax)`,
  });
});

test("what was spent is forgotten when it is back at rest", () => {
  const rig = new EngineRig();
  set(rig, eachKey, { rate: { kind: "token", count: 1, windowMs: 1000 } });
  for (let i = 0; i < 50; i++) add(rig, { key: `k${i}` });
  expect(rig.claimMany(100)).toHaveLength(50);
  expect(rig.state.records("limitStates").size).toBe(50);

  rig.pass(1000).tick();

  expect(rig.state.records("limitStates").size).toBe(0);
});

function itemOf(outcome: ReturnType<EngineRig["apply"]>) {
  const [result] = outcome.kind === "items" ? outcome.results : [];
  if (result === undefined) throw new Error(`no result: ${JSON.stringify(outcome)}`);
  return result;
}

test("[LM1] [LM2] a claim takes no more of a queue than it may give, whatever its jobs require of workers", () => {
  const rig = new EngineRig();
  set(rig, ofQueue, { concurrency: 1 });
  const first = add(rig, { requires: ["gpu=1"], resources: [["r", 1]] });
  const second = rig.add();
  const claim = { kind: "claim", queues: ["q"], labels: ["gpu=1"], leaseMs: 1000 } as const;

  const both = rig.apply({ ...claim, count: 2 });
  expect(both.kind === "claimed" && seqsOf(both.jobs)).toEqual([first]);
  rig.ack({ seq: first });
  const rest = rig.apply({ ...claim, count: 2 });
  expect(rest.kind === "claimed" && seqsOf(rest.jobs)).toEqual([second]);
});
