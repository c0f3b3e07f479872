/** Messages between the shards of nodes whose logs are in the test's hands. */
import { expect, test } from "bun:test";
import { CorvoError } from "../../src/base/errors.ts";
import type { Change } from "../../src/engine/change.ts";
import type { Outcome } from "../../src/engine/outcome.ts";
import { PostOffice } from "../../src/replica/post-office.ts";
import { ManualTime, settle } from "../support/node-rig.ts";
import { ShardsRig } from "../support/shards-rig.ts";
import { memoryLogger } from "../support/system-ports.ts";

/** The shards of a rig as one node has them: some of them led by it, some logs refusing. */
function nodeOf(rig: ShardsRig, leads: readonly number[], time: ManualTime) {
  const refusing = new Set<number>();
  const replicas = rig.shards.map((_, shard) => ({
    get engine() {
      return rig.at(shard).engine;
    },
    isLeader: leads.includes(shard),
    async submit(change: Change): Promise<Outcome> {
      if (refusing.has(shard)) throw new CorvoError("READ_ONLY", "the disk is full");
      const outcome = rig.apply(shard, change);
      office.look();
      return outcome;
    },
  }));
  const office: PostOffice = new PostOffice({ replicas, timers: time, logger: memoryLogger() });
  return { office, refusing };
}

function withDeadJob() {
  const rig = new ShardsRig(3);
  const [a = "", b = ""] = rig.queues("q");
  rig.add(a, { deadQueue: b });
  rig.run(a, "fail");
  return { rig, b, left: () => [...rig.at(0).engine.post.destinations()].length };
}

test("[F55] whoever leads the reader takes, and whoever leads the writer forgets", async () => {
  const { rig, b, left } = withDeadJob();
  const time = new ManualTime();
  const [writer, reader] = [nodeOf(rig, [0], time), nodeOf(rig, [1, 2], time)];

  writer.office.look();
  await settle();
  expect([rig.jobsOf(b).length, left()]).toEqual([0, 1]);
  reader.office.look();
  await settle();
  expect([rig.jobsOf(b).length, left()]).toEqual([1, 1]);
  writer.office.look();
  await settle();

  expect([rig.jobsOf(b).length, left()]).toEqual([1, 0]);
});

test("[F55] what a log refuses is proposed again later, and nothing after the end", async () => {
  const { rig, b } = withDeadJob();
  const time = new ManualTime();
  const { office, refusing } = nodeOf(rig, [0, 1, 2], time);

  refusing.add(1);
  office.look();
  await settle();
  await time.pass(10_000);
  expect(rig.jobsOf(b)).toEqual([]);
  refusing.clear();
  await time.pass(1000);
  expect(rig.jobsOf(b)).toHaveLength(1);

  office.stop();
  rig.add(rig.queues("q")[0] ?? "", { deadQueue: b });
  rig.run(rig.queues("q")[0] ?? "", "fail");
  office.look();
  await settle();
  expect(rig.jobsOf(b)).toHaveLength(1);
});

test("[F55] a writer that knows less than its reader has taken is set behind it when it is led", async () => {
  const { rig } = withDeadJob();
  rig.settle();
  const older = new ShardsRig(3);
  Object.assign(rig.shards[0] ?? {}, older.shards[0]);
  const { office } = nodeOf(rig, [0, 1, 2], new ManualTime());
  expect(rig.at(0).engine.post.sentTo(1)).toBe(0);

  office.lead();
  await settle();

  expect(rig.at(0).engine.post.sentTo(1)).toBe(rig.at(1).engine.post.takenFrom(0));
});
