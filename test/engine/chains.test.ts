import { expect, test } from "bun:test";
import { formatGroupId, formatJobId } from "../../src/base/ids.ts";
import type { Chain, ChainPlan } from "../../src/engine/chains.ts";
import type { NewJob } from "../../src/engine/change.ts";
import { engineLimits } from "../../src/engine/limits.ts";
import { EngineRig } from "../support/engine-rig.ts";

const step = (queue: string, extra: Partial<NewJob> = {}): NewJob => ({
  queue,
  payload: "{}",
  ...extra,
});

/** A rig with a chain of three steps in the queues a, b and c; the number of its first job. */
function chained(plan: Partial<ChainPlan> = {}): { rig: EngineRig; first: number } {
  const rig = new EngineRig();
  const chain = { steps: [step("b"), step("c")], shard: 1, ...plan };
  return { rig, first: rig.add({ queue: "a", options: { chain, maxRetries: 1 } }) };
}

function chainOf(rig: EngineRig, first: number): Chain {
  const chain = rig.state.records("chain").get(String(first));
  if (chain === undefined) throw new Error(`no chain of job ${first}`);
  return chain;
}

const idOf = (rig: EngineRig, seq: number) => formatJobId(seq, rig.job(seq).createdAtMs, 1);

/** Claims the job that must be ready in a queue. */
function take(rig: EngineRig, queue: string) {
  const [job] = rig.claimMany(1, [queue]);
  if (job === undefined) throw new Error(`nothing is ready in ${queue}`);
  return job;
}

const payloadIn = (rig: EngineRig, queue: string) => take(rig, queue).payload;

test("[F20] each step begins when the one before is completed, and is told its result as it was sent", () => {
  const { rig, first } = chained({
    steps: [
      step("b", { payload: ' { "own": 1.0 } ', priority: 0 }),
      step("c", { payload: '{"previous_result":"mine"}' }),
    ],
  });
  expect(rig.claimMany(9, ["b", "c"])).toEqual([]);

  rig.ack(take(rig, "a"), { result: '{"n":12345678901234567890}' });
  const second = take(rig, "b");
  rig.ack(second, {});

  expect(second.priority).toBe(0);
  expect(second.payload).toBe(
    `{"previous_job_id":"${idOf(rig, first)}","previous_result":{"n":12345678901234567890},"own": 1.0}`,
  );
  expect(payloadIn(rig, "c")).toBe(
    `{"previous_job_id":"${idOf(rig, second.seq)}","previous_result":"mine"}`,
  );
  expect(chainOf(rig, first)).toMatchObject({ state: "running", at: 2, steps: 3 });
});

test.each(["[1]", "{1}", "not json", "~b 1 text/plain\nAA=="])(
  "[F20] [W4] a step whose payload is no object, %p, runs with it as it is",
  (payload) => {
    const { rig } = chained({ steps: [step("b", { payload })] });
    rig.ack(take(rig, "a"), {});

    expect(payloadIn(rig, "b")).toBe(payload);
  },
);

test("[F20] all jobs of a chain have its id, their step and the parent of the first", () => {
  const rig = new EngineRig();
  const chain = { steps: [step("b")], onExit: step("z"), shard: 1 };
  const first = rig.add({ queue: "a", options: { chain, parentId: "job_p" } });

  rig.ack(take(rig, "a"));
  rig.ack(take(rig, "b"));

  const chainId = formatGroupId("chn", { seq: first, createdAtMs: rig.nowMs, shard: 1 });
  const steps = [...rig.state.jobs.values()].map(({ options }) => options);
  expect(steps.map((one) => [one.chainId, one.chainStep, one.parentId])).toEqual([
    [chainId, 0, "job_p"],
    [chainId, 1, "job_p"],
    [chainId, -1, "job_p"],
  ]);
  expect(chainOf(rig, first)).toMatchObject({
    state: "completed",
    exitJob: [steps.length, rig.nowMs],
  });
});

