/** Life-cycle events: all that happens is told, once, in order, and alike on every replica. */
import { expect, test } from "bun:test";
import fc from "fast-check";
import { Engine } from "../../src/engine/engine.ts";
import type { LifecycleEvent } from "../../src/engine/event-chunk.ts";
import { tailEventsMax } from "../../src/engine/event-tail.ts";
import { eventTable, eventTypes, typeOfCode } from "../../src/engine/event-types.ts";
import { newestFeatureLevel } from "../../src/engine/feature-levels.ts";
import { MemoryState } from "../../src/engine/memory-state.ts";
import { EngineRig } from "../support/engine-rig.ts";
import { EventObserver } from "../support/event-observer.ts";
import { withEventTable } from "../support/event-page.ts";
import { batchStep, startMs } from "../support/histories.ts";
import { batchAt } from "../support/history-batch.ts";
import { keyedStep } from "../support/keyed-histories.ts";

function read(state: MemoryState, from = 1): readonly LifecycleEvent[] {
  return state.events.read(from, {}, { limit: 100_000, scanMax: 100_000 }).events;
}

/** Type, job and data of each. */
function told(rig: EngineRig, from = 1): unknown[] {
  return read(rig.state, from).map(({ type, seq, data }) =>
    data === undefined ? [type, seq] : [type, seq, JSON.parse(data)],
  );
}

function listening(): EngineRig {
  const rig = new EngineRig();
  rig.state.meta.featureLevel = newestFeatureLevel;
  return rig;
}

test.each([batchStep, keyedStep])(
  "[EV1] [EV2] who hears the events and nothing else knows the state of every job, whatever happens, and a rebuilt engine tells the same",
  (step) => {
    fc.assert(
      fc.property(fc.array(step, { minLength: 1, maxLength: 40, size: "max" }), (steps) => {
        const state = new MemoryState();
        const twin = new MemoryState();
        state.meta.featureLevel = newestFeatureLevel;
        twin.meta.featureLevel = newestFeatureLevel;
        const engine = new Engine(state);
        const observer = new EventObserver();
        let nowMs = startMs;
        let heard = 1;
        for (const one of steps) {
          const batch = batchAt(one, nowMs, state);
          nowMs = batch.nowMs;
          engine.apply(batch);
          new Engine(twin).apply(batch);

          const events = read(state, heard);
          for (const event of events) observer.hear(event);
          expect(observer.compare(state.jobs)).toEqual([]);
          expect(read(twin, heard)).toEqual(events);
          heard += events.length;
          expect(state.meta.nextEvent).toBe(heard);
        }
      }),
      { numRuns: 700 },
    );
  },
  60_000,
);

test("the life of a job that fails, is put off, loses its worker and is done", () => {
  const rig = listening();
  const seq = rig.add({ options: { baseDelayMs: 1000, jitter: 0 } });
  rig.heartbeat(rig.claim(), { progress: '{"at":1}' });
  rig.fail({ seq }, { errorClass: "Slow" });
  rig.pass(1000).tick();
  rig.snooze(rig.claim(), 500);
  rig.pass(500).tick();
  rig.claim();
  rig.pass(1000).tick();
  rig.ack(rig.claim());

  expect(told(rig)).toEqual([
    ["enqueued", seq],
    ["started", seq, { worker_id: "w" }],
    ["progress", seq, { at: 1 }],
    [
      "failed",
      seq,
      {
        state: "retrying",
        error: "boom",
        error_class: "Slow",
        next_attempt_at: "2027-01-15T08:00:01.000Z",
      },
    ],
    ["ready", seq, { from: "retrying" }],
    ["started", seq, { worker_id: "w" }],
    ["snoozed", seq, { next_attempt_at: "2027-01-15T08:00:01.500Z" }],
    ["ready", seq, { from: "retrying" }],
    ["started", seq, { worker_id: "w" }],
    [
      "lease_expired",
      seq,
      {
        state: "pending",
        error: "lease expired: w did not answer for 1000 ms",
        worker_id: "w",
      },
    ],
    ["started", seq, { worker_id: "w" }],
    ["completed", seq],
  ]);
  expect(read(rig.state).map(({ attempt }) => attempt)).toEqual([
    0, 1, 1, 1, 1, 2, 2, 1, 2, 2, 3, 3,
  ]);
});

