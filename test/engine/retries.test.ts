import { expect, test } from "bun:test";
import fc from "fast-check";
import { engineLimits } from "../../src/engine/limits.ts";
import { defaultOptions, type JitterMode } from "../../src/engine/options.ts";
import { backoffMs, retryDelayMs } from "../../src/engine/retry.ts";
import { EngineRig, verdictOf } from "../support/engine-rig.ts";

test.each([0, 1, 2, 5])(
  "[J20] max_retries %i is the number of runs in all, at least one",
  (maxRetries) => {
    const rig = new EngineRig();
    const seq = rig.add({ options: { maxRetries, backoff: "none" } });
    let runs = 0;
    while (rig.job(seq).state !== "dead") {
      rig.tick();
      rig.fail(rig.claim());
      runs++;
    }

    expect(runs).toBe(Math.max(1, maxRetries));
    expect(rig.job(seq).reason).toBe(`all ${runs} attempts failed`);
  },
);

test("[J21] the delay grows as its kind says, up to the cap", () => {
  const delays = (options: Partial<typeof defaultOptions>) =>
    [1, 2, 3, 4, 2000].map((attempt) => backoffMs({ ...defaultOptions, ...options }, attempt));

  expect(delays({ backoff: "none" })).toEqual([0, 0, 0, 0, 0]);
  expect(delays({ backoff: "fixed", baseDelayMs: 7 })).toEqual([7, 7, 7, 7, 7]);
  expect(delays({ backoff: "linear", baseDelayMs: 10, maxDelayMs: 35 })).toEqual([
    10, 20, 30, 35, 35,
  ]);
  expect(delays({ backoff: "exponential", baseDelayMs: 10, maxDelayMs: 70 })).toEqual([
    10, 20, 40, 70, 70,
  ]);
  expect(Number.isSafeInteger(delays({ backoff: "exponential", maxDelayMs: 0 })[4])).toBe(true);
});

test("[J22] jitter makes a delay longer by at most its share, the same for the same seed", () => {
  fc.assert(
    fc.property(
      fc.record({
        backoff: fc.constantFrom("none", "fixed", "linear", "exponential"),
        baseDelayMs: fc.integer({ min: 0, max: 1e9 }),
        maxDelayMs: fc.integer({ min: 0, max: 1e9 }),
        jitter: fc.double({ min: 0, max: 1, noNaN: true }),
      }),
      fc.integer({ min: 1, max: 1000 }),
      fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
      (options, attempt, chance) => {
        const all = { ...defaultOptions, ...options };
        const plain = backoffMs(all, attempt);
        const delayMs = retryDelayMs(all, attempt, chance);

        expect(delayMs).toBeGreaterThanOrEqual(plain);
        expect(delayMs).toBeLessThanOrEqual(Math.ceil(plain * (1 + options.jitter)));
      },
    ),
  );
  const dueOf = (seed: number) => {
    const rig = new EngineRig();
    rig.seed = seed;
    const seq = rig.add({ options: { jitter: 1 } });
    rig.fail(rig.claim());
    return rig.job(seq).dueAtMs;
  };
  expect(dueOf(1)).toBe(dueOf(1));
  expect(new Set([1, 2, 3, 4, 5].map(dueOf)).size).toBeGreaterThan(1);
});

test("[J23] a fail that must not be retried is the end, whatever the count", () => {
  const rig = new EngineRig();
  const seq = rig.add({ options: { maxRetries: 10 } });

  expect(verdictOf(rig.fail(rig.claim(), { retryable: false }))).toBe("dead");
  expect(rig.job(seq).reason).toBe("the worker said that it must not be retried");
});

test("[J24] the last attempts are kept; a success is recorded only with its output", () => {
  const rig = new EngineRig();
  const seq = rig.add({ options: { maxRetries: 1000, backoff: "none" } });
  for (let i = 0; i < engineLimits.attemptsKeptMax + 3; i++) {
    rig.fail(rig.claim());
    rig.tick();
  }
  rig.ack(rig.claim(), { output: "done" });
  const silent = rig.add();
  rig.ack(rig.claim());

  const kept = rig.attempts(seq);
  expect(kept).toHaveLength(engineLimits.attemptsKeptMax);
  expect(kept[0]).toMatchObject({ attempt: 5, outcome: "failed", error: "boom", workerId: "w" });
  expect(kept.at(-1)).toMatchObject({ attempt: 36, outcome: "completed", output: "done" });
  expect(rig.attempts(silent)).toEqual([]);
});

test("[J22] full jitter spreads over the whole delay, equal jitter over its second half", () => {
  const delay = (jitterMode: JitterMode, chance: number) =>
    retryDelayMs({ ...defaultOptions, jitterMode, jitter: 1, baseDelayMs: 1000 }, 1, chance);

  expect([0, 0.5, 0.999].map((chance) => delay("full", chance))).toEqual([0, 500, 999]);
  expect([0, 0.5, 0.999].map((chance) => delay("equal", chance))).toEqual([500, 750, 1000]);
});

