import { expect, test } from "bun:test";
import { type JobState, jobStates } from "../../src/engine/job.ts";
import { engineLimits } from "../../src/engine/limits.ts";
import { EngineRig, verdictOf } from "../support/engine-rig.ts";

/** A rig with one job in the given state. */
function rigWith(state: JobState): { rig: EngineRig; seq: number } {
  const rig = new EngineRig();
  const seq = rig.add(state === "scheduled" ? { delayMs: 60_000 } : {});
  if (["active", "retrying", "completed", "dead"].includes(state)) {
    const job = rig.claim(600_000);
    if (state === "retrying") rig.fail(job);
    if (state === "completed") rig.ack(job);
    if (state === "dead") rig.fail(job, { retryable: false });
  }
  if (state === "cancelled") rig.manage("cancel", seq);
  if (state === "held") rig.manage("hold", seq);
  expect(rig.job(seq).state).toBe(state);
  return { rig, seq };
}

/** What each operator's action makes of a job in each state; a code where it is refused. */
const actions = {
  retry: { to: "pending", from: ["dead", "cancelled", "completed", "scheduled", "retrying"] },
  requeue: { to: "pending", from: ["dead"] },
  cancel: { to: "cancelled", from: ["pending", "scheduled", "retrying", "held", "active"] },
  hold: { to: "held", from: ["pending", "scheduled", "retrying", "active"] },
  approve: { to: "pending", from: ["held"] },
  reject: { to: "dead", from: ["held"] },
} as const;

test.each(Object.entries(actions))(
  "[J1] [J2] [J71] [J72] %s moves a job from its states and is refused in all others",
  (name, rule) => {
    const action = name as keyof typeof actions;
    for (const state of jobStates) {
      const { rig, seq } = rigWith(state);
      const before = rig.job(seq);
      const result = rig.manage(action, seq);

      const code = `${action === "requeue" ? "RETRY" : action.toUpperCase()}_ERROR`;
      const isAllowed = rule.from.some((from) => from === state);
      expect([state, verdictOf(result)]).toEqual([state, isAllowed ? rule.to : code]);
      if (!isAllowed) expect(rig.job(seq)).toEqual(before);
    }
  },
);

test("[J2] each job of a call has its own answer, and an unknown one is NOT_FOUND", () => {
  const rig = new EngineRig();
  const seq = rig.add();

  const outcome = rig.apply({ kind: "manage", action: "cancel", seqs: [99, seq, seq] });

  expect(outcome).toMatchObject({
    results: [
      { code: "NOT_FOUND" },
      { kind: "done", state: "cancelled" },
      { code: "CANCEL_ERROR", message: "the job is cancelled" },
    ],
  });
});

test("[J3] queues exist from their first use, up to queuesMax", () => {
  const rig = new EngineRig();
  const spec = { payload: "{}" };
  const jobs = Array.from({ length: engineLimits.queuesMax - 1 }, (_, i) => ({
    ...spec,
    queue: `q${i}`,
  }));
  rig.engine.apply({ nowMs: rig.nowMs, seed: 0, changes: [{ kind: "enqueue", jobs }] });
  rig.engine.apply({
    nowMs: rig.nowMs,
    seed: 0,
    changes: [{ kind: "pauseQueue", queue: "paused first", paused: true }],
  });

  const [outcome] = rig.engine.apply({
    nowMs: rig.nowMs,
    seed: 0,
    changes: [
      {
        kind: "enqueue",
        jobs: [
          { ...spec, queue: "one too many" },
          { ...spec, queue: "q0" },
        ],
      },
    ],
  });

  expect(outcome).toMatchObject({
    results: [
      { code: "LIMIT_EXCEEDED", message: expect.stringContaining("queuesMax") },
      { kind: "added" },
    ],
  });
});

test("[J4] a delay or a time makes a job wait, even a time that is past; no delay does not", () => {
  const rig = new EngineRig();
  const later = rig.add({ delayMs: 1000 });
  const past = rig.add({ scheduledAtMs: rig.nowMs - 5 });
  const now = rig.add({ delayMs: 0 });

  expect([later, past, now].map((seq) => rig.job(seq).state)).toEqual([
    "scheduled",
    "scheduled",
    "pending",
  ]);
  rig.tick();
  expect(rig.job(past).state).toBe("pending");
  rig.pass(999).tick();
  expect(rig.job(later).state).toBe("scheduled");
  rig.pass(1).tick();
  expect(rig.job(later).state).toBe("pending");
});

test("[J10] priority comes first, then the time of becoming ready, exactly so over several queues", () => {
  const rig = new EngineRig();
  const a = rig.add({ queue: "a", priority: 5 });
  const b = rig.add({ queue: "b", priority: 1 });
  const c = rig.add({ queue: "a", priority: 1 });
  const d = rig.add({ queue: "b", priority: 5 });
  const e = rig.add({ queue: "c", priority: 0 });

  const claimed = rig.claimMany(10, ["b", "a", "b"]);

  expect(claimed.map(({ seq }) => seq)).toEqual([b, c, a, d]);
  expect(rig.job(e).state).toBe("pending");
});

