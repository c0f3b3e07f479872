/** What shards say anew when their states are not of one moment; whether it leads to the same end is `across-shards-model.test.ts`. */
import { expect, test } from "bun:test";
import { formatGroupId } from "../../src/base/ids.ts";
import type { Change } from "../../src/engine/change.ts";
import { changeLimits } from "../../src/engine/limits.ts";
import { MemoryState } from "../../src/engine/memory-state.ts";
import { refuseIllFormed } from "../../src/engine/well-formed.ts";
import { ShardsRig } from "../support/shards-rig.ts";

test("[F55] shards whose states are not of one moment can tell of more waiting jobs of a batch than one message holds", () => {
  const { rig, b, batchId } = rigWithBatch();
  const { engine } = rig.at(1);
  const jobs = Array.from({ length: changeLimits.listMax / 2 + 1 }, () => {
    return { queue: b, payload: "1", options: { batchId } };
  });
  const enqueue: Change = { kind: "enqueue", jobs, shard: 1, across: true };
  const { nowMs } = rig;
  for (const changes of [[enqueue], [enqueue], [{ kind: "reunite" } as const]]) {
    engine.apply({ nowMs, seed: 1, changes });
  }

  const { first, mails } = engine.post.after(0, 0, 10);
  const told = mails.flatMap((mail) => (mail.kind === "join" ? mail.jobs : []));
  expect(told).toHaveLength(2 * jobs.length);
  expect(() => refuseIllFormed({ kind: "deliver", from: 1, first, mails })).not.toThrow();
});

test("[F57] one that waits again for a job of another shard, since before others that came after it, hears that the job is lost", () => {
  const rig = new ShardsRig(2);
  const [a = "", b = ""] = rig.queues("q");
  const before = new MemoryState(rig.at(0).state);
  const dependsOn = [rig.add(a)];
  const again = rig.add(b, { dependsOn });
  const later = rig.add(b, { dependsOn });
  rig.settle();
  rig.manage("cancel", again);
  rig.manage("retry", again);
  const restored = new ShardsRig(2, [before, rig.at(1).state]);
  restored.apply(0, { kind: "reunite" });
  restored.apply(1, { kind: "reunite" });
  restored.settle();

  expect([again, later].map((id) => restored.job(id)?.state)).toEqual(["dead", "dead"]);
});

test("[F57] a job that ended before it was counted in a batch of another shard takes nobody's place there", () => {
  const { rig, b, seq, batchId } = rigWithBatch();
  rig.add(b, { batchId });
  rig.settle();
  rig.add(b, { batchId });
  rig.manage("cancel", rig.add(b, { batchId }));
  rig.apply(0, { kind: "reunite" });
  rig.apply(1, { kind: "reunite" });
  rig.settle();

  expect(rig.at(0).state.records("batch").get(String(seq))).toMatchObject({
    total: 4,
    pending: 3,
    cancelled: 1,
  });
});

/** Two shards, an open batch with one job in the first of them, and a queue of the second. */
function rigWithBatch() {
  const rig = new ShardsRig(2);
  const [a = "", b = ""] = rig.queues("q");
  const { batch } = rig.enqueue([{ queue: a, payload: "1" }], {
    batch: { openMs: 1000, shard: 0 },
  });
  const [seq = 0, createdAtMs = 0] = batch ?? [];
  const batchId = formatGroupId("batch", { seq, createdAtMs, shard: 0 });
  return { rig, b, seq, batchId };
}
