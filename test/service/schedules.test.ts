import { expect, test } from "bun:test";
import type { InputOf } from "../../src/api/operation.ts";
import type { Operations } from "../../src/api/operations.ts";
import { CorvoError } from "../../src/base/errors.ts";
import { bodyOf, NodeRig, neverAborted, settle } from "../support/node-rig.ts";

type Settings = InputOf<Operations["setSchedule"]>["body"];

async function set(rig: NodeRig, settings: Partial<Settings>) {
  const body = { every: "1h", job: { queue: "q" }, ...settings };
  const input = { params: { name: "s" }, query: {}, body };
  return bodyOf(await rig.service.handlers.setSchedule(input, { signal: neverAborted }));
}

test("a schedule of which nothing comes due any more says so in the answer that makes it", async () => {
  const rig = new NodeRig();
  const past = "2020-01-01T00:00:00Z";

  expect(await set(rig, { end: past })).toMatchObject({ ended: true, next_runs: [] });
  await settle();
  expect(await set(rig, { end: past })).toMatchObject({ ended: true, next_runs: [] });
  expect(await set(rig, { end: "2030-01-01T00:59:59Z" })).toMatchObject({ ended: true });
  const going = await set(rig, { end: "2030-01-01T01:00:00Z" });
  expect(going).toMatchObject({ ended: false, next_runs: ["2030-01-01T01:00:00.000Z"] });
  expect(await set(rig, { end: past, start: "2019-01-01T00:00:00Z" })).toMatchObject({
    ended: true,
  });
});

test("a schedule that is set to the same interval again is not put off by it", async () => {
  const rig = new NodeRig();
  const first = await set(rig, { every: "1h" });
  await rig.time.pass(40 * 60_000);
  const again = await set(rig, { every: "1h", overlap: "skip" });
  expect(again.next_runs).toEqual(first.next_runs);
  const other = await set(rig, { every: "2h" });
  expect(other.next_runs).not.toContain(first.next_runs[0]);
});

test("a job with a time-out of nothing is refused, also one that a schedule would add", async () => {
  const rig = new NodeRig();
  const wanted = 'timeout: expected more than 0 and at most 10 years, got "0s"';
  const faults = await Promise.all(
    [
      rig.enqueue({ queue: "q", timeout: "0s" }),
      set(rig, { job: { queue: "q", timeout: "0s" } }),
    ].map((call) => call.then(() => undefined).catch((error: unknown) => error)),
  );
  for (const fault of faults) {
    expect(fault).toBeInstanceOf(CorvoError);
    expect(fault).toMatchObject({ code: "VALIDATION_ERROR", message: wanted });
  }
});

test("what is not there is not said to have been removed, unless it is a job or what holds jobs together", async () => {
  const { handlers } = new NodeRig().service;
  const context = { signal: neverAborted };
  const limit = { params: { name: "q" }, query: {}, body: {} };
  const schedule = { params: { name: "s" }, query: {}, body: {} };
  const job = { params: { job_id: "job_00000000000000000000000000" }, query: {}, body: {} };
  const calls: readonly (() => Promise<unknown>)[] = [
    () => handlers.removeLimit(limit, context),
    () => handlers.pauseSchedule(schedule, context),
    () => handlers.getJob(job, context),
    () => handlers.ackJob(job, context),
  ];
  const hints = await Promise.all(
    calls.map(async (call) => {
      try {
        return await call();
      } catch (error) {
        return error instanceof CorvoError ? `${error.code}: ${error.hint}` : error;
      }
    }),
  );
  expect(hints).toEqual([
    "NOT_FOUND: Check the name or id that the message shows.",
    "NOT_FOUND: Check the name or id that the message shows.",
    "NOT_FOUND: Check the id; what is finished is removed after the retention time.",
    "NOT_FOUND: Check the id; what is finished is removed after the retention time.",
  ]);
});
