/** What shards say anew when their states are not of one moment; whether it leads to the same end is `across-shards-model.test.ts`. */
import { expect, test } from "bun:test";
import { formatGroupId } from "../../src/base/ids.ts";
import type { Change } from "../../src/engine/change.ts";
import { changeLimits } from "../../src/engine/limits.ts";
import { refuseIllFormed } from "../../src/engine/well-formed.ts";
import { ShardsRig } from "../support/shards-rig.ts";

test("[F55] shards whose states are not of one moment can tell of more waiting jobs of a batch than one message holds", () => {
  const rig = new ShardsRig(2);
  const [a = "", b = ""] = rig.queues("q");
  const { batch } = rig.enqueue([{ queue: a, payload: "1" }], {
    batch: { openMs: 1000, shard: 0 },
  });
  const [seq = 0, createdAtMs = 0] = batch ?? [];
  const batchId = formatGroupId("batch", { seq, createdAtMs, shard: 0 });
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