test("[F21] a worker ends the chain early with its ack; what follows the end runs, the other steps do not", () => {
  const { rig, first } = chained({ onExit: step("z") });

  rig.ack(take(rig, "a"), { result: "7", exit: "nothing to do" });

  expect(chainOf(rig, first)).toMatchObject({ state: "exited", at: 0, reason: "nothing to do" });
  expect(payloadIn(rig, "z")).toBe(`{"previous_job_id":"${idOf(rig, first)}","previous_result":7}`);
  expect(rig.claimMany(9, ["b", "c"])).toEqual([]);
});

const deaths: readonly [how: string, error: string, kill: (rig: EngineRig, seq: number) => void][] =
  [
    ["failed", "boom", (rig) => rig.fail(take(rig, "a"))],
    ["was given up by its worker", "boom", (rig) => rig.fail(take(rig, "a"), { retryable: false })],
    [
      "lost its lease",
      "lease expired: w did not answer for 1000 ms",
      (rig) => {
        take(rig, "a");
        rig.pass(1000).tick();
      },
    ],
    ["expired", "job expired", (rig) => rig.pass(60_000).tick()],
    [
      "was rejected",
      "no",
      (rig, seq) => {
        rig.manage("hold", seq);
        rig.manage("reject", seq, { reason: "no" });
      },
    ],
  ];

test.each(deaths)(
  "[F22] when a step %s, the chain has failed and its handler is told",
  (_how, error, kill) => {
    const rig = new EngineRig();
    const chain = {
      steps: [step("b")],
      onFailure: step("f", { payload: '{"to":"ops"}' }),
      shard: 1,
    };
    const first = rig.add({ queue: "a", expireMs: 60_000, options: { chain, maxRetries: 1 } });

    kill(rig, first);

    expect(chainOf(rig, first).state).toBe("failed");
    expect(JSON.parse(payloadIn(rig, "f"))).toEqual({
      failed_job_id: idOf(rig, first),
      failed_step: 0,
      error,
      to: "ops",
    });
    expect(rig.claimMany(9, ["b"])).toEqual([]);
  },
);

test("[F22] with continue, the next step begins after a failure; the last one's failure is the chain's", () => {
  const { rig, first } = chained({
    onFailure: "continue",
    steps: [step("b", { options: { maxRetries: 1 } })],
  });

  rig.fail(take(rig, "a"));
  const second = take(rig, "b");
  expect(second.payload).toBe(`{"previous_job_id":"${idOf(rig, first)}","previous_error":"boom"}`);
  rig.fail(second);

  expect(chainOf(rig, first)).toMatchObject({ state: "failed", at: 1 });
});

test.each(["cancel", "delete"] as const)(
  "[F22] %s of the current step ends the chain, and nothing follows",
  (action) => {
    const { rig, first } = chained({ onFailure: step("f"), onExit: step("z") });

    rig.manage(action, first);

    expect(chainOf(rig, first).state).toBe("cancelled");
    expect(rig.claimMany(9, ["b", "c", "f", "z"])).toEqual([]);
  },
);

test("[F23] a step that is retried by hand takes the chain up again; its handler runs once, each step once", () => {
  const { rig, first } = chained({ onFailure: step("f") });
  for (let i = 0; i < 2; i++) {
    rig.fail(take(rig, "a"));
    rig.manage("retry", first);
    expect(chainOf(rig, first)).toMatchObject({ state: "running", finishedAtMs: 0 });
  }
  expect(rig.claimMany(9, ["f"])).toHaveLength(1);

  rig.ack(take(rig, "a"));
  rig.manage("retry", first);
  rig.ack(take(rig, "a"));

  expect(rig.claimMany(9, ["b"])).toHaveLength(1);
  expect(chainOf(rig, first)).toMatchObject({ state: "running", at: 1 });
});

