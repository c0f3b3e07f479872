/** What bounds a job in number and time: unique keys, time to live, retention, idempotency keys. */
import { expect, test } from "bun:test";
import type { Change, NewJob } from "../../src/engine/change.ts";
import { boundedClaimsLevel, removalStepsLevel } from "../../src/engine/feature-levels.ts";
import type { Job } from "../../src/engine/job.ts";
import { engineLimits } from "../../src/engine/limits.ts";
import type { OnConflict, UniqueScope } from "../../src/engine/options.ts";
import { EngineRig, verdictOf } from "../support/engine-rig.ts";

const key = (uniqueKey: string, uniqueMs = 3_600_000) => ({ options: { uniqueKey, uniqueMs } });

test("[J30] a unique key that an unfinished job holds adds nothing and answers with the holder", () => {
  const rig = new EngineRig();
  const seq = rig.add(key("k"));

  expect(rig.enqueue(key("k"))).toMatchObject({ kind: "duplicate", seq, state: "pending" });
  expect(rig.enqueue({ ...key("k"), queue: "other" })).toMatchObject({ kind: "added" });
  expect(rig.enqueue(key("l"))).toMatchObject({ kind: "added" });
});

test("[J31] the key is free when its holder ends, and at the latest after its time", () => {
  const ends: readonly ((rig: EngineRig, seq: number) => void)[] = [
    (rig) => rig.ack(rig.claim()),
    (rig) => rig.fail(rig.claim(), { retryable: false }),
    (rig, seq) => rig.manage("cancel", seq),
    (rig, seq) => rig.manage("delete", seq),
    (rig) => rig.pass(3_600_000),
  ];
  for (const end of ends) {
    const rig = new EngineRig();
    const seq = rig.add(key("k"));
    end(rig, seq);

    expect(rig.enqueue(key("k"))).toMatchObject({ kind: "added" });
  }
});

test("[J31] a holder whose time ran out does not free the key of the one after it", () => {
  const rig = new EngineRig();
  const first = rig.add(key("k", 1000));
  rig.pass(1000);
  const second = rig.add(key("k"));
  rig.manage("cancel", first);

  expect(rig.enqueue(key("k"))).toMatchObject({ kind: "duplicate", seq: second });
});

test("[J32] a retried job takes its key again if it is free, and runs without it if not", () => {
  const rig = new EngineRig();
  const first = rig.add(key("k"));
  rig.manage("cancel", first);
  rig.manage("retry", first);
  expect(rig.enqueue(key("k"))).toMatchObject({ kind: "duplicate", seq: first });

  rig.manage("cancel", first);
  const second = rig.add(key("k"));
  expect(verdictOf(rig.manage("retry", first))).toBe("pending");
  expect(rig.enqueue(key("k"))).toMatchObject({ kind: "duplicate", seq: second });
});

test("[J33] a move takes the key along, and is refused where another job holds it", () => {
  const rig = new EngineRig();
  const here = rig.add(key("k"));
  const there = rig.add({ ...key("k"), queue: "other" });

  expect(verdictOf(rig.manage("move", here, { queue: "other" }))).toBe("CONFLICT");
  rig.manage("cancel", there);
  expect(verdictOf(rig.manage("move", here, { queue: "other" }))).toBe("pending");
  expect(rig.enqueue({ ...key("k"), queue: "other" })).toMatchObject({ seq: here });
  expect(rig.enqueue(key("k"))).toMatchObject({ kind: "added" });
});

const asks = (onConflict: OnConflict, uniqueScope: UniqueScope = "done") => ({
  options: { uniqueKey: "k", onConflict, uniqueScope },
});

test("[J34] a key that is held while waiting is free from the start of its job until it waits again", () => {
  const rig = new EngineRig();
  const first = rig.add(asks("existing", "waiting"));
  const job = rig.claim();
  const second = rig.add(asks("existing", "waiting"));
  rig.manage("cancel", second);
  rig.release(job);
  expect(rig.enqueue(asks("existing"))).toMatchObject({ kind: "duplicate", seq: first });
});

