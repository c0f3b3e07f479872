import { expect, test } from "bun:test";
import { formatJobId } from "../../src/base/ids.ts";
import type { NewJob } from "../../src/engine/change.ts";
import { Engine } from "../../src/engine/engine.ts";
import { toldAloneLevel } from "../../src/engine/feature-levels.ts";
import { findViolations } from "../../src/engine/invariants.ts";
import { engineLimits } from "../../src/engine/limits.ts";
import type { DependencyFailure } from "../../src/engine/options.ts";
import { EngineRig, verdictOf } from "../support/engine-rig.ts";

const idOf = (rig: EngineRig, seq: number) => formatJobId(seq, rig.job(seq).createdAtMs, 0);

/** A job that depends on others, and what it does when one fails. */
function dependent(
  rig: EngineRig,
  on: readonly number[],
  onDependencyFailure: DependencyFailure = "fail",
): Partial<NewJob> {
  const dependsOn = on.map((seq) => idOf(rig, seq));
  return { queue: "later", options: { dependsOn, onDependencyFailure } };
}

const next = (rig: EngineRig) => rig.engine.nextReady("later");

test("[F10] a job is in no line until all that it depends on is completed, then at its end", () => {
  const rig = new EngineRig();
  const first = rig.add();
  const second = rig.add();
  const waiting = rig.add(dependent(rig, [first, second]));
  const plain = rig.add({ queue: "later" });
  rig.takeEffects();

  rig.ack(rig.claim());
  expect(rig.engine.openDependencies(waiting)).toEqual([second]);
  expect(rig.engine.claimable("later")).toBe(1);
  rig.ack(rig.claim());

  expect(rig.claimMany(5, ["later"]).map(({ seq }) => seq)).toEqual([plain, waiting]);
  expect(rig.takeEffects().readyQueues).toContain("later");
});

test("[F10] a job that waits can be cancelled, held, moved, rejected and deleted, and expires", () => {
  const rig = new EngineRig();
  const first = rig.add();
  const add = (extra: Partial<NewJob> = {}) => rig.add({ ...dependent(rig, [first]), ...extra });
  const [held, moved, urgent] = [add(), add(), add()];

  expect(verdictOf(rig.manage("cancel", add()))).toBe("cancelled");
  expect(verdictOf(rig.manage("delete", add()))).toBe("pending");
  const rejected = add();
  rig.manage("hold", rejected);
  expect(verdictOf(rig.manage("reject", rejected))).toBe("dead");
  expect(verdictOf(rig.manage("hold", held))).toBe("held");
  expect(verdictOf(rig.manage("approve", held))).toBe("pending");
  expect(verdictOf(rig.manage("move", moved, { queue: "other" }))).toBe("pending");
  expect(verdictOf(rig.manage("changePriority", urgent, { priority: 0 }))).toBe("pending");
  const short = add({ expireMs: 10 });
  rig.pass(10).tick();
  expect(rig.job(short).reason).toStartWith("job expired");
  expect(next(rig)).toBeUndefined();

  rig.ack(rig.claim());
  expect(rig.claimMany(9, ["later", "other"]).map(({ seq }) => seq)).toEqual([urgent, held, moved]);
});

test("[F10] a scheduled job waits for both its time and its dependencies, whichever comes first", () => {
  for (const isDueFirst of [true, false]) {
    const rig = new EngineRig();
    const first = rig.add();
    const seq = rig.add({ ...dependent(rig, [first]), delayMs: 50 });

    const events = [() => rig.pass(50).tick(), () => rig.ack(rig.claim())];
    if (!isDueFirst) events.reverse();
    events[0]?.();
    expect(next(rig)).toBeUndefined();
    events[1]?.();

    expect(next(rig)).toBe(seq);
  }
});

/** Every way in which a job can end without success. */
const failures: readonly [how: string, end: (rig: EngineRig, seq: number) => void, says: string][] =
  [
    ["dead", (rig) => rig.fail(rig.claim(), { retryable: false }), "is dead"],
    [
      "expired",
      (rig) => {
        rig.pass(100).tick();
      },
      "is dead",
    ],
    [
      "rejected",
      (rig, seq) => {
        rig.manage("hold", seq);
        rig.manage("reject", seq);
      },
      "is dead",
    ],
    ["cancelled", (rig, seq) => rig.manage("cancel", seq), "was cancelled"],
    ["deleted", (rig, seq) => rig.manage("delete", seq), "was deleted"],
  ];

