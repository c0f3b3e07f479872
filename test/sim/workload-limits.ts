/** Limits that clients of a simulated cluster set, pause and take away, and the lanes of their jobs. */
import type { Change } from "../../src/engine/change.ts";
import type { Lane } from "../../src/engine/limits/lane.ts";
import type { LimitTarget, LimitValues } from "../../src/engine/limits/setting.ts";
import { below, type SeededRandom } from "../support/seeded-random.ts";

const keys = ["x", "y"] as const;

/** Every target that is ever limited. */
function targetsOf(queues: readonly string[]): readonly LimitTarget[] {
  return [
    { scope: "resource", queue: "", name: "r" },
    ...queues.flatMap((queue): LimitTarget[] => [
      { scope: "queue", queue, name: "" },
      { scope: "eachKey", queue, name: "" },
      ...keys.map((name): LimitTarget => ({ scope: "key", queue, name })),
      ...keys.map((name): LimitTarget => ({ scope: "group", queue, name })),
    ]),
  ];
}

export function drawLane(random: SeededRandom): Lane {
  const chance = (percent: number) => below(random, 100) < percent;
  const key = () => keys[below(random, keys.length)] ?? "x";
  return {
    ...(chance(50) && { key: key() }),
    ...(chance(20) && { cost: 1 + below(random, 3) }),
    ...(chance(30) && { resources: [["r", 1 + below(random, 2)]] as const }),
    ...(chance(20) && { fifo: key() }),
    ...(chance(50) && { group: key() }),
  };
}

export function drawLimitChange(random: SeededRandom, queues: readonly string[]): Change {
  const targets = targetsOf(queues);
  const target = targets[below(random, targets.length)] as LimitTarget;
  const draw = below(random, 100);
  if (draw < 30) return { kind: "removeLimit", target };
  if (draw < 45 && target.scope !== "group") {
    return { kind: "pauseLimit", target, pauseMs: below(random, 1500) };
  }
  return { kind: "setLimit", target, values: drawValues(random, target) };
}

/** After these, nothing is limited any more. */
export function limitRemovals(queues: readonly string[]): readonly Change[] {
  return targetsOf(queues).map((target) => ({ kind: "removeLimit", target }));
}

function drawValues(random: SeededRandom, { scope }: LimitTarget): LimitValues {
  if (scope === "group") return { weight: 1 + below(random, 3) };
  const rateKinds = ["token", "sliding", "leaky"] as const;
  const concurrency = 1 + below(random, 4);
  const kind = rateKinds[below(random, 3)] ?? "token";
  const rate = { kind, count: 2 + below(random, 10), windowMs: 500 + below(random, 1000) };
  if (scope === "resource" || below(random, 2) === 0) return { concurrency };
  return below(random, 2) === 0 ? { rate } : { concurrency, rate };
}
