import { expect, test } from "bun:test";
import { EngineRig, verdictOf } from "../support/engine-rig.ts";

const reports = ["ack", "fail", "release", "heartbeat"] as const;

test("[L1] a claim counts an attempt and gives a token that no other claim gets", () => {
  const rig = new EngineRig();
  rig.add();
  rig.add();
  const [one, two] = rig.claimMany(2);
  rig.release(one ?? { seq: 0 });
  const again = rig.claim();

  expect(one?.leaseExpiresAtMs).toBe(rig.nowMs + 1000);
  expect([one?.attempt, two?.attempt, again.attempt]).toEqual([1, 1, 1]);
  expect(new Set([one?.token, two?.token, again.token]).size).toBe(3);
});

test("[L1] [L8] a lease never outlasts the attempt's time-out, whatever the heartbeats say", () => {
  const rig = new EngineRig();
  rig.add({ options: { timeoutMs: 600, backoff: "fixed", baseDelayMs: 50 } });
  const job = rig.claim(10_000);
  const deadlineMs = rig.nowMs + 600;
  rig.pass(500).heartbeat(job, { leaseMs: 10_000 });

  expect([job.leaseExpiresAtMs, rig.job(job.seq).leaseExpiresAtMs]).toEqual([
    deadlineMs,
    deadlineMs,
  ]);
  rig.pass(100).tick();
  expect(rig.job(job.seq)).toMatchObject({
    state: "retrying",
    dueAtMs: rig.nowMs + 50,
    attempt: 1,
  });
  expect(rig.attempts(job.seq).map(({ outcome }) => outcome)).toEqual(["timed_out"]);
});

test("[L2] a job under a live lease is not handed out, and is once the lease is over", () => {
  const rig = new EngineRig();
  rig.add();
  rig.claim(1000);

  expect(rig.pass(999).claimMany(1)).toEqual([]);
  rig.pass(1).tick();
  expect(rig.claimMany(1)).toHaveLength(1);
});

test("[L3] an expired lease returns the job to the end of its line with its attempt counted", () => {
  const rig = new EngineRig();
  const seq = rig.add();
  rig.claim(1000);
  const other = rig.add();
  rig.pass(1000).tick();

  expect(rig.job(seq)).toMatchObject({ state: "pending", attempt: 1, lostLeases: 1, token: 0 });
  expect(rig.attempts(seq)).toMatchObject([{ outcome: "lease_lost", attempt: 1 }]);
  expect(rig.claimMany(2).map((job) => job.seq)).toEqual([other, seq]);
});

test("[L3] a job that loses every lease is dead when its attempts are spent", () => {
  const rig = new EngineRig();
  const seq = rig.add({ options: { maxRetries: 2 } });
  for (let i = 0; i < 2; i++) {
    rig.claim(1000);
    rig.pass(1000).tick();
  }

  expect(rig.job(seq)).toMatchObject({ state: "dead", lostLeases: 2 });
  expect(rig.job(seq).reason).toContain("may be killing its workers");
});

test.each([...reports])(
  "[L4] %s with a token that is over is refused and changes nothing",
  (report) => {
    const rig = new EngineRig();
    rig.add();
    const stale = rig.claim(1000);
    rig.pass(1000).tick();
    const fresh = rig.claim(1000);
    const before = rig.job(fresh.seq);

    const refused = rig[report](stale);
    rig.ack(fresh);
    const late = rig[report](stale);

    expect(refused).toMatchObject({
      code: "LEASE_LOST",
      message: expect.stringContaining("the job is active under another lease, held by w since"),
    });
    expect(late).toMatchObject({
      code: "LEASE_LOST",
      message: "this lease is over: the job is completed",
    });
    expect(rig.job(fresh.seq).history).toBe(before.history);
  },
);

test("[L5] a repeated ack is answered as the first, and changes nothing", () => {
  const rig = new EngineRig();
  rig.add();
  const job = rig.claim();
  const first = rig.ack(job, { result: "1" });
  const before = rig.job(job.seq);
  const again = rig.pass(5).ack(job, { result: "2" });

  expect(again).toEqual(first);
  expect(rig.job(job.seq)).toEqual(before);
});

test("[L5] a repeated fail is answered as the first while the job waits for its retry or is dead", () => {
  for (const maxRetries of [1, 5]) {
    const rig = new EngineRig();
    rig.add({ options: { maxRetries } });
    const job = rig.claim();
    const first = rig.fail(job);
    const before = rig.job(job.seq);

    expect(rig.fail(job)).toEqual(first);
    expect(rig.job(job.seq)).toEqual(before);
    expect(verdictOf(rig.ack(job))).toBe("LEASE_LOST");
    expect(verdictOf(rig.release(job))).toBe("LEASE_LOST");
  }
});

test("[L6] a heartbeat extends from now, by the last length when none is given, also to a sooner end", () => {
  const rig = new EngineRig();
  rig.add();
  const job = rig.claim(1000);

  rig.pass(900).heartbeat(job);
  expect(rig.job(job.seq).leaseExpiresAtMs).toBe(rig.nowMs + 1000);
  rig.heartbeat(job, { leaseMs: 100, progress: "1", checkpoint: "2" });
  rig.pass(100).tick();
  expect(rig.job(job.seq)).toMatchObject({ state: "pending", progress: "1", checkpoint: "2" });
});

test("[L7] a report without a token speaks for the active attempt, and only for an active one", () => {
  const rig = new EngineRig();
  const seq = rig.add();
  const codes = reports.map((report) => verdictOf(rig[report]({ seq })));
  rig.claim();

  expect(codes).toEqual(["ACK_ERROR", "FAIL_ERROR", "RELEASE_ERROR", "LEASE_LOST"]);
  expect(verdictOf(rig.heartbeat({ seq }))).toBe("active");
  expect(verdictOf(rig.ack({ seq }))).toBe("completed");
});

test("[L9] a release takes the attempt back; with a delay the job waits for it", () => {
  const rig = new EngineRig();
  const seq = rig.add();
  const other = rig.add();

  rig.release(rig.claim());
  expect(rig.job(seq)).toMatchObject({ state: "pending", attempt: 0, history: 0 });
  expect(rig.engine.nextReady("q")).toBe(other);
  rig.release(rig.claim(), 300);
  expect(rig.job(other)).toMatchObject({ state: "retrying", attempt: 0, dueAtMs: rig.nowMs + 300 });
});

test("[L10] what ends an active job's lease is told, with the token that is over", () => {
  for (const [action, reason] of [
    ["cancel", "cancel"],
    ["hold", "cancel"],
    ["delete", "cancel"],
    [undefined, "lost"],
  ] as const) {
    const rig = new EngineRig();
    rig.add();
    const job = rig.claim(1000);
    if (action === undefined) rig.pass(1000).tick();
    else rig.manage(action, job.seq);

    expect(rig.takeEffects().revoked).toMatchObject([{ seq: job.seq, token: job.token, reason }]);
    expect(["LEASE_LOST", "NOT_FOUND"]).toContain(verdictOf(rig.ack(job)));
  }
});

test("[L11] progress is the attempt's, the checkpoint the job's", () => {
  const rig = new EngineRig();
  rig.add({ checkpoint: "0" });
  const first = rig.claim(1000);
  rig.heartbeat(first, { progress: "50", checkpoint: "7" });
  rig.pass(1000).tick();
  const second = rig.claim();

  expect(first.checkpoint).toBe("0");
  expect(second).toMatchObject({ checkpoint: "7", progress: undefined });
});