test.each(failures)(
  "[F11] when what a job depends on is %s, it fails, waits or runs as it was asked to",
  (_how, end, says) => {
    const rig = new EngineRig();
    const first = rig.add({ expireMs: 100 });
    const id = idOf(rig, first);
    const [failing, waiting, careless] = (["fail", "wait", "ignore"] as const).map((policy) =>
      rig.add(dependent(rig, [first], policy)),
    ) as [number, number, number];
    const indirect = rig.add(dependent(rig, [failing]));

    end(rig, first);

    expect(rig.job(failing)).toMatchObject({ state: "dead", reason: `dependency ${id} ${says}` });
    expect(rig.attempts(failing)).toMatchObject([{ outcome: "dependency_failed" }]);
    expect(rig.job(indirect).reason).toBe(`dependency ${idOf(rig, failing)} is dead`);
    expect(rig.job(waiting).state).toBe(says === "was deleted" ? "dead" : "pending");
    expect(next(rig)).toBe(careless);
  },
);

test("[F11] a job that waits for a retry runs after it, and fails when retention takes the hope away", () => {
  const rig = new EngineRig();
  const repaired = rig.add();
  const lost = rig.add();
  const hopeful = rig.add(dependent(rig, [repaired], "wait"));
  const hopeless = rig.add(dependent(rig, [lost], "wait"));
  rig.manage("cancel", repaired);
  rig.manage("cancel", lost);

  rig.manage("retry", repaired);
  rig.ack(rig.claim());
  rig.keep({ doneMs: 1000, deadMs: 3_600_000 });
  rig.pass(60_000).tick();

  expect(next(rig)).toBe(hopeful);
  expect(rig.job(hopeless).reason).toContain("was removed after its retention time");
});

test("[F11] it makes no difference whether the end came before or after the enqueue", () => {
  const rig = new EngineRig();
  const dead = rig.add();
  rig.fail(rig.claim(), { retryable: false });
  const done = rig.add();
  rig.ack(rig.claim());

  const failing = rig.add(dependent(rig, [done, dead]));
  const waiting = rig.add(dependent(rig, [dead], "wait"));
  const ready = rig.add(dependent(rig, [done]));
  const careless = rig.add(dependent(rig, [dead], "ignore"));

  expect(rig.job(failing).state).toBe("dead");
  expect(rig.engine.openDependencies(waiting)).toEqual([dead]);
  expect(rig.claimMany(9, ["later"]).map(({ seq }) => seq)).toEqual([ready, careless]);
});

test("[F12] an unknown dependency refuses the whole call, unless it may be ignored", () => {
  const rig = new EngineRig();
  const unknown = "job_0000000000000000000000009f";

  const refused = rig.apply({
    kind: "enqueue",
    jobs: [
      { queue: "q", payload: "{}" },
      { queue: "q", payload: "{}", options: { dependsOn: [unknown] } },
    ],
  });
  const added = rig.add({ options: { dependsOn: [unknown], onDependencyFailure: "ignore" } });

  expect(refused).toMatchObject({ kind: "rejected", code: "NOT_FOUND" });
  expect(JSON.stringify(refused)).toContain(`jobs[1]: depends_on: no job \\"${unknown}\\"`);
  expect(rig.engine.nextReady("q")).toBe(added);
  expect(rig.state.jobs.size).toBe(1);
});

test("[F12] jobs of one call may depend on earlier ones, also on one that was there already", () => {
  const rig = new EngineRig();
  const holder = rig.add({ options: { uniqueKey: "k" } });
  const job = (dependsOn: readonly string[], uniqueKey?: string): NewJob => ({
    queue: "q",
    payload: "{}",
    options: { dependsOn, uniqueKey },
  });

  const outcome = rig.apply({
    kind: "enqueue",
    jobs: [
      { queue: "q", payload: "{}", options: { uniqueKey: "k" } },
      job(["$0"]),
      job(["$0", "$1"]),
    ],
  });

  const results = outcome.kind === "enqueued" ? outcome.results : [];
  const [, second, third] = results.map((result) => (result.kind === "rejected" ? 0 : result.seq));
  expect(rig.engine.openDependencies(second ?? 0)).toEqual([holder]);
  expect(rig.engine.openDependencies(third ?? 0)).toEqual([holder, second ?? 0]);
  expect(rig.job(second ?? 0).options.dependsOn).toEqual([
    formatJobId(holder, rig.job(holder).createdAtMs, 0),
  ]);
});