test("[J34] a key that is held for its period outlasts its job, but not its cancellation", () => {
  const rig = new EngineRig();
  rig.keep({ doneMs: 0, doneMax: 0 });
  const seq = rig.add(asks("existing", "period"));
  rig.ack(rig.claim());
  rig.pass(5000).tick();
  expect(rig.state.getJob(seq)).toBeUndefined();
  expect(rig.enqueue(asks("existing"))).toMatchObject({ kind: "duplicate", seq });

  const other = rig.add({ options: { uniqueKey: "other", uniqueScope: "period" } });
  rig.manage("cancel", other);
  expect(rig.enqueue({ options: { uniqueKey: "other" } })).toMatchObject({ kind: "added" });
});

test("[J35] a refusal or an answer leaves the holder alone; a replacement changes only one that waits", () => {
  const rig = new EngineRig();
  const seq = rig.add({ ...asks("existing"), payload: "1" });
  expect(rig.enqueue({ ...asks("reject"), payload: "2" })).toMatchObject({ code: "CONFLICT" });
  expect(rig.enqueue({ ...asks("replace"), payload: "3" })).toMatchObject({
    kind: "replaced",
    seq,
  });
  expect(rig.job(seq).payload).toBe("3");

  rig.claim();
  expect(rig.enqueue({ ...asks("replace"), payload: "4" })).toMatchObject({ kind: "duplicate" });
  expect(rig.job(seq).payload).toBe("3");
});

test("[J36] a replaced job counts its attempts anew and keeps its place while it is ready", () => {
  const rig = new EngineRig();
  const seq = rig.add({ ...asks("replace"), payload: "1" });
  rig.fail(rig.claim());
  rig.enqueue({ ...asks("replace"), payload: "2" });
  expect(rig.job(seq)).toMatchObject({ state: "pending", attempt: 0, history: 1, payload: "2" });

  rig.add();
  rig.enqueue({ ...asks("replace"), payload: "3" });
  expect(rig.claim()).toMatchObject({ seq, attempt: 1, payload: "3" });
});

test("[J37] whoever waits for a key gets it however its holder ends, and never stays behind", () => {
  const ends: readonly ((rig: EngineRig, holder: Job) => void)[] = [
    (rig, holder) => rig.ack(holder),
    (rig, holder) => rig.fail(holder, { retryable: false }),
    (rig, holder) => rig.manage("cancel", holder.seq),
    (rig, holder) => rig.manage("delete", holder.seq),
    (rig) => rig.pass(1000).tick(),
    (rig, holder) => {
      rig.fail(holder);
      rig.manage("move", holder.seq, { queue: "other" });
    },
  ];
  for (const end of ends) {
    const rig = new EngineRig();
    const options = { ...asks("keep_last").options, maxRetries: 1 };
    rig.add({ options: { ...options, maxRetries: end === ends.at(-1) ? 2 : 1, uniqueMs: 1 } });
    const holder = rig.claim();
    const next = rig.add({ options });
    expect(rig.job(next).state).toBe("held");
    expect(verdictOf(rig.manage("move", next, { queue: "other" }))).toBe("MOVE_ERROR");
    end(rig, holder);

    expect(rig.job(next)).toMatchObject({ state: "pending", reason: undefined });
    expect(rig.enqueue(asks("existing"))).toMatchObject({ kind: "duplicate", seq: next });
  }
});

test("[J34] holds are bounded, and those whose time is over make room", () => {
  const rig = new EngineRig();
  const hold = (i: number): NewJob => ({
    queue: "q",
    payload: "{}",
    options: { uniqueKey: `k${i}`, uniqueScope: "period", uniqueMs: i === 0 ? 1 : 60_000 },
  });
  const jobs = Array.from({ length: engineLimits.keyHoldsMax }, (_, i) => hold(i));
  rig.engine.apply({ nowMs: rig.nowMs, seed: 0, changes: [{ kind: "enqueue", jobs }] });
  const one = (i: number) => {
    const change: Change = { kind: "enqueue", jobs: [hold(i)] };
    return rig.engine.apply({ nowMs: rig.nowMs, seed: 0, changes: [change] })[0];
  };
  expect(one(-1)).toMatchObject({ results: [{ code: "OVERLOADED" }] });

  rig.pass(1);
  expect(one(-1)).toMatchObject({ results: [{ kind: "added" }] });
});

