/** What may happen to a job between its asking to be counted in a batch of another shard and the answer; at random in `across-shards-model.test.ts`. */
import { expect, test } from "bun:test";
import { formatGroupId, parseJobId } from "../../src/base/ids.ts";
import type { JobOptions } from "../../src/engine/options.ts";
import { ShardsRig } from "../support/shards-rig.ts";

/** Two shards with a queue each, and an open batch in the first. */
function openBatch() {
  const rig = new ShardsRig(2);
  const [a = "", b = ""] = rig.queues("q");
  const made = rig.enqueue([{ queue: a, payload: "1" }], { batch: { shard: 0, openMs: 5000 } });
  const [number = 0, createdAtMs = 0] = made.batch ?? [];
  const batchId = formatGroupId("batch", { seq: number, createdAtMs, shard: 0 });
  const batch = () => rig.at(0).state.records("batch").get(String(number));
  return { rig, b, batchId, batch };
}

test("[F50] [F52] the id of a batch of another shard among the jobs that one waits for is no job, and changes nothing for those who are to be counted in that batch", () => {
  const { rig, b, batchId, batch } = openBatch();
  const dependsOn = [batchId];
  const ignorant: Partial<JobOptions> = { dependsOn, onDependencyFailure: "ignore" };
  const counted = rig.add(b, { batchId, ...ignorant });
  const other = rig.add(b, ignorant);
  while (rig.take(1, 0, { most: 1 }));
  while (rig.take(0, 1, { most: 1 }));
  rig.settle();

  expect(rig.enqueue([{ queue: b, payload: "1", options: { dependsOn } }]).outcome).toMatchObject({
    code: "NOT_FOUND",
  });
  expect([counted, other].map((id) => rig.job(id)?.state)).toEqual(["pending", "pending"]);
  expect(batch()).toMatchObject({ total: 2, pending: 2 });
  expect([rig.claim(b), rig.claim(b)].map((job) => job?.seq)).toHaveLength(2);
});

test("[F52] a job that asked for a batch and was deleted comes back from a backup when the batch has answered", () => {
  const { rig, b, batchId, batch } = openBatch();
  const id = rig.add(b, { batchId });
  rig.manage("delete", id);
  const { seq = 0, createdAtMs = 0 } = parseJobId(id) ?? {};
  const job = { seq, createdAtMs, queue: b, payload: "1", priority: 2, state: "pending" } as const;
  const restore = () => rig.apply(1, { kind: "restoreJobs", jobs: [job] });

  expect(restore()).toMatchObject({ results: [{ kind: "rejected", code: "CONFLICT" }] });
  rig.settle();
  expect(restore()).toMatchObject({ results: [{ kind: "added" }] });
  expect(rig.claim(b)?.seq).toBe(seq);
  expect(batch()).toMatchObject({ total: 2, pending: 1, cancelled: 1 });
});

test("[BU6] a job does not come back under the number of a batch, whose jobs would be its children", () => {
  const { rig, batchId } = openBatch();
  const seq = Number.parseInt(batchId.slice(20), 16);
  const { nowMs: createdAtMs } = rig;
  const [queue = ""] = rig.queues("q");
  const job = { seq, createdAtMs, queue, payload: "1", priority: 2, state: "pending" } as const;
  const restored = rig.apply(0, { kind: "restoreJobs", jobs: [job] });

  expect(restored).toMatchObject({ results: [{ kind: "rejected", code: "CONFLICT" }] });
});
