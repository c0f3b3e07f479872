/** The judge of the crash tests, shown what it must not let pass. */
import { expect, test } from "bun:test";
import { Journal } from "../support/crash/journal.ts";
import { type Shown, verify, verifyQueues } from "../support/crash/verify.ts";

/** A journal with one acknowledged job, and that job as a server would show it. */
function oneJob(state: string) {
  const journal = new Journal();
  const track = journal.open("q");
  track.id = "job_1";
  const shown: Shown = { id: "job_1", queue: "q", state, payload: { m: track.marker } };
  return { journal, track, shown };
}

test("what was answered and is there passes", () => {
  const { journal, track, shown } = oneJob("completed");
  journal.claimed(track.marker, { token: "a", attempt: 1, startMs: 0, endMs: 400 });
  journal.call(track, "ack", "a").verdict = "ok";

  expect(verify(journal, [shown], new Map([[track.marker, "a"]]))).toEqual([]);
});

test("a lost, doubled, unknown, renamed or refused job is found", () => {
  const { journal, shown } = oneJob("pending");
  const stranger: Shown = { ...shown, id: "job_9", payload: { m: "other" } };
  const refused = new Journal();
  refused.open("q").isRefused = true;

  expect(verify(journal, [], new Map())).toEqual(["m0 (job_1): was acknowledged, and is lost"]);
  expect(verify(journal, [shown, shown], new Map())).toContain("m0 (job_1): is there 2 times");
  expect(verify(journal, [shown, stranger], new Map())).toEqual(["job_9: nobody sent it"]);
  expect(verify(journal, [{ ...shown, id: "job_2" }], new Map())).toContain(
    "m0 (job_1): is there as job_2",
  );
  expect(verify(refused, [shown], new Map())).toEqual(["m0 (no id): was refused, and is there"]);
});

test("an ack, cancel or last fail that was answered and does not hold is found", () => {
  for (const [kind, state] of [
    ["ack", "pending"],
    ["cancel", "completed"],
    ["kill", "retrying"],
  ] as const) {
    const { journal, track, shown } = oneJob(state);
    journal.call(track, kind, kind === "cancel" ? undefined : "a").verdict = "ok";

    expect(verify(journal, [shown], new Map())).not.toEqual([]);
  }
});

test("an ack that nobody sent, or of two attempts, is found", () => {
  const { journal, track, shown } = oneJob("completed");
  journal.call(track, "ack", "a").verdict = "ok";
  journal.call(track, "ack", "b").verdict = "ok";
  const other = oneJob("completed");

  expect(verify(journal, [shown], new Map([["m0", "a"]]))).toContain(
    "m0 (job_1, completed): two attempts were both acked",
  );
  expect(verify(other.journal, [other.shown], new Map([["m0", "a"]]))).toEqual([
    "m0 (job_1, completed): nobody sent the ack with result a",
  ]);
});

test("two live leases of one job are found, and a lease after the end of the one before is not", () => {
  const { journal, track, shown } = oneJob("active");
  journal.claimed(track.marker, { token: "a", attempt: 1, startMs: 0, endMs: 400 });
  journal.claimed(track.marker, { token: "b", attempt: 2, startMs: 399, endMs: 800 });
  const over = oneJob("active");
  over.journal.claimed("m0", { token: "a", attempt: 1, startMs: 0, endMs: 400 });
  over.journal.call(over.track, "release", "a");
  over.journal.claimed("m0", { token: "b", attempt: 1, startMs: 100, endMs: 800 });
  over.journal.claimed("m0", { token: "c", attempt: 2, startMs: 800, endMs: 900 });

  expect(verify(journal, [shown], new Map())).toEqual([
    "m0: lease b began at 399, while a held until 400",
  ]);
  expect(verify(over.journal, [over.shown], new Map())).toEqual([]);
});

test("a report that was taken from a lease that is over is found", () => {
  const { journal, track, shown } = oneJob("completed");
  journal.claimed(track.marker, { token: "a", attempt: 1, startMs: 0, endMs: 400 });
  journal.claimed(track.marker, { token: "b", attempt: 2, startMs: 400, endMs: 800 });
  journal.call(track, "ack", "a").verdict = "ok";

  expect(verify(journal, [shown], new Map([["m0", "a"]]))).toContain(
    "m0: took the ack of lease a, though b had begun",
  );
});

test("counters that are no recount, and a switch that fell back, are found", () => {
  const { journal, shown } = oneJob("pending");
  journal.paused.set("q", true);
  const none = {
    scheduled: 0,
    active: 0,
    retrying: 0,
    completed: 0,
    dead: 0,
    cancelled: 0,
    held: 0,
  };

  expect(
    verifyQueues(journal, [{ name: "q", paused: true, ...none, pending: 1 }], [shown]),
  ).toEqual([]);
  expect(
    verifyQueues(journal, [{ name: "q", paused: false, ...none, pending: 2 }], [shown]),
  ).toEqual(["q: counts 2 pending jobs, lists 1", "q: paused is false, answered was true"]);
});