test("[J40] a waiting job whose time to live is over is dead, an active one is not", () => {
  const rig = new EngineRig();
  const active = rig.add({ expireMs: 1000 });
  rig.claim(60_000);
  const retrying = rig.add({ expireMs: 1000 });
  rig.fail(rig.claim());
  const waiting = [
    rig.add({ expireMs: 1000 }),
    rig.add({ expireMs: 1000, delayMs: 5000 }),
    retrying,
  ];
  const held = rig.add({ expireMs: 1000 });
  rig.manage("hold", held);

  rig.pass(999).tick();
  expect(rig.job(held).state).toBe("held");
  rig.pass(1).tick();

  for (const seq of [...waiting, held]) {
    expect(rig.job(seq)).toMatchObject({
      state: "dead",
      reason: expect.stringContaining("expired"),
    });
    expect(rig.attempts(seq).at(-1)).toMatchObject({ outcome: "expired" });
  }
  expect(rig.job(active).state).toBe("active");
});

test("[J41] however many jobs are over when the server comes back, one claim ends only so many, and the next go on", () => {
  const rig = new EngineRig();
  rig.state.meta.featureLevel = boundedClaimsLevel;
  const { expiredPerClaimMax: most } = engineLimits;
  const { engine, nowMs } = rig;
  const jobs = Array.from({ length: 2 * most }, () => {
    return { queue: "q", payload: "{}", expireMs: 1000 };
  });
  engine.apply({ nowMs, seed: 0, changes: [{ kind: "enqueue", jobs }] });
  const last = rig.add();
  rig.pass(1000);

  expect(rig.claimMany(1)).toEqual([]);
  expect(rig.state.getQueue("q")?.counts).toMatchObject({ dead: most, pending: most + 1 });
  expect(rig.claimMany(1).map(({ seq }) => seq)).toEqual([last]);
});

test("[J41] a claim hands out no job whose time to live is over, though nothing has noticed yet", () => {
  const rig = new EngineRig();
  const old = rig.add({ expireMs: 1000 });
  rig.pass(1000);
  const fresh = rig.add();

  expect(rig.claimMany(2).map(({ seq }) => seq)).toEqual([fresh]);
  expect(rig.job(old).state).toBe("dead");
});

test("[J42] a retry takes off a time to live that is over, and leaves one that is not", () => {
  const rig = new EngineRig();
  const over = rig.add({ expireMs: 1000 });
  const open = rig.add({ expireMs: 9000 });
  rig.manage("cancel", open);
  rig.pass(1000).tick();
  rig.manage("retry", over);
  rig.manage("retry", open);

  expect(rig.job(over).expireAtMs).toBe(0);
  expect(rig.job(open).expireAtMs).toBe(rig.nowMs + 8000);
});

test("[J50] [J51] finished jobs go when their time is over, never before, with attempts and counters", () => {
  const rig = new EngineRig();
  rig.keep({ doneMs: 10_000, deadMs: 20_000 });
  const done = rig.add();
  rig.ack(rig.claim(), { output: "x" });
  const dead = rig.add();
  rig.fail(rig.claim(), { retryable: false });

  rig.pass(9999).tick();
  expect(rig.job(done).state).toBe("completed");
  rig.pass(1001).tick();
  expect(rig.state.getJob(done)).toBeUndefined();
  expect(rig.attempts(done)).toEqual([]);
  expect(rig.job(dead).state).toBe("dead");
  rig.pass(10_000).tick();
  expect(rig.state.getJob(dead)).toBeUndefined();
  expect(rig.state.getQueue("q")?.counts).toMatchObject({ completed: 0, dead: 0 });
  expect(rig.engine.nextDeadlineMs()).toBe(Number.POSITIVE_INFINITY);
});