test("what operators do to jobs and queues is told", () => {
  const rig = listening();
  const seq = rig.add({ delayMs: 60_000 });
  rig.manage("hold", seq, { reason: "wait" });
  rig.manage("approve", seq);
  rig.manage("changePriority", seq, { priority: 0 });
  rig.manage("move", seq, { queue: "r" });
  rig.manage("cancel", seq);
  rig.manage("retry", seq);
  rig.apply({ kind: "pauseQueue", queue: "r", paused: true });
  rig.apply({ kind: "drainQueue", queue: "r", draining: true });
  rig.apply({ kind: "clearQueue", queue: "r", limit: 10 });
  rig.apply({ kind: "drainQueue", queue: "r", draining: false });
  rig.apply({ kind: "pauseQueue", queue: "r", paused: false });
  rig.apply({ kind: "deleteQueue", queue: "r" });

  expect(told(rig)).toEqual([
    ["enqueued", seq, { state: "scheduled", scheduled_at: "2027-01-15T08:01:00.000Z" }],
    ["held", seq, { reason: "wait" }],
    ["approved", seq],
    ["priority_changed", seq, { from: 2, to: 0 }],
    ["moved", seq, { from: "q" }],
    ["cancelled", seq, { from: "pending" }],
    ["retried", seq, { from: "cancelled" }],
    ["queue_paused", 0],
    ["queue_draining", 0],
    ["deleted", seq, { from: "pending" }],
    ["queue_cleared", 0, { deleted: 1 }],
    ["queue_undrained", 0],
    ["queue_resumed", 0],
    ["queue_deleted", 0],
  ]);
});

test("[EV3] a job that ends without success tells the cause and then that it is dead", () => {
  const rig = listening();
  const failed = rig.add({ options: { maxRetries: 1 } });
  rig.fail(rig.claim());
  const expired = rig.add({ expireMs: 10 });
  rig.pass(10).tick();
  const held = rig.add();
  rig.manage("hold", held);
  rig.manage("reject", held, { reason: "no" });

  expect(read(rig.state).map(({ type, seq }) => `${type} ${seq}`)).toEqual([
    `enqueued ${failed}`,
    `started ${failed}`,
    `failed ${failed}`,
    `dead ${failed}`,
    `enqueued ${expired}`,
    `expired ${expired}`,
    `dead ${expired}`,
    `enqueued ${held}`,
    `held ${held}`,
    `rejected ${held}`,
    `dead ${held}`,
  ]);
});

test("long progress and long errors are cut, and the job has them whole", () => {
  const rig = listening();
  const seq = rig.add();
  const progress = JSON.stringify("p".repeat(5000));
  rig.heartbeat(rig.claim(), { progress });
  rig.apply({ kind: "fail", items: [{ seq, error: "e".repeat(5000) }] });

  const [, , reported, failed] = read(rig.state);
  expect(JSON.parse(reported?.data ?? "")).toEqual({ truncated: true, length: 5002 });
  expect(JSON.parse(failed?.data ?? "").error).toHaveLength(1001);
  expect(rig.job(seq).progress).toBe(progress);
});

test("[EV8] nothing is counted before every node knows how", () => {
  const rig = new EngineRig();
  rig.add();
  expect(rig.state.meta.nextEvent).toBe(1);

  rig.apply({ kind: "raiseFeatureLevel", level: newestFeatureLevel });
  rig.add();
  expect(told(rig)).toHaveLength(1);
});

test("the memory of events is bounded, and readers are told from where on it goes", () => {
  const rig = listening();
  const jobs = Array.from({ length: 1000 }, () => ({ queue: "q", payload: "{}" }));
  for (let i = 0; i < 20; i++)
    rig.engine.apply({ nowMs: 1, seed: 0, changes: [{ kind: "enqueue", jobs }] });

  const { events } = rig.state;
  expect(events.next).toBe(20_001);
  expect(events.next - events.first).toBeGreaterThanOrEqual(tailEventsMax);
  expect(events.next - events.first).toBeLessThan(tailEventsMax + 2048);
  const page = events.read(events.first, { queues: new Set(["q"]) }, { limit: 10, scanMax: 5 });
  expect(page.events.map(({ number }) => number)).toEqual(
    [0, 1, 2, 3, 4].map((i) => events.first + i),
  );
  expect(events.read(page.next, { queues: new Set(["other"]) }, { limit: 1, scanMax: 99 })).toEqual(
    {
      events: [],
      next: page.next + 99,
    },
  );
});

test("events with long texts leave memory sooner", () => {
  const rig = listening();
  const seq = rig.add();
  const { token } = rig.claim(100_000);
  const progress = JSON.stringify("p".repeat(4000));
  const items = Array.from({ length: 500 }, () => ({ seq, token, progress }));
  const changes = [{ kind: "heartbeat" as const, items }];
  for (let i = 0; i < 10; i++) rig.engine.apply({ nowMs: rig.nowMs, seed: 0, changes });

  const { events } = rig.state;
  expect(events.next).toBe(5003);
  expect(events.first).toBeGreaterThan(3000);
  expect(read(rig.state, events.first).at(-1)?.data).toBe(progress);
});

test("each type has a code of its own, which leads back to it", () => {
  expect(new Set(eventTypes.map((type) => eventTable[type].code)).size).toBe(eventTypes.length);
  for (const type of eventTypes) expect(typeOfCode(eventTable[type].code)).toBe(type);
  expect(typeOfCode(255)).toBeUndefined();
});

test("the page of events has this table", async () => {
  const page = await Bun.file(new URL("../../docs/reference/events.md", import.meta.url)).text();
  expect(page).toBe(withEventTable(page));
});
