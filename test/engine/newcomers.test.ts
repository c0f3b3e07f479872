/** Jobs that wait for a retry of a dead job of another shard, and those that keep coming: how much work that is. */
import { expect, test } from "bun:test";
import { parseJobId } from "../../src/base/ids.ts";
import type { Change } from "../../src/engine/change.ts";
import { ShardsRig } from "../support/shards-rig.ts";

test("[F1] [F11] however many come to wait for a retry of a dead job of another shard, they are told together", () => {
  const rig = new ShardsRig(2, undefined, 100);
  const [a = "", b = ""] = rig.queues("q");
  const dead = rig.add(a);
  rig.run(a, "fail");
  const { engine, state } = rig.at(1);
  const options = { dependsOn: [dead], onDependencyFailure: "wait" } as const;
  const come: Change = { kind: "enqueue", jobs: [{ queue: b, payload: "1", options }], shard: 1 };
  const { nowMs } = rig;
  for (let i = 0; i < 500; i++) {
    engine.apply({ nowMs, seed: 1, changes: [come] });
    const watch = rig.deliveryOf(1, 0);
    if (watch !== undefined) rig.at(0).engine.apply({ nowMs, seed: 1, changes: [watch] });
    const ended = rig.deliveryOf(0, 1);
    if (ended !== undefined) engine.apply({ nowMs, seed: 1, changes: [ended] });
    expect(state.records("aftermath").size).toBeLessThanOrEqual(2);
  }

  rig.restart(1);
  rig.settle();
  rig.manage("retry", dead);
  rig.run(a);
  rig.settle();
  expect(rig.at(1).engine.readyCount(b)).toBe(500);
});

test("[F55] one that comes in the entry in which another is run again, after that, hears of the end as well", () => {
  const rig = new ShardsRig(2);
  const [a = "", b = ""] = rig.queues("q");
  const dependsOn = [rig.add(a)];
  const again = rig.add(b, { dependsOn });
  rig.manage("cancel", again);
  rig.settle();
  const come: Change = {
    kind: "enqueue",
    jobs: [{ queue: b, payload: "1", options: { dependsOn } }],
    shard: 1,
    across: true,
  };
  const retry: Change = { kind: "manage", action: "retry", seqs: [parseJobId(again)?.seq ?? 0] };
  rig.applyAll(1, [come, retry, come]);
  rig.settle();
  rig.run(a);
  rig.settle();

  expect(rig.jobsOf(b).map(({ order }) => order > 0)).toEqual([true, true, true]);
});
