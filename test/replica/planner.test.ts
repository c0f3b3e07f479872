import { expect, test } from "bun:test";
import type { Change } from "../../src/engine/change.ts";
import type { ScheduleSpec } from "../../src/engine/schedule.ts";
import { NodeRig, settle } from "../support/node-rig.ts";

const minuteMs = 60_000;

function everyMinute(rig: NodeRig): Change {
  const spec: ScheduleSpec = {
    timetable: { kind: "every", everyMs: minuteMs, anchorMs: rig.time.nowMs() },
    job: { queue: "q", payload: "{}" },
    written: "{}",
    overlap: "allow",
    catchUp: "latest",
    catchUpMs: minuteMs,
    jitterMs: 0,
    startMs: 0,
    endMs: 0,
    maxRuns: 0,
  };
  return { kind: "setSchedule", name: "s", spec };
}

const scheduleOf = (rig: NodeRig) => rig.replica.engine.state.records("schedule").get("s");

test("a clock that is ahead for a moment while due times are planned makes none of them missed", async () => {
  const rig = new NodeRig();
  rig.node.lead();
  const madeMs = rig.time.nowMs();
  rig.log.isHeld = true;
  rig.replica.submit(everyMinute(rig)).catch(() => undefined);
  await settle();

  rig.time.setForward(60 * minuteMs);
  const released = rig.log.release();
  rig.time.setForward(-60 * minuteMs);
  await released;
  await settle();

  expect(scheduleOf(rig)).toMatchObject({ missed: 0, history: 0 });
  expect(scheduleOf(rig)?.plan[0]).toBe(madeMs + minuteMs);
});

test("what came due while nobody led is missed as one gap, with one entry in the history", async () => {
  const rig = new NodeRig();
  rig.log.isHeld = true;
  rig.replica.submit(everyMinute(rig)).catch(() => undefined);
  await settle();
  rig.log.isReady = false;
  await rig.log.release();
  rig.time.setForward(60 * minuteMs);

  rig.log.isReady = true;
  rig.node.lead();
  await settle();

  expect(scheduleOf(rig)).toMatchObject({ missed: 58, history: 1 });
});