test("[F13] dead jobs that are retried together wait for each other again; one retried alone runs", () => {
  const rig = new EngineRig();
  const first = rig.add();
  const second = rig.add(dependent(rig, [first]));
  const third = rig.add(dependent(rig, [second]));
  rig.fail(rig.claim(), { retryable: false });
  expect(rig.job(third).state).toBe("dead");

  rig.manage("retry", third);
  expect(next(rig)).toBe(third);
  rig.manage("cancel", third);
  for (const seq of [first, second, third]) rig.manage("retry", seq);

  expect(rig.engine.openDependencies(third)).toEqual([second]);
  rig.ack(rig.claim());
  expect(next(rig)).toBe(second);
});

test("[F1] a wide fan and a long chain end in bounded steps, also across a start in the middle", () => {
  const rig = new EngineRig();
  const first = rig.add();
  const fan: NewJob[] = Array.from({ length: 2500 }, () => ({
    queue: "fan",
    payload: "{}",
    options: { dependsOn: [idOf(rig, first)] },
  }));
  const chain: NewJob[] = Array.from({ length: 1500 }, (_, i) => ({
    queue: "chain",
    payload: "{}",
    options: { dependsOn: [i === 0 ? idOf(rig, first) : `$${i - 1}`] },
  }));
  const engine = rig.engine;
  const apply = (jobs: readonly NewJob[]) =>
    engine.apply({ nowMs: rig.nowMs, seed: 0, changes: [{ kind: "enqueue", jobs }] });
  apply(fan);
  apply(chain);
  const cancel = { kind: "manage", action: "cancel", seqs: [first] } as const;

  engine.apply({ nowMs: rig.nowMs, seed: 0, changes: [cancel] });
  const afterOne = rig.state.getQueue("fan")?.counts.dead;
  const restarted = new Engine(rig.state);
  let batches = 0;
  while (restarted.nextDeadlineMs() <= rig.nowMs) {
    restarted.apply({
      nowMs: rig.nowMs,
      seed: 0,
      changes: [{ kind: "advanceTime", limit: 1 }],
    });
    batches++;
  }

  expect(afterOne).toBe(1001);
  expect(batches).toBe(5);
  expect(rig.state.getQueue("fan")?.counts.dead).toBe(2500);
  expect(rig.state.getQueue("chain")?.counts.dead).toBe(1500);
  expect(findViolations(rig.state.contents(), restarted)).toEqual([]);
  expect([...rig.state.contents().records()]).toEqual([]);
});

test("[F1] [F11] that many wait already for a retry of a dead job makes no more work of one that comes, and the retry lets all of them go", () => {
  const rig = new EngineRig();
  rig.state.meta.featureLevel = toldAloneLevel;
  const first = rig.add({ options: { maxRetries: 1 } });
  rig.fail(rig.claim());
  const { nowMs, engine } = rig;
  const job = { queue: "later", payload: "{}", ...dependent(rig, [first], "wait") };
  const jobs = Array.from({ length: 1000 }, () => job);
  for (let call = 0; call < 5; call++) {
    engine.apply({ nowMs, seed: 0, changes: [{ kind: "enqueue", jobs }] });
    expect(engine.nextDeadlineMs()).toBeGreaterThan(nowMs);
  }

  rig.manage("retry", first);
  rig.ack(rig.claim());
  while (engine.nextDeadlineMs() <= nowMs) rig.tick();
  expect(engine.readyCount("later")).toBe(5 * jobs.length);
});

test("[F14] open dependencies are bounded over all jobs, and make room when they end", () => {
  const rig = new EngineRig();
  const apply = (jobs: readonly NewJob[]) =>
    rig.engine.apply({ nowMs: rig.nowMs, seed: 0, changes: [{ kind: "enqueue", jobs }] })[0];
  const plain: NewJob = { queue: "q", payload: "{}" };
  apply(Array.from({ length: 1000 }, () => plain));
  const dependsOn = [...rig.state.jobs.keys()].map((seq) => idOf(rig, seq));
  const greedy: NewJob = { ...plain, options: { dependsOn } };
  for (let i = 0; i < engineLimits.dependenciesMax / 1000; i++) apply([greedy]);

  const refused = apply([greedy]);
  rig.engine.apply({
    nowMs: rig.nowMs,
    seed: 0,
    changes: [{ kind: "manage", action: "cancel", seqs: [1001] }],
  });

  expect(refused).toMatchObject({ kind: "rejected", code: "OVERLOADED" });
  expect(JSON.stringify(refused)).toContain("dependenciesMax");
  expect(apply([greedy])).toMatchObject({ kind: "enqueued" });
});
