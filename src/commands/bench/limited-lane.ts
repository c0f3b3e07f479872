/**
 * The queue of a run whose jobs have limit keys or groups, when the run asks for them. A limit is set for each key and every
 * claim passes it, but none ever binds: the figure is what limits cost, not what they hold back.
 */
import type { Bench, Lane } from "./bench-run.ts";

/** More than a run has at once, so no key is ever full and no bucket empty. */
const concurrency = 1_000_000;
const rate = { count: 1_000_000, window: "1s" } as const;

export async function limitedLane(bench: Bench, name: string): Promise<Lane> {
  const keys = bench.setting("keys");
  const groups = bench.setting("groups");
  if (keys === 0 && groups === 0) return bench.lane(name);
  const lane = bench.lane(name, (number) => {
    const key = keys === 0 ? "" : `,"limit_key":"k${number % keys}"`;
    return groups === 0 ? key : `${key},"group":"g${number % groups}"`;
  });
  if (keys > 0) {
    const body = { each_key: true, concurrency, rate };
    await bench.client.setLimit({ params: { name: lane.queue }, body });
  }
  return lane;
}