test("[F24] nothing follows the job that follows", () => {
  const { rig, first } = chained({ onFailure: step("f", { options: { maxRetries: 1 } }) });
  rig.fail(take(rig, "a"));

  rig.fail(take(rig, "f"));

  expect(rig.claimMany(9, ["f", "b"])).toEqual([]);
  expect(rig.state.records("chain").size).toBe(1);
  expect(chainOf(rig, first).failureJob?.[0]).toBe(first + 1);
});

test("[F25] a chain that is over is forgotten when completed jobs are", () => {
  const { rig, first } = chained();
  rig.keep({ doneMs: 5000 });
  rig.manage("cancel", first);

  rig.pass(4999).tick();
  expect(rig.state.records("chain").size).toBe(1);
  rig.pass(1).tick();

  expect(rig.state.records("chain").size).toBe(0);
  expect(rig.engine.nextDeadlineMs()).toBeGreaterThan(rig.nowMs);
});

test("[F25] chains that are over are bounded in number, the first to end goes first", () => {
  const rig = new EngineRig();
  const apply = (changes: Parameters<typeof rig.engine.apply>[0]["changes"]) =>
    rig.engine.apply({ nowMs: rig.nowMs, seed: 0, changes });
  const chain = { steps: [step("b")], shard: 0 };
  const jobs = Array.from({ length: 1000 }, () => step("a", { options: { chain } }));
  const rounds = engineLimits.groupsKeptMax / 1000 + 1;
  for (let round = 0; round < rounds; round++) {
    apply([{ kind: "enqueue", jobs }]);
    const first = round * 1000 + 1;
    const seqs = Array.from({ length: 1000 }, (_, i) => first + i);
    apply([{ kind: "manage", action: "cancel", seqs }]);
  }

  expect(rig.state.records("chain").size).toBe(engineLimits.groupsKeptMax);
  expect(rig.state.records("chain").has("1000")).toBe(false);
  expect(rig.state.records("chain").has("1001")).toBe(true);
});

test("[J36] a waiting job that began a chain is not replaced, and one that would begin one replaces nobody", () => {
  const { rig, first } = chained();
  const key = { uniqueKey: "k", onConflict: "replace" } as const;
  const other = rig.add({ options: { chain: { steps: [step("b")], shard: 1 }, uniqueKey: "k" } });
  expect(rig.enqueue({ options: key })).toMatchObject({ kind: "rejected", code: "CONFLICT" });
  rig.add({ queue: "r", options: { uniqueKey: "k" } });
  const beginner = { ...key, chain: { steps: [step("b")], shard: 1 } };
  expect(rig.enqueue({ queue: "r", options: beginner })).toMatchObject({ code: "CONFLICT" });
  expect(chainOf(rig, other)).toMatchObject({ state: "running", at: 0 });
  expect(chainOf(rig, first).state).toBe("running");
});

test("[J35] a newcomer that cancels the first job of a chain ends the chain, and may begin its own", () => {
  const rig = new EngineRig();
  const options = {
    chain: { steps: [step("b")], shard: 1 },
    uniqueKey: "k",
    onConflict: "cancel",
  } as const;
  const first = rig.add({ options });
  const second = rig.add({ options });

  expect(chainOf(rig, first).state).toBe("cancelled");
  expect(chainOf(rig, second)).toMatchObject({ state: "running", jobs: [[second, rig.nowMs]] });
  expect(rig.enqueue({ options: { uniqueKey: "k" } })).toMatchObject({ seq: second });
});

test("[F23] a step that was completed once does not make its chain run again, whatever becomes of it by hand", () => {
  const rig = new EngineRig();
  const chain = { steps: [step("b")], shard: 1 };
  const first = rig.add({ queue: "a", options: { chain, maxRetries: 1 } });
  rig.ack(take(rig, "a"));
  const last = take(rig, "b");
  rig.ack(last);
  for (const end of ["fail", "ack"] as const) {
    rig.manage("retry", last.seq);
    if (end === "fail") rig.fail(take(rig, "b"), { retryable: false });
    else rig.ack(take(rig, "b"));
    expect(chainOf(rig, first)).toMatchObject({ state: "completed", at: 1 });
  }
});