test("[J50] [J51] of more jobs than may be kept the oldest go, to within a hundredth", () => {
  const rig = new EngineRig();
  rig.keep({ doneMax: 1000 });
  for (let i = 0; i < 30; i++) {
    const jobs = Array.from({ length: 100 }, () => ({ queue: "q", payload: "{}" }));
    rig.apply({ kind: "enqueue", jobs });
    rig.apply({ kind: "ack", items: rig.claimMany(100).map(({ seq, token }) => ({ seq, token })) });
  }
  rig.tick();

  const left = [...rig.state.jobs.keys()].sort((one, other) => one - other);
  expect(left.length).toBeWithin(1000, 1011);
  expect(left[0]).toBe(3000 - left.length + 1);
});

test("[J50] with many queues one change takes away no more than it has time for, and the next go on", () => {
  const rig = new EngineRig();
  rig.state.meta.featureLevel = removalStepsLevel;
  rig.keep({ doneMs: 1000 });
  for (let i = 0; i < 300; i++) rig.add({ queue: `q${i}` });
  for (let i = 0; i < 3; i++) {
    rig.ack(rig.claimMany(1, [`q${i}`])[0] ?? { seq: 0 });
    rig.pass(2000);
  }
  const done = [];
  for (let call = 0; call < 3; call++) {
    done.push(rig.apply({ kind: "advanceTime", limit: 4 }), rig.state.meta.kept.done);
  }

  const more = { kind: "advanced", steps: 4, more: true };
  expect(done).toMatchObject([more, 2, more, 1, { more: false }, 0]);
});

test("[J52] a finished job that is moved counts as finished anew", () => {
  const rig = new EngineRig();
  rig.keep({ doneMs: 10_000 });
  const seq = rig.add();
  rig.ack(rig.claim());
  rig.pass(9000).manage("move", seq, { queue: "other" });
  rig.pass(9000).tick();

  expect(rig.job(seq)).toMatchObject({ queue: "other", state: "completed" });
});

function keyed(idempotencyKey: string, fingerprint = "f"): Change {
  return {
    kind: "enqueue",
    jobs: [{ queue: "q", payload: "{}" }],
    idempotency: { key: idempotencyKey, fingerprint },
  };
}

test("[J60] the same key and call give the first answer for 24 hours, even when the job is gone", () => {
  const rig = new EngineRig();
  const first = rig.apply(keyed("a"));
  rig.manage("delete", 1);
  const again = rig.pass(engineLimits.idempotencyMs - 1).apply(keyed("a"));
  const after = rig.pass(1).apply(keyed("a"));

  expect(again).toEqual(first);
  expect(rig.state.jobs.size).toBe(1);
  expect(after).not.toEqual(first);
});

test("[J60] a key whose time is over is new, however many others wait to be forgotten", () => {
  const rig = new EngineRig();
  for (let i = 0; i < 10; i++) rig.apply(keyed(`old ${i}`));
  rig.pass(engineLimits.idempotencyMs);

  const outcome = rig.apply(keyed("old 9", "another call"));

  expect(outcome).toMatchObject({ kind: "enqueued", results: [{ kind: "added" }] });
  expect(rig.apply(keyed("old 9", "another call"))).toEqual(outcome);
});

test("[J61] the same key with another call is refused", () => {
  const rig = new EngineRig();
  rig.apply(keyed("a"));

  expect(rig.apply(keyed("a", "other"))).toMatchObject({ code: "CONFLICT" });
});

test("[J62] keys are bounded; old ones make room", () => {
  const rig = new EngineRig();
  const changes = Array.from({ length: engineLimits.idempotencyKeysMax }, (_, i) => keyed(`k${i}`));
  rig.engine.apply({ nowMs: rig.nowMs, seed: 0, changes });
  const [refused] = rig.engine.apply({ nowMs: rig.nowMs, seed: 0, changes: [keyed("new")] });
  const later = rig.nowMs + engineLimits.idempotencyMs;
  const [taken] = rig.engine.apply({ nowMs: later, seed: 0, changes: [keyed("new")] });

  expect(refused).toMatchObject({
    code: "OVERLOADED",
    message: expect.stringContaining("idempotencyKeysMax"),
  });
  expect(taken).toMatchObject({ kind: "enqueued" });
});
