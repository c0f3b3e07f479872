/**
 * Histories in which limits, groups and keys matter all the time: workers claim, and end what they hold in every way,
 * while limits and pauses come and go. Several queues share the resources.
 */
import fc from "fast-check";
import type { Change, ManageAction, NewJob } from "../../src/engine/change.ts";
import type { MemoryState } from "../../src/engine/memory-state.ts";
import { lane, limitChange, pause } from "./histories.ts";

const queue = fc.constantFrom("a", "a", "a", "b", "c/d");
const nth = fc.nat({ max: 5 });

const enqueue: fc.Arbitrary<Change> = fc
  .record({
    queue,
    priority: fc.constantFrom(1, 1, 2),
    delayMs: fc.constantFrom(0, 0, 0, 700),
    expireMs: fc.constantFrom(60_000, 60_000, 60_000, 800),
    lane: fc.option(lane, { nil: undefined, freq: 3 }),
    count: fc.integer({ min: 1, max: 3 }),
  })
  .map(({ lane: its, count, ...job }) => {
    const options = { maxRetries: 3, baseDelayMs: 300, ...(its !== undefined && { lane: its }) };
    const jobs: NewJob[] = Array.from({ length: count }, () => ({ ...job, payload: "1", options }));
    return { kind: "enqueue", jobs };
  });

const claim: fc.Arbitrary<Change> = fc
  .record(
    {
      kind: fc.constant("claim" as const),
      queues: fc.constantFrom(["a"], ["a", "b"], ["b", "a"], ["c/d", "a", "b"]),
      count: fc.integer({ min: 1, max: 4 }),
      leaseMs: fc.constantFrom(300, 5000, 60_000),
      labels: fc.constantFrom(["x=1"], ["x=1", "y=2"], ["y=2"]),
    },
    { requiredKeys: ["kind", "queues", "count", "leaseMs"] },
  )
  .map((made) => made as Change);

/** Ends the n-th lease that is held. */
const ending = fc.record({
  kind: fc.constant("ending" as const),
  nth,
  how: fc.constantFrom("ack", "ack", "fail", "keep", "release", "cancel", "hold", "delete"),
  pause: fc.option(pause, { nil: undefined, freq: 2 }),
  delayMs: fc.constantFrom(0, 0, 400),
});

/** Does something to the n-th job. */
const action = fc.record({
  kind: fc.constant("action" as const),
  nth: fc.nat({ max: 30 }),
  action: fc.constantFrom<ManageAction>(
    "retry",
    "cancel",
    "delete",
    "move",
    "hold",
    "approve",
    "changePriority",
  ),
  queue: fc.constantFrom("a", "b", "c/d"),
  priority: fc.constantFrom(1, 2),
});

export const limitStep = fc.record({
  /** Is everything looked at after it? To look may bring back what is parked, so most steps are left as they are. */
  isSeen: fc.constantFrom(true, false, false),
  afterMs: fc.constantFrom(0, 0, 0, 1, 30, 100, 400, 1000),
  change: fc.oneof(
    { weight: 8, arbitrary: enqueue },
    { weight: 12, arbitrary: claim },
    { weight: 12, arbitrary: ending },
    { weight: 3, arbitrary: action },
    { weight: 4, arbitrary: limitChange },
    {
      weight: 1,
      arbitrary: fc.record({
        kind: fc.constant("pauseQueue" as const),
        queue,
        paused: fc.constantFrom(true, false, false),
      }),
    },
    {
      weight: 1,
      arbitrary: fc.record({
        kind: fc.constant("clearQueue" as const),
        queue,
        limit: fc.integer({ min: 1, max: 4 }),
      }),
    },
    {
      weight: 3,
      arbitrary: fc.record({
        kind: fc.constant("advanceTime" as const),
        limit: fc.constantFrom(1, 100),
      }),
    },
  ),
});
export type LimitStep = typeof limitStep extends fc.Arbitrary<infer T> ? T : never;

/** The change behind a step, which names jobs by what they are now. */
export function changeOf(made: LimitStep["change"], state: MemoryState): Change {
  const jobs = [...state.jobs.values()];
  if (made.kind === "action") {
    const { action: name, queue: to, priority } = made;
    const seqs = jobs.slice(made.nth, made.nth + 1).map(({ seq }) => seq);
    const more = name === "move" ? { queue: to } : { priority };
    return { kind: "manage", action: name, seqs, ...more };
  }
  if (made.kind !== "ending") return made;
  const active = jobs.filter((job) => job.state === "active");
  const items = active.slice(made.nth, made.nth + 1).map(({ seq, token }) => ({ seq, token }));
  const raised = made.pause === undefined ? {} : { pause: made.pause };
  switch (made.how) {
    case "ack":
      return { kind: "ack", items };
    case "fail":
      return { kind: "fail", items: items.map((item) => ({ ...item, error: "e", ...raised })) };
    case "keep":
      return {
        kind: "fail",
        items: items.map((item) => ({ ...item, error: "e", keepAttempt: true, ...raised })),
      };
    case "release":
      return {
        kind: "release",
        items: items.map((item) => ({ ...item, delayMs: made.delayMs, ...raised })),
      };
    default:
      return {
        kind: "manage",
        action: made.how as ManageAction,
        seqs: items.map(({ seq }) => seq),
      };
  }
}
