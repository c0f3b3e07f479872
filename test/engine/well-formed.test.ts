import { expect, test } from "bun:test";
import fc from "fast-check";
import { requestLimits } from "../../src/api/limits.ts";
import { CorvoError } from "../../src/base/errors.ts";
import { type Change, decodeBatch, encodeBatch } from "../../src/engine/change.ts";
import { newestFeatureLevel } from "../../src/engine/feature-levels.ts";
import { changeLimits } from "../../src/engine/limits.ts";
import { MemoryState } from "../../src/engine/memory-state.ts";
import { refuseIllFormed } from "../../src/engine/well-formed.ts";
import { fullChanges, leanChanges } from "../support/change-examples.ts";
import { batchStep, startMs } from "../support/histories.ts";
import { batchAt } from "../support/history-batch.ts";
import { keyedStep } from "../support/keyed-histories.ts";

/** What is wrong with it in words; undefined when it may reach the log. */
function fault(change: unknown): string | undefined {
  try {
    refuseIllFormed(change as Change);
    return undefined;
  } catch (error) {
    if (!(error instanceof CorvoError)) throw error;
    expect(error.code).toBe("VALIDATION_ERROR");
    return error.message;
  }
}

type Path = readonly (string | number)[];

/** Every place in a value, the whole of it left out. */
function places(value: unknown, at: Path = []): Path[] {
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([key, member]) => {
    const path = [...at, Array.isArray(value) ? Number(key) : key];
    return [path, ...places(member, path)];
  });
}

function valueAt(value: unknown, path: Path): unknown {
  return path.reduce((at, key) => (at as Record<string, unknown>)[key], value);
}

/** The same value with something else in one place; without that place when nothing is given. */
function withOther(value: unknown, path: Path, ...other: readonly unknown[]): unknown {
  const [key = "", ...rest] = path;
  const copy = (Array.isArray(value) ? [...value] : { ...(value as object) }) as Record<
    string | number,
    unknown
  >;
  if (rest.length > 0) copy[key] = withOther(copy[key], rest, ...other);
  else if (other.length > 0) copy[key] = other[0];
  else delete copy[key];
  return copy;
}

const lean: readonly Change[] = Object.values(leanChanges);
const full: readonly Change[] = Object.values(fullChanges);
/** The only member whose names are the user's. */
const isOfUser = (path: Path) => path.includes("tags") && path.includes("filter");

test("[W1] a change of every kind may reach the log, with all that it may have and with nothing but what it must have", () => {
  for (const change of [...lean, ...full])
    expect([change.kind, fault(change)]).toEqual([change.kind, undefined]);
});

test("[W1] every change of a random history may reach the log, and comes back from it as it was", () => {
  fc.assert(
    fc.property(fc.oneof(batchStep, keyedStep), (step) => {
      const batch = batchAt(step, startMs, new MemoryState());
      for (const change of batch.changes) expect(fault(change)).toBeUndefined();
      expect(decodeBatch(encodeBatch(batch, newestFeatureLevel))).toStrictEqual(batch);
    }),
    { numRuns: 500 },
  );
});

test("[W1] the examples come back from the log as they were", () => {
  const batch = { nowMs: 1, seed: 2, changes: [...lean, ...full] };
  expect(decodeBatch(encodeBatch(batch, newestFeatureLevel))).toStrictEqual(batch);
});

/** Values of other types, and those of its own type that JSON changes or that no member takes. */
function wrongFor(value: unknown): unknown[] {
  const never = [undefined, null, Number.NaN, Number.POSITIVE_INFINITY, -0, 1e300, 2 ** 53, -2];
  const classes = [new Date(0), new Map(), () => 1, Symbol("s"), 1n];
  if (typeof value === "string") return [...never, ...classes, 7, true, {}, [], "half \ud800"];
  if (typeof value === "number") return [...never, ...classes, "7", true, {}, [], 1.5];
  if (typeof value === "boolean") return [...never, ...classes, 1, "true", {}, []];
  if (Array.isArray(value)) return [...never, ...classes, 7, "x", true, { length: 0 }];
  return [...never, ...classes, 7, "x", true, []];
}

test("[W2] a wrong value in any place of any change is refused, and the place is named", () => {
  for (const change of full) {
    for (const path of places(change)) {
      const value = valueAt(change, path);
      for (const wrong of wrongFor(value)) {
        const found = fault(withOther(change, path, wrong));
        // An attempt is compared with whatever number was asked for; -2 is the step after a failure; counts go down as well.
        if (
          /attemptM(in|ax)|chainStep|errand.step|by.(total|pending|completed|dead|cancelled)/.test(
            path.join("."),
          ) &&
          wrong === -2
        )
          continue;
        // A member of a payload is compared with any value that is no object.
        if (path.includes("payloadWhere") && path.at(-1) === "value" && fitsOperand(wrong))
          continue;
        if (found === undefined) expect([path, wrong]).toBeUndefined();
        if (path[0] !== "kind") expect(found).toContain(`change "${change.kind}": ${path[0]}`);
      }
    }
  }
});

