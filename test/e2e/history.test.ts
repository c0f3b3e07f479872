/** The check that one order explains what clients saw: it must see what is wrong, or it proves nothing. */
import { expect, test } from "bun:test";
import { isLinearizable, type JobEvent } from "../support/cluster/history.ts";

type Spec = Partial<JobEvent> & Pick<JobEvent, "kind" | "beganMs">;

const event = (spec: Spec): JobEvent => ({
  token: undefined,
  endedMs: spec.verdict === "unknown" ? Number.POSITIVE_INFINITY : spec.beganMs + 1,
  verdict: "ok",
  seen: undefined,
  ...spec,
});

const life: readonly Spec[] = [
  { kind: "enqueue", beganMs: 0 },
  { kind: "claim", beganMs: 2, token: "t" },
  { kind: "ack", beganMs: 4, token: "t" },
];

const holds = (...more: readonly Spec[]) => isLinearizable([...life, ...more].map(event));

test("a life as it should be has an order, also when answers are missing or calls overlap", () => {
  expect(holds({ kind: "read", beganMs: 6, seen: "completed" })).toBe(true);
  expect(holds({ kind: "read", beganMs: 4.5, seen: "active" })).toBe(true);
  expect(holds({ kind: "cancel", beganMs: 0.5, verdict: "unknown" })).toBe(true);
  expect(
    isLinearizable(
      [
        { kind: "enqueue" as const, beganMs: 0, verdict: "unknown" as const },
        { kind: "read" as const, beganMs: 2, seen: "absent" },
        { kind: "claim" as const, beganMs: 9, token: "t" },
      ].map(event),
    ),
  ).toBe(true);
});

test("what cannot be in any order is seen", () => {
  expect(holds({ kind: "read", beganMs: 6, seen: "waiting" })).toBe(false);
  expect(holds({ kind: "read", beganMs: 2.5, seen: "absent" })).toBe(false);
  expect(holds({ kind: "claim", beganMs: 6, token: "u" })).toBe(false);
  expect(holds({ kind: "ack", beganMs: 6, token: "u" })).toBe(false);
  expect(holds({ kind: "cancel", beganMs: 6 })).toBe(false);
  expect(
    holds(
      { kind: "read", beganMs: 4.2, endedMs: 4.3, seen: "completed" },
      {
        kind: "read",
        beganMs: 4.4,
        endedMs: 4.5,
        seen: "active",
      },
    ),
  ).toBe(false);
  // A lease that was given back is over for good.
  expect(
    isLinearizable(
      [
        { kind: "enqueue" as const, beganMs: 0 },
        { kind: "claim" as const, beganMs: 2, token: "t" },
        { kind: "release" as const, beganMs: 4, token: "t" },
        { kind: "fail" as const, beganMs: 6, token: "t" },
      ].map(event),
    ),
  ).toBe(false);
});
