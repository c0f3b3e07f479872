/**
 * Jobs that meet others of their key, that may be snoozed, given up or held, and what operators of a simulated cluster do
 * with queues as a whole. They have a queue of their own, since only one that nothing else adds to can be drained and watched.
 */
import type { Change, NewJob } from "../../src/engine/change.ts";
import type { JobOptions } from "../../src/engine/options.ts";
import { below, type SeededRandom } from "../support/seeded-random.ts";

export const admissionQueue = "x";
/** Keys whose jobs may become others begin so. */
export const changingKey = "r";
/** At most one unfinished job has such a key, and at most one that runs and one that waits has one of these. */
export const singleKey = "s";
export const lastKey = "l";
export const fatalClass = "Fatal";

const forEverMs = 1_000_000_000;

export function drawAdmissionJob(random: SeededRandom, payload: string): NewJob {
  const chance = (percent: number) => below(random, 100) < percent;
  return {
    queue: admissionQueue,
    payload,
    ...(chance(15) && { delayMs: below(random, 2000) }),
    ...(chance(20) && { deadlineMs: 2500 + below(random, 8000) }),
    options: {
      maxRetries: 1 + below(random, 3),
      backoff: "fixed",
      baseDelayMs: 200 + below(random, 800),
      jitterMode: (["additive", "full", "equal"] as const)[below(random, 3)] ?? "full",
      snoozesMax: 2,
      ...(chance(30) && { deadQueue: "a" }),
      ...(chance(20) && { noRetryOn: [fatalClass] }),
      ...(chance(20) && { lostLeasesMax: 1 + below(random, 2) }),
      ...(chance(20) && { retryForMs: 3000 }),
      ...drawKey(random),
    },
  };
}

function drawKey(random: SeededRandom): Partial<JobOptions> {
  const draw = below(random, 100);
  const number = below(random, 2);
  if (draw < 25) {
    const onConflict = (["existing", "reject", "cancel"] as const)[below(random, 3)] ?? "cancel";
    return { uniqueKey: `${singleKey}${number}`, uniqueMs: forEverMs, onConflict };
  }
  if (draw < 50) {
    return { uniqueKey: `${lastKey}${number}`, uniqueMs: forEverMs, onConflict: "keep_last" };
  }
  if (draw < 85) {
    return {
      uniqueKey: `${changingKey}${number}`,
      uniqueMs: 1000 + below(random, 5000),
      uniqueScope: (["waiting", "done", "period"] as const)[below(random, 3)] ?? "done",
      onConflict: below(random, 4) === 0 ? "existing" : "replace",
      debounceMs: below(random, 2) * 700,
    };
  }
  return {};
}

/** What an operator does with a whole queue. */
export function drawAdmissionChange(random: SeededRandom): Change {
  const draw = below(random, 100);
  if (draw < 25) {
    return { kind: "drainQueue", queue: admissionQueue, draining: below(random, 3) === 0 };
  }
  if (draw < 45) {
    const defaults = { timeoutMs: 1500 + below(random, 3000), deadQueue: "b" };
    const change = { kind: "setQueueDefaults" as const, queue: admissionQueue };
    return below(random, 2) === 0 ? change : { ...change, defaults, written: "{}" };
  }
  if (draw < 60) return { kind: "cancelRedrive", queue: drawRedriven(random) };
  return {
    kind: "startRedrive",
    queue: drawRedriven(random),
    filter: {},
    total: 0,
    totalExact: false,
    // As slow as lets it end in the time that a run waits for everything to end.
    ...(below(random, 2) === 0 ? {} : { perSecond: 4 + below(random, 17) }),
  };
}

function drawRedriven(random: SeededRandom): string {
  return [admissionQueue, "a", "b"][below(random, 3)] ?? admissionQueue;
}