test("[J23] an error of a class that is not retried is the end, and shows in the attempt", () => {
  const rig = new EngineRig();
  const seq = rig.add({ options: { noRetryOn: ["Bad", "Worse"], backoff: "none" } });

  expect(verdictOf(rig.fail(rig.claim(), { errorClass: "Passing" }))).toBe("retrying");
  rig.tick();
  expect(verdictOf(rig.fail(rig.claim(), { errorClass: "Worse" }))).toBe("dead");
  expect(rig.job(seq).reason).toBe('an error of class "Worse" is not retried (no_retry_on)');
  expect(rig.attempts(seq).map(({ errorClass }) => errorClass)).toEqual(["Passing", "Worse"]);
});

test("[J25] no attempt begins later than retry_for after the first failure", () => {
  const rig = new EngineRig();
  const options = {
    maxRetries: 1000,
    backoff: "fixed",
    baseDelayMs: 1000,
    retryForMs: 2500,
  } as const;
  const seq = rig.add({ options });
  const dueAfter = () => rig.job(seq).dueAtMs - rig.nowMs;
  rig.pass(60_000);
  rig.fail(rig.claim(100_000));
  expect(dueAfter()).toBe(1000);
  rig.pass(1000).tick();
  rig.fail(rig.claim(100_000));
  expect(dueAfter()).toBe(1000);
  rig.pass(1000).tick();
  rig.fail(rig.claim(100_000));

  expect(rig.job(seq)).toMatchObject({
    state: "dead",
    reason: "attempt 4 would begin more than 2.5s after the first failure (retry_for)",
  });
});

test("[J26] at its deadline a job is dead, waiting or running, and its worker is told", () => {
  const rig = new EngineRig();
  const running = rig.add({ deadlineMs: 5000 });
  const job = rig.claim(60_000);
  const waiting = rig.add({ deadlineMs: 5000, delayMs: 4999 });
  expect(job.leaseExpiresAtMs).toBe(rig.nowMs + 5000);
  rig.pass(1000);
  rig.heartbeat(job, { leaseMs: 60_000 });
  rig.pass(3999).tick();
  expect([rig.job(running).state, rig.job(waiting).state]).toEqual(["active", "pending"]);
  rig.takeEffects();
  rig.pass(1).tick();

  for (const seq of [running, waiting]) {
    expect(rig.job(seq)).toMatchObject({
      state: "dead",
      reason: "deadline: the job was not done in the time that it was given",
    });
  }
  expect(rig.takeEffects().revoked).toMatchObject([{ seq: running, reason: "lost" }]);
});

test("[J26] [J42] a retry after the deadline has none; one before it keeps it", () => {
  const rig = new EngineRig();
  const seq = rig.add({ deadlineMs: 5000, expireMs: 1000 });
  rig.pass(1000).tick();
  rig.manage("retry", seq);
  expect(rig.job(seq).expireAtMs).toBe(rig.nowMs + 4000);
  rig.pass(4000).tick();
  rig.manage("retry", seq);
  expect(rig.job(seq)).toMatchObject({ state: "pending", expireAtMs: 0 });
  expect(rig.claim(60_000).leaseExpiresAtMs).toBe(rig.nowMs + 60_000);
});

test("[J27] a job that loses so many leases in a row is held until somebody approves it", () => {
  const rig = new EngineRig();
  const seq = rig.add({ options: { lostLeasesMax: 2, maxRetries: 10, backoff: "none" } });
  const lose = () => {
    rig.claim(1000);
    rig.pass(1000).tick();
  };
  lose();
  rig.fail(rig.claim());
  rig.tick();
  lose();
  expect(rig.job(seq).state).toBe("pending");
  lose();
  expect(rig.job(seq)).toMatchObject({
    state: "held",
    reason: expect.stringMatching(/^quarantined: 2 leases in a row/),
  });

  rig.manage("approve", seq);
  lose();
  expect(rig.job(seq).state).toBe("pending");
});

test("[J28] [L13] a snooze does not spend the attempt, and is refused when there were enough", () => {
  const rig = new EngineRig();
  const seq = rig.add({ options: { snoozesMax: 2, maxRetries: 1 } });
  for (let i = 0; i < 2; i++) {
    const job = rig.claim(60_000);
    expect(verdictOf(rig.snooze(job, 5000))).toBe("retrying");
    expect(verdictOf(rig.snooze(job, 5000))).toBe("LEASE_LOST");
    expect(rig.job(seq)).toMatchObject({ attempt: 0, dueAtMs: rig.nowMs + 5000, snoozes: i + 1 });
    rig.pass(5000).tick();
  }

  const last = rig.claim(60_000);
  expect(verdictOf(rig.snooze(last, 5000))).toBe("SNOOZE_ERROR");
  expect(verdictOf(rig.ack(last))).toBe("completed");
});