test("[J11] a job that comes back, moves or changes priority goes to the end of its line", () => {
  const rig = new EngineRig();
  const [first, second, third] = [rig.add(), rig.add(), rig.add()];
  rig.release(rig.claim());
  rig.manage("changePriority", second, { priority: 2 });
  const elsewhere = rig.add({ queue: "other" });
  rig.manage("move", elsewhere, { queue: "q" });

  expect(rig.claimMany(9).map(({ seq }) => seq)).toEqual([third, first, second, elsewhere]);
});

test("[J12] a paused queue hands out nothing; its jobs become due and what is active is finished", () => {
  const rig = new EngineRig();
  rig.add();
  const active = rig.claim(60_000);
  const later = rig.add({ delayMs: 10 });
  rig.apply({ kind: "pauseQueue", queue: "q", paused: true });
  rig.pass(10).tick();

  expect(rig.claimMany(5)).toEqual([]);
  expect(rig.job(later).state).toBe("pending");
  expect(verdictOf(rig.ack(active))).toBe("completed");
  rig.apply({ kind: "pauseQueue", queue: "q", paused: false });
  expect(rig.takeEffects().readyQueues.has("q")).toBe(true);
  expect(rig.claimMany(5).map(({ seq }) => seq)).toEqual([later]);
});

test("[J13] what fell due while nobody looked happens in the order of its times, bounded per step", () => {
  const rig = new EngineRig();
  const late = rig.add({ delayMs: 300 });
  const soon = rig.add({ delayMs: 100 });
  const middle = rig.add({ delayMs: 200 });
  rig.pass(1000);

  const step = rig.apply({ kind: "advanceTime", limit: 2 });
  expect(step).toEqual({ kind: "advanced", steps: 2, more: true });
  expect(rig.apply({ kind: "advanceTime", limit: 2 })).toMatchObject({ steps: 1, more: false });
  expect(rig.claimMany(3).map(({ seq }) => seq)).toEqual([soon, middle, late]);
});

test("[J70] retry counts from zero and clears what the last attempts left; requeue keeps the count", () => {
  for (const [action, attempt] of [
    ["retry", 0],
    ["requeue", 1],
  ] as const) {
    const { rig, seq } = rigWith("dead");
    rig.manage(action, seq);

    expect(rig.job(seq)).toMatchObject({ attempt, history: 1, reason: undefined, finishedAtMs: 0 });
    expect(rig.attempts(seq)).toHaveLength(1);
  }
});

test("[J73] [J74] an active job cannot move, and only waiting ones change priority", () => {
  for (const state of jobStates) {
    const { rig, seq } = rigWith(state);
    const moved = rig.manage("move", seq, { queue: "other" });
    const changed = rig.manage("changePriority", seq, { priority: 0 });

    expect([state, verdictOf(moved)]).toEqual([state, state === "active" ? "MOVE_ERROR" : state]);
    const waits = ["pending", "scheduled", "retrying"].includes(state);
    expect([state, verdictOf(changed)]).toEqual([state, waits ? state : "BULK_ERROR"]);
  }
});

test("[J75] delete removes a job in any state with its history; its number is not given again", () => {
  for (const state of jobStates) {
    const { rig, seq } = rigWith(state);
    rig.manage("delete", seq);

    expect(rig.state.getJob(seq)).toBeUndefined();
    expect(rig.attempts(seq)).toEqual([]);
    expect(rig.add()).toBeGreaterThan(seq);
  }
});

test("[J76] clear takes ready jobs from the front; a queue with jobs is not deleted", () => {
  const rig = new EngineRig();
  const [first, second, third] = [rig.add(), rig.add(), rig.add({ delayMs: 5000 })];

  const cleared = rig.apply({ kind: "clearQueue", queue: "q", limit: 1 });
  const refused = rig.apply({ kind: "deleteQueue", queue: "q" });

  expect(cleared).toEqual({ kind: "cleared", deleted: 1, more: true });
  expect([first, second, third].map((seq) => rig.state.getJob(seq)?.state)).toEqual([
    undefined,
    "pending",
    "scheduled",
  ]);
  expect(refused).toMatchObject({ code: "QUEUE_ERROR" });
  rig.apply({ kind: "clearQueue", queue: "q", limit: 9 });
  rig.manage("delete", third);
  expect(rig.apply({ kind: "deleteQueue", queue: "q" })).toEqual({ kind: "ok" });
  expect(rig.apply({ kind: "deleteQueue", queue: "q" })).toMatchObject({ code: "NOT_FOUND" });
});