test("[W2] a member that the kind does not have is refused wherever it stands, even with nothing in it", () => {
  for (const change of full) {
    const objects = [[], ...places(change)].filter((path) => {
      const value = valueAt(change, path);
      return typeof value === "object" && !Array.isArray(value) && !isOfUser(path);
    });
    for (const path of objects) {
      for (const [name, value] of [
        ["mood", 1],
        ["toJSON", () => 1],
        ["constructor", undefined],
      ]) {
        expect(fault(withOther(change, [...path, String(name)], value))).toContain(String(name));
      }
    }
  }
});

test("[W2] a change that lacks what it must have is refused, whatever that is", () => {
  for (const change of lean) {
    for (const path of places(change)) {
      // Of a list only an item can be missing, and a limit may say nothing.
      if (typeof path.at(-1) === "number" || path.join(".") === "values.rate") continue;
      expect(fault(withOther(change, path)), `${change.kind} without ${path}`).toBeDefined();
    }
  }
});

test("[W2] what goes together only in part is refused", () => {
  const { setLimit, planSchedule, enqueue } = fullChanges;
  const job = (options: object): object => ({
    kind: "enqueue",
    jobs: [{ queue: "q", payload: "{}", options }],
  });
  const [restored] = fullChanges.restoreJobs.jobs;
  const cases: readonly (readonly [object, string])[] = [
    [
      { ...setLimit, target: { scope: "resource", queue: "q", name: "r" } },
      "target: expected a queue with every scope but resource",
    ],
    [
      { ...setLimit, target: { scope: "key", queue: "q", name: "" } },
      "target: expected a name with the scopes key and resource",
    ],
    [{ ...setLimit, target: { scope: "queue", queue: "q\n", name: "" } }, "without a line break"],
    [
      { ...setLimit, values: { rate: { kind: "leaky", count: 1, windowMs: 1, burst: 1 } } },
      "values.rate: expected a rate of kind leaky without burst",
    ],
    [{ ...planSchedule, dueMs: [2, 1] }, "dueMs: expected times in growing order"],
    [
      { kind: "release", items: [{ seq: 1, pause: { scope: "queue", name: "r", pauseMs: 1 } }] },
      "items[0].pause: expected a name with the scope resource",
    ],
    [
      job({
        lane: {
          resources: [
            ["b", 1],
            ["a", 1],
          ],
        },
      }),
      "resources in growing order",
    ],
    [job({ lane: { requires: ["a=b", "a=b\nc"] } }), "a label without control characters"],
    [
      { kind: "restoreJobs", jobs: [{ ...restored, result: "~j 5\nAAAA" }] },
      "jobs[0].result: expected a stored value that can be unpacked",
    ],
    [job({ chainStep: 1 }), "jobs[0].options.chainStep: expected nothing: only the engine"],
    [
      job({ chain: { shard: 0, steps: [enqueue.jobs[0]] } }),
      "jobs[0].options.chain.steps[0].options.chain: expected nothing: it follows other jobs",
    ],
    [
      { kind: "setQueueDefaults", queue: "q", defaults: { uniqueKey: "k" } },
      "defaults.uniqueKey: expected no member of this name",
    ],
    [{ kind: "manage", action: "move", seqs: [1] }, "expected a queue with the action move"],
    [
      { ...leanChanges.startBulk, action: "changePriority" },
      "expected a priority with the action changePriority",
    ],
    [{ kind: "sing" }, "kind: expected one of enqueue, claim"],
  ];
  for (const [change, words] of cases) expect(fault(change)).toContain(words);
});

test("[W2] the refusal names the place and the value, and says that nothing was done", () => {
  const change = { kind: "claim", queues: ["q"], count: 1, leaseMs: Number.NaN };
  expect(fault(change)).toBe(
    'change "claim": leaseMs: expected a whole number from 1 to 31622400000000, got NaN; nothing was done',
  );
});

test("[W3] what requests may hold fits into what changes may hold", () => {
  const fits: readonly (readonly [number, number])[] = [
    [requestLimits.queueNameLengthMax, changeLimits.nameCharsMax],
    [requestLimits.keyLengthMax, changeLimits.nameCharsMax],
    [requestLimits.cronLengthMax, changeLimits.nameCharsMax],
    [requestLimits.errorClassLengthMax, changeLimits.shortCharsMax],
    [requestLimits.enqueueJobsMax, changeLimits.listMax],
    [requestLimits.batchItemsMax, changeLimits.listMax],
    [requestLimits.dependsOnMax, changeLimits.listMax],
    [requestLimits.redriveRateMax, changeLimits.listMax],
    [requestLimits.delayMsMax, changeLimits.durationMsMax],
    [requestLimits.leaseMsMax, changeLimits.durationMsMax],
    [requestLimits.limitUnitsMax, changeLimits.unitsMax],
    [requestLimits.rateWindowMsMax, changeLimits.rateWindowMsMax],
    [requestLimits.groupWeightMax, changeLimits.weightMax],
  ];
  for (const [asked, taken] of fits) expect(asked).toBeLessThanOrEqual(taken);
  expect(2 * changeLimits.unitsMax * changeLimits.rateWindowMsMax).toBeLessThan(2 ** 53);
});

function fitsOperand(value: unknown): boolean {
  if (typeof value === "number") return Number.isFinite(value) && !Object.is(value, -0);
  return value === null || typeof value === "boolean" || typeof value === "string";
}
