/**
 * Whatever passes the door to the log, the engine takes. Changes are made from the examples of every kind by giving members
 * other values of their type and leaving some out, so most of them make little sense; those that the door lets through are
 * applied, to one engine as they are and to another as the log gives them back.
 */
import { expect, test } from "bun:test";
import fc from "fast-check";
import { formatGroupId, formatJobId } from "../../src/base/ids.ts";
import { type Change, decodeBatch, encodeBatch } from "../../src/engine/change.ts";
import { Engine } from "../../src/engine/engine.ts";
import { newestFeatureLevel } from "../../src/engine/feature-levels.ts";
import { findViolations } from "../../src/engine/invariants.ts";
import { MemoryState } from "../../src/engine/memory-state.ts";
import type { Place } from "../../src/engine/place.ts";
import { hashState } from "../../src/engine/state-hash.ts";
import { refuseIllFormed } from "../../src/engine/well-formed.ts";
import { fullChanges, leanChanges } from "../support/change-examples.ts";
import { startMs } from "../support/histories.ts";

/** Of this shard, and of another one. */
const ids = [1, 2, 3, 4, 9].flatMap((seq) =>
  [0, 1].flatMap((shard) => [
    formatJobId(seq, startMs, shard),
    formatGroupId("batch", { seq, createdAtMs: startMs, shard }),
    formatGroupId("chn", { seq, createdAtMs: startMs, shard }),
  ]),
);
/** Every word that some member may be. */
const words =
  "retry requeue cancel delete move hold approve reject changePriority queue key resource eachKey eachGroup group allow skip buffer none latest all ended completed dead cancelled missing refused continue existing replace keep_last waiting done period";
const text = fc.oneof(
  fc.constantFrom(...words.split(" ")),
  fc.constantFrom("", "q", "r", "k", "s", "$0", "$1", "$9", "{}", "[1]", "not json", "a=b", ...ids),
  fc.string({ maxLength: 4 }),
);
const number = fc.oneof(
  fc.constantFrom(0, 1, 2, 3, 4, 9, 100, 1000, startMs, startMs + 500, Number.MAX_SAFE_INTEGER),
  fc.double({ min: 0, max: 1, noNaN: true }),
);

/** The value, or one with the same shape and other leaves. */
function other(value: unknown): fc.Arbitrary<unknown> {
  const same = fc.constant(value);
  if (typeof value === "string") return fc.oneof({ weight: 2, arbitrary: same }, text);
  if (typeof value === "number") return fc.oneof({ weight: 2, arbitrary: same }, number);
  if (typeof value === "boolean") return fc.boolean();
  if (Array.isArray(value)) {
    const items = value.map((item) => other(item));
    return fc.oneof(fc.tuple(...items), fc.constant([]), fc.tuple(...items, ...items));
  }
  if (typeof value !== "object" || value === null) return same;
  const members = Object.entries(value).map(([name, member]) =>
    fc
      // Ids of what is made here name the shard that makes it.
      .tuple(fc.integer({ min: 0, max: 3 }), name === "shard" ? fc.constant(0) : other(member))
      .map(([draw, made]) => (draw === 0 && name !== "kind" ? [] : [[name, made] as const])),
  );
  return fc.tuple(...members).map((made) => Object.fromEntries(made.flat()));
}

/** With `kind` and all that the door asks for, the rest at random. */
function changeFrom(example: Change, least: Change): fc.Arbitrary<Change> {
  return fc
    .tuple(other(example), fc.boolean())
    .map(([made, isWhole]) => ({ ...(isWhole ? example : least), ...(made as Change) }) as Change);
}

/** The same with everything made in shard 0. */
function ofFirstShard<T>(value: T): T {
  return JSON.parse(JSON.stringify(value), (name, member: unknown) =>
    name === "shard" ? 0 : member,
  ) as T;
}

const kinds = Object.keys(fullChanges) as Change["kind"][];
const strange = fc.oneof(
  ...kinds.map((kind) => changeFrom(ofFirstShard<Change>(fullChanges[kind]), leanChanges[kind])),
);
/** What gives the strange ones something to work on. */
const plain: fc.Arbitrary<Change> = fc.oneof(
  fc.constant<Change>({
    kind: "enqueue",
    jobs: [
      { queue: "q", payload: "{}" },
      { queue: "r", payload: "[]", options: { maxRetries: 1 } },
    ],
  }),
  fc.constant<Change>({ kind: "claim", queues: ["q", "r"], count: 2, leaseMs: 700 }),
  fc.constantFrom<Change>({ kind: "advanceTime", limit: 1 }, { kind: "advanceTime", limit: 50 }),
);

function passes(change: Change): boolean {
  try {
    refuseIllFormed(change);
    return true;
  } catch {
    return false;
  }
}

const step = fc.record({
  afterMs: fc.constantFrom(0, 0, 1, 500, 60_000),
  /** In one entry of the log. */
  changes: fc.array(
    fc.oneof({ weight: 2, arbitrary: plain }, { weight: 5, arbitrary: strange.filter(passes) }),
    { minLength: 1, maxLength: 3 },
  ),
});

const histories = fc.array(step, { minLength: 3, maxLength: 20, size: "max" });

function engineOf(place: Place): { state: MemoryState; engine: Engine } {
  const state = new MemoryState();
  state.meta.featureLevel = newestFeatureLevel;
  return { state, engine: new Engine(state, 3, place) };
}

test("[W1] [W4] whatever passes the door is applied by every node alike, and ends none", () => {
  const seen = new Map<string, number>();
  fc.assert(
    fc.property(histories, fc.constantFrom(1, 3), (steps, shards) => {
      const one = engineOf({ shard: 0, shards });
      const two = engineOf({ shard: 0, shards });
      let nowMs = startMs;
      for (const { afterMs, changes } of steps) {
        nowMs += afterMs;
        for (const { kind } of changes) seen.set(kind, (seen.get(kind) ?? 0) + 1);
        const batch = { nowMs, seed: 7, changes };
        one.engine.apply(batch);
        two.engine.apply(decodeBatch(encodeBatch(batch, newestFeatureLevel)));
        expect(findViolations(one.state.contents(), one.engine)).toEqual([]);
      }
      expect(hashState(two.state.contents())).toBe(hashState(one.state.contents()));
    }),
    { numRuns: Number(process.env["CORVO_TEST_RUNS"] ?? 250) },
  );
  expect(kinds.filter((kind) => !seen.has(kind))).toEqual([]);
}, 120_000);
